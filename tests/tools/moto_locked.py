"""moto's server with one global lock, because moto itself is not atomic: two concurrent conditional puts may both win,
and a message may be delivered twice. Long polling waits outside the lock. Usage: moto_locked.py PORT [METER_LOG]"""
import io
import json
import sys
import threading
import time

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

sys.dont_write_bytecode = True  # beside the sources
from aws_meter import Meter  # noqa: E402

backends = DomainDispatcherApplication(create_backend_app)
lock = threading.RLock()
meter = Meter(sys.argv[2]) if len(sys.argv) > 2 else None


def answer(environ, body):
    if meter is None:
        return answer_unmetered(environ, body)
    # Credential=KEY/DATE/REGION/...
    scope = environ.get("HTTP_AUTHORIZATION", "").split("/")
    region = scope[2] if len(scope) > 2 else "us-east-1"
    headers = {"target": environ.get("HTTP_X_AMZ_TARGET", ""), "region": region}
    with lock:
        return meter.measure(headers, body, lambda: answer_unmetered(environ, body))


def answer_unmetered(environ, body):
    environ = dict(environ)
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    started = []
    with lock:
        chunks = backends(environ, lambda status, headers, exc_info=None: started.append((status, headers)))
        content = b"".join(chunks)
    status, headers = started[0]
    return status, headers, content


def receive_messages(environ, body):
    request = json.loads(body or b"{}")
    end = time.monotonic() + float(request.get("WaitTimeSeconds") or 0)
    request["WaitTimeSeconds"] = 0
    body = json.dumps(request).encode()
    while True:
        status, headers, content = answer(environ, body)
        empty = status.startswith("200") and not json.loads(content or b"{}").get("Messages")
        if not empty or time.monotonic() >= end:
            return status, headers, content
        time.sleep(0.05)


def app(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length) if length else b""
    polls = environ.get("HTTP_X_AMZ_TARGET") == "AmazonSQS.ReceiveMessage"
    status, headers, content = receive_messages(environ, body) if polls else answer(environ, body)
    start_response(status, headers)
    return [content]


class Handler(MotoRequestHandler):
    protocol_version = "HTTP/1.1"  # keep-alive: SDKs reuse their connection

    def log_request(self, *_):
        pass


run_simple("127.0.0.1", int(sys.argv[1]), app, threaded=True, request_handler=Handler)
