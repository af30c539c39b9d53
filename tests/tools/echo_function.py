#!/usr/bin/env python3
"""A Lambda function that answers with its event and its environment: tests the harness around the emulator."""
import json
import os
import urllib.request

api = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
while True:
    with urllib.request.urlopen(f"{api}/next") as response:
        invocation, event = response.headers["Lambda-Runtime-Aws-Request-Id"], json.load(response)
    print("echo:", json.dumps(event), flush=True)
    body = json.dumps({"event": event, "environment": dict(os.environ), "process": os.getpid()}).encode()
    urllib.request.urlopen(f"{api}/{invocation}/response", data=body).close()
