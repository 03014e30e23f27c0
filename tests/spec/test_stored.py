"""What the log keeps of an event can be read again, whatever it says."""

import json
import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw
from structlog.testing import capture_logs

from milonga.collector.stamp import stamp
from milonga.eventlog import record as records
from milonga.eventlog.api import Damaged, Position, Stored
from milonga.eventlog.record import record, stored
from milonga.spec.decode import decode, decode_mended
from milonga.spec.read import EVENT_TYPES, read_stamped
from milonga.spec.stored import Stamp, Stamped
from tests.events import stamp_of

TEXT = st.text(max_size=8)
TIMES = st.integers(-(2**62), 2**62)
SHARED = st.just(UNSET) | st.dictionaries(TEXT, TEXT | st.none() | st.integers(-9, 9), max_size=3).map(
    lambda shared: Raw(json.dumps(shared).encode())
)
STAMPS = st.builds(
    Stamp,
    source=st.integers(0, 2**40),
    type=st.sampled_from(sorted(EVENT_TYPES)),
    message_id=TEXT,
    own_message_id=st.booleans(),
    user_id=st.none() | TEXT,
    anonymous_id=st.none() | TEXT,
    account=st.none() | TEXT,
    account_found=st.sampled_from([None, "groupId", "context.groupId"]),
    received_at=TIMES,
    timestamp=TIMES,
    original_timestamp=st.none() | TEXT,
    sent_at=st.none() | TEXT,
    batch_context=SHARED,
    batch_integrations=SHARED,
)


def read_back(stamped: Stamped) -> Stored | Damaged:
    *_, text, body, crc = record(stamped)
    return stored((7, text, body, crc))


@given(STAMPS)
def test_a_stamp_reads_as_it_was_written(one: Stamp) -> None:
    assert msgspec.json.decode(msgspec.json.encode(one), type=Stamp) == one


@given(STAMPS)
def test_a_record_reads_as_it_was_written(one: Stamp) -> None:
    stamped = Stamped(one, b'{"type":"track","context":{"own":1}}')
    found = read_back(stamped)
    assert found == Stored(Position(0, 7), stamped)
    read_stamped(found.event)


def test_what_a_batch_says_for_all_lies_under_what_an_event_says() -> None:
    body = b"""{"context": {"groupId": "acme", "ip": "1.2.3.4"}, "integrations": {"All": false, "Totango": true},
        "batch": [{"type": "track", "event": "e", "userId": "u",
                   "context": {"ip": "5.6.7.8"}, "integrations": {"All": true}}]}"""
    decoded = decode(body, None)
    assert decoded is not None
    (stamped,) = stamp(decoded.events, 1, 0, lambda: "new")
    found = read_back(stamped)
    assert isinstance(found, Stored)
    event = read_stamped(found.event)
    assert event.context == {"groupId": "acme", "ip": "5.6.7.8"}
    assert event.integrations == {"All": True, "Totango": True}
    assert event.account is not None
    assert event.account.id == "acme"


VALUES = [
    rb'"\q"', b'"a\x01b"', b"01", b"1e400", b"--1", b"-", b"1.", b".5", b"tru", b"NaN", b"[1,]", b'{"a":1,}', b'{"a"}',
    b"1" * 5000, b'"\\ud800"', b'"\x00"', b"1.2.3", b"[1 2]", b"-Infinity", b'"\xff"', b'"\xc3\xa9"', b"1e5e5",
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("place", ["context", "integrations", "event"])
def test_whatever_is_accepted_can_be_read_again(value: bytes, place: str) -> None:
    event = b'{"type":"track","event":"e","userId":"u","messageId":"m","context":{"y":1%b}}'
    shared = b'"%b":{"x":%b},' % (place.encode(), value) if place != "event" else b""
    own = b',"z":' + value if place == "event" else b""
    body = b'{%b"batch":[%b,%b]}' % (shared, event % b"", event % own)
    decoded = decode(body, None) or decode_mended(body, None)
    assert decoded.events
    for stamped in stamp(decoded.events, 1, 0, lambda: "new"):
        found = read_back(stamped)
        assert isinstance(found, Stored)
        assert read_stamped(found.event).context["y"] == 1


def test_stamps_of_before_are_read() -> None:
    """They had null for what a batch did not say."""
    fields: dict[str, Any] = msgspec.to_builtins(stamp_of())
    old = json.dumps({**fields, "batch_context": None, "batch_integrations": {"All": True}})
    event = read_stamped(Stamped(msgspec.json.decode(old, type=Stamp), b'{"context":{"a":1}}'))
    assert (event.context, event.integrations) == ({"a": 1}, {"All": True})


def test_a_stamp_that_cannot_be_read_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_told", set())
    text, body = '{"source":"web"}', b"{}"
    crc = zlib.crc32(body, zlib.crc32(text.encode()))
    with capture_logs() as said:
        for offset in range(5):
            assert isinstance(stored((offset, text, body, crc)), Damaged)
    (line,) = said
    assert (line["event"], line["log_level"], line["offset"]) == ("stamp_unreadable", "error", 0)
