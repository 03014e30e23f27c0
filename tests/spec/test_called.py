"""What a call is called: by the short way just as by reading all of it."""

from typing import Any

import pytest

from milonga.spec.called import name_in
from milonga.spec.event import EventType
from milonga.spec.read import call_of, read_object
from milonga.spec.stored import Stamped
from tests.events import stamp_of


@pytest.mark.parametrize(
    "body",
    [
        '{"event":"Paid","name":"Pricing"}',
        '{"event":" Paid ","name":" "}',
        '{"event":42,"name":42.0}',
        '{"event":1e2,"name":true}',
        '{"event":"","name":null}',
        '{"event":["Paid"],"name":{"a":1}}',
        '{"event":"Pa\\u0069d\\u0000","name":"\\ud83d\\ude00"}',
        '{"event":"\\ud800","name":"\\ud800"}',
        '{"event":"a","event":"b","name":"a","name":"b"}',
        '{"properties":{"event":"no"}}',
        "{}",
    ],
)
@pytest.mark.parametrize("type_", ["track", "page", "screen", "identify", "group", "alias"])
def test_the_name_is_what_reading_the_call_says(type_: EventType, body: str) -> None:
    event = Stamped(stamp_of(type=type_), body.encode())
    whole: Any = call_of(type_, read_object(body.encode()))
    assert name_in(event) == getattr(whole, "name", None)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 100_000, b'{"event":' + b"[" * 100_000])
def test_what_cannot_be_read_has_none(body: bytes) -> None:
    assert name_in(Stamped(stamp_of(type="track"), body)) is None
