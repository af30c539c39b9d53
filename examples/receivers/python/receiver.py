"""Receives masshook's callbacks. The types come from its OpenAPI document:

    masshook schema --openapi > masshook.json
    pip install datamodel-code-generator pydantic cryptography
    datamodel-codegen --input masshook.json --input-file-type openapi \
        --output-model-type pydantic_v2.BaseModel --output masshook.py

Run it with the key that verifies callbacks: `whsec_…` (HMAC) or, better, the public key `whpk_…` (Ed25519):

    CALLBACK_KEY=whpk_… PORT=8090 python receiver.py
"""

import base64
import hashlib
import hmac
import os
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from masshook import Callback, NotificationType

TOLERANCE_SECONDS = 300


def is_signed(headers, body: bytes, key: str, now: float | None = None) -> bool:
    """Whether one of the signatures of a callback is by `key`, and recent."""
    message_id, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not at.isdecimal() or abs((now or time.time()) - int(at)) > TOLERANCE_SECONDS:
        return False
    signed = f"{message_id}.{at}.".encode() + body
    for signature in headers.get("webhook-signature", "").split():
        version, _, text = signature.partition(",")
        if version == "v1a" and key.startswith("whpk_"):
            public_key = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.removeprefix("whpk_")))
            try:
                public_key.verify(base64.b64decode(text), signed)
                return True
            except InvalidSignature:
                continue
        if version == "v1" and key.startswith("whsec_"):
            secret = base64.b64decode(key.removeprefix("whsec_"))
            expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest())
            if hmac.compare_digest(expected, text.encode()):
                return True
    return False


def describe(callback: Callback) -> str:
    """What a callback reports, in one line."""
    job = callback.data
    match callback.type:
        case NotificationType.job_queued | NotificationType.job_running:
            return f"{job.id}: {job.counts.pending} of {job.counts.total} records to go"
        case NotificationType.job_succeeded:
            return f"{job.id}: {job.counts.updated} records updated"
        case NotificationType.job_partially_succeeded | NotificationType.job_failed:
            codes = {failure.code for failure in job.failures} | ({job.error.code} if job.error else set())
            return f"{job.id}: {job.counts.failed} records failed: {', '.join(sorted(codes))}"


class Receiver(BaseHTTPRequestHandler):
    """Answers one callback: 204 if it is genuine."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        genuine = is_signed(self.headers, body, os.environ["CALLBACK_KEY"])
        if genuine:
            print(describe(Callback.model_validate_json(body)), flush=True)
        self.send_response(204 if genuine else 401)
        self.end_headers()


if __name__ == "__main__":
    HTTPServer(("", int(os.environ["PORT"])), Receiver).serve_forever()
