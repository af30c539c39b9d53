"""Runs programs with jq. Reads lines of JSON `[program, input]` and writes, for each, a line `{"ok": [output, …]}` with the
outputs as JSON texts, or `{"error": message}`."""

import json
import sys

import jq

for line in sys.stdin:
    program, text = json.loads(line)
    try:
        # The binding converts numbers to floats, so jq itself converts the outputs to text.
        answer = {"ok": jq.compile(f"({program}\n) | tojson").input_text(text).all()}
    except ValueError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
