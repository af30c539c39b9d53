#!/usr/bin/env python3
"""Write the seeds of the fuzz targets to a folder, with one subfolder for each target.

The seeds are copies of fuzz/seeds and fuzz/findings, and inputs generated from events/, the sample configs and
crates/webhook-verify/tests/vectors.

Usage: fuzz/seeds.py FOLDER [TARGET...]"""

import gzip
import json
import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def vectors():
    """Yield the folder name, the vector and the body of each test vector."""
    for path in sorted(ROOT.glob("crates/webhook-verify/tests/vectors/*/vector.json")):
        for vector in json.loads(path.read_text())["vectors"]:
            body_file = vector.get("body_file")
            body = (path.parent / body_file).read_bytes() if body_file else vector.get("body", "").encode()
            yield path.parent.name, vector, body


def body():
    """Yield inputs of a content type, a content encoding and a body."""
    for source, vector, content in vectors():
        headers = {name.lower(): value for name, value in vector["headers"].items()}
        kind = headers.get("content-type", "").encode()
        yield source + "-" + vector["id"], kind + b"\n\n" + content
        if vector["id"] == "ours" or source in ("jotform", "mailchimp", "salesforce-outbound"):
            packed = gzip.compress(content, mtime=0)
            yield source + "-" + vector["id"] + "-gzip", kind + b"\ngzip\n" + packed


def scheme():
    """Yield inputs of a `verify` entry and a request. Each preset also occurs written out as a custom scheme, so that the
    fuzzer finds the keywords of schemes."""
    presets = {path.stem for path in ROOT.glob("crates/webhook-verify/schemes/*.yaml")}
    for source, vector, content in vectors():
        preset = source if source in presets else source.split("-")[0]
        record = ROOT / "crates/webhook-verify/schemes" / (preset + ".yaml")
        if not record.exists():
            continue
        params = dict(vector.get("config") or {}, dc="com")
        # The clock of the target is fixed, and the timestamps of the vectors differ from it.
        end = [("secret", vector["secret"]), ("params", params), ("tolerance_s", 0)]
        end = "".join("%s: %s\n" % (key, json.dumps(value)) for key, value in end)
        url = vector.get("url") or "https://hooks.example.com/"
        path = "/" + url.split("/", 3)[-1]
        lines = ["%s %s" % (vector.get("method", "POST"), path)]
        lines += ["%s: %s" % pair for pair in vector["headers"].items()]
        request = "\n".join(lines).encode("utf-8", "surrogateescape") + b"\n\n" + content
        for name, text in ("preset", "scheme: " + preset + "\n"), ("custom", "scheme: custom\n" + record.read_text()):
            yield "-".join((source, vector["id"], name)), (text + end).rstrip().encode() + b"\n---\n" + request


def detect():
    """Yield Lambda events."""
    for path in sorted(ROOT.glob("events/*.json")):
        yield path.stem, path.read_bytes()


def config():
    """Yield config files."""
    for path in sorted([*ROOT.glob("events/*.yaml"), *ROOT.glob("layer/*.yaml"), *ROOT.glob("examples/routes/*/*.yaml")]):
        yield "-".join(path.relative_to(ROOT).with_suffix("").parts), path.read_bytes()


GENERATORS = {"body": body, "scheme": scheme, "detect": detect, "config": config}


def main(folder, targets):
    for target in targets:
        subfolder = pathlib.Path(folder) / target
        subfolder.mkdir(parents=True, exist_ok=True)
        for name, content in GENERATORS.get(target, lambda: ())():
            (subfolder / name).write_bytes(content)
        for path in [*ROOT.glob("fuzz/seeds/%s/*" % target), *ROOT.glob("fuzz/findings/%s/*" % target)]:
            shutil.copyfile(path, subfolder / path.name)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:] or sorted(path.stem for path in ROOT.glob("fuzz/fuzz_targets/*.rs")))
