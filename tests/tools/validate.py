"""Validates JSON documents against a JSON Schema. Reads one JSON document from standard input: {"schema": ..., "instances": [...]}.
Prints a JSON list: null for a valid instance, else the place and the message of its first error."""

import json
import sys

import jsonschema_rs


def first_error(validator, instance):
    for error in validator.iter_errors(instance):
        return "/".join(map(str, error.instance_path)) + ": " + error.message[:300]
    return None


work = json.load(sys.stdin)
validator = jsonschema_rs.Draft202012Validator(work["schema"])
print(json.dumps([first_error(validator, instance) for instance in work["instances"]]))
