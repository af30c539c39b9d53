"""Writes and reads CloudEvents with their Python SDK. Reads one JSON document from standard input:
{"write": {"attributes": ..., "data": ...}} prints the requests of both modes, {"read": {"headers": ..., "body": ...}} the event."""

import base64
import json
import sys

from cloudevents.core.bindings.http import HTTPMessage, from_http_event, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from dateutil.parser import isoparse

work = json.load(sys.stdin)
if "write" in work:
    attributes = dict(work["write"]["attributes"])
    if "time" in attributes:
        attributes["time"] = isoparse(attributes["time"])
    event = CloudEvent(attributes=attributes, data=work["write"]["data"])
    messages = [to_binary_event(event), to_structured_event(event)]
    print(json.dumps([{"headers": message.headers, "body": message.body.decode()} for message in messages]))
else:
    body = base64.b64decode(work["read"]["body"])
    event = from_http_event(HTTPMessage(headers=work["read"]["headers"], body=body))
    attributes = {name: str(value) for name, value in event.get_attributes().items()}
    print(json.dumps({"attributes": attributes, "data": event.get_data()}))
