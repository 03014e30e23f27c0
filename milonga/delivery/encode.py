"""From a request as data to the bytes of an HTTP call. Pure."""

from urllib.parse import urlencode

import msgspec

from milonga.delivery.outgoing import Outgoing
from milonga.destinations.contract import Form, Json, Request
from milonga.destinations.signing import headers_of


def outgoing(request: Request, *, timeout: float, now: float) -> Outgoing:
    """
    timeout  seconds for the whole call
    now      unix seconds, for its signature
    """
    match request.body:
        case Form(params):
            kind, body = "application/x-www-form-urlencoded", urlencode(params).encode()
        case Json(value):
            kind, body = "application/json", msgspec.json.encode(value)
    signed = () if request.sign is None else headers_of(request.sign, body, now)
    return Outgoing(
        method=request.method,
        url=request.url,
        headers=(("Content-Type", kind), *request.headers.items(), *signed),
        body=body,
        timeout=timeout,
    )
