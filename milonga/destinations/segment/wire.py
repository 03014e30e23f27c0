"""The tracking API as far as we send to it: its address, its limits, its batches."""

from base64 import b64encode
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from milonga.destinations.contract import Json, Request, Requests

MAX_EVENT: Final = 32 * 1024
"""Bytes of one event. Source: Segment docs, HTTP API, "Max request size"; its SDKs for Node, Python, Ruby, Java."""

MAX_BATCH: Final = 475_000
"""
Bytes of one batch. The page says 500 KB; of its SDKs some read that as 512,000, some as 500,000, and those for Python
and phones stop at this, which is below all of them.
"""

MAX_EVENTS: Final = 100  #: of one batch, as Segment's SDK for Python sends; its API takes 2,500
WAIT: Final = 0.005  #: seconds that a batch is gathered while others are under way

PART: Final = "event"
AUTHORIZATION: Final = "Authorization"
_SECRETS: Final = frozenset({AUTHORIZATION})


def request(event: dict[str, Any], endpoint: str, write_key: str) -> Request:
    """A batch of one: several are made into one of more."""
    return Request(
        part=PART,
        method="POST",
        url=address(endpoint),
        headers={AUTHORIZATION: _basic(write_key)},
        body=Json({"batch": [event]}),
        secrets=_SECRETS,
    )


def join(requests: Requests) -> Request:
    """One batch of all their events, in their order."""
    first = requests[0]
    events = [event for each in requests if isinstance(each.body, Json) for event in each.body.value["batch"]]
    return Request(
        part=first.part,
        method=first.method,
        url=first.url,
        headers=first.headers,
        body=Json({"batch": events}),
        secrets=first.secrets,
    )


@lru_cache(maxsize=64)
def address(endpoint: str) -> str:
    """Where batches go."""
    parts = urlsplit(endpoint)
    path = parts.path.rstrip("/") or "/v1"
    return urlunsplit((parts.scheme, parts.netloc, f"{path}/batch", parts.query, ""))


@lru_cache(maxsize=64)
def _basic(write_key: str) -> str:
    """The write key as user name, without a password. Source: Segment docs, HTTP API, "Authentication"."""
    return "Basic " + b64encode(f"{write_key}:".encode()).decode()
