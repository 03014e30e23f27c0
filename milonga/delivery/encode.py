"""From a request as data to the bytes of an HTTP call. Pure."""

from urllib.parse import urlencode

import msgspec

from milonga.delivery.outgoing import Outgoing
from milonga.destinations.contract import Form, Json, Request


def outgoing(request: Request, *, timeout: float) -> Outgoing:
    """timeout  seconds for the whole call"""
    match request.body:
        case Form(params):
            kind, body = "application/x-www-form-urlencoded", urlencode(params).encode()
        case Json(value):
            kind, body = "application/json", msgspec.json.encode(value)
    return Outgoing(
        method=request.method,
        url=request.url,
        headers=(("Content-Type", kind), *request.headers.items()),
        body=body,
        timeout=timeout,
    )
