"""What must hold of every body whatever: found by hypothesis, not by us."""

import contextlib
import json
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from milonga.spec.arrived import Arrived, Decoded, NotJson
from milonga.spec.decode import decode, decode_cut, decode_mended
from milonga.spec.discards import CODES
from milonga.spec.limits import MAX_EXCERPT
from milonga.spec.read import EVENT_TYPES, NotAnEvent, read_object

NAMES = """
type userId anonymousId groupId previousId event name category messageId timestamp sentAt writeKey context properties
traits integrations batch x
"""
KEYS = st.sampled_from(NAMES.split())
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from([*EVENT_TYPES, "", "2026-01-02T03:04:05Z", "Segment Consent Preference Updated"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=4)
)
EVENTS = st.dictionaries(KEYS, VALUES, max_size=8) | VALUES
LIKELY = st.fixed_dictionaries(
    {"type": st.sampled_from(sorted(EVENT_TYPES)), "userId": SCALARS},
    optional={"event": SCALARS, "groupId": SCALARS, "context": VALUES, "traits": VALUES, "messageId": SCALARS},
)
BATCHES = st.fixed_dictionaries(
    {"batch": st.lists(LIKELY | EVENTS, max_size=4)},
    optional={"context": VALUES, "integrations": VALUES, "sentAt": SCALARS, "writeKey": SCALARS},
)
IMPLIED = st.none() | st.sampled_from(sorted(EVENT_TYPES))


def shape(event: Arrived) -> dict[str, Any]:
    """All of an event, its context by value."""
    found = {field: getattr(event, field) for field in event.__struct_fields__ if field not in ("context", "envelope")}
    found["context"] = {key: msgspec.json.decode(raw) for key, raw in event.context.items()}
    envelope = event.envelope
    found["envelope"] = [envelope.context, envelope.integrations, envelope.sent_at]
    return found


def shapes(decoded: Decoded) -> Any:
    return decoded.write_key, [shape(event) for event in decoded.events], decoded.rejected


@given(BATCHES, st.booleans())
@settings(max_examples=300)
def test_the_strict_and_the_tolerant_path_agree_on_well_formed_batches(batch: dict[str, Any], ascii_only: bool) -> None:
    text = json.dumps(batch, ensure_ascii=ascii_only)
    strict = decode(text.encode("utf-8", "replace"), None)
    if strict is not None:
        assert shapes(strict) == shapes(decode_cut(text, None))


@given(LIKELY | EVENTS.filter(lambda event: isinstance(event, dict)), st.sampled_from(sorted(EVENT_TYPES)))
@settings(max_examples=300)
def test_the_strict_and_the_tolerant_path_agree_on_well_formed_events(event: dict[str, Any], type_: Any) -> None:
    text = json.dumps(event)
    strict = decode(text.encode(), type_)
    if strict is not None:
        assert shapes(strict) == shapes(decode_cut(text, type_))


def check(body: bytes, implied: Any) -> None:
    try:
        decoded = decode(body, implied) or decode_mended(body, implied)
    except NotJson:
        return
    assert decoded.events or decoded.rejected
    for event in decoded.events:
        assert event.type in EVENT_TYPES
        assert event.user_id or event.anonymous_id
        event.body.decode()
        assert isinstance(read_object(event.body), dict)
    for one in decoded.rejected:
        assert one.code in CODES
        assert "`$" in one.reason
        assert len(one.excerpt) <= MAX_EXCERPT


@given(st.binary(max_size=200), IMPLIED)
@settings(max_examples=300)
@example(b'{"a":"\\', "track")
@example(b'{"a":"\\ud800', "track")
@example(b"[" * 5000, None)
@example(b'{"batch":' + b"[" * 100_000, None)
def test_no_bytes_raise_anything_but_not_json(body: bytes, implied: Any) -> None:
    check(body, implied)


HEAP = rb"""
{ } [ ] , : " "batch" "type" "track" "userId" "u" "event" NaN \ \u \ud800 null 1e999 -Infinity truth {"batch":[ ]}
{"type":"track","event":"e","userId":"u"}
"""
PIECES = st.sampled_from([*HEAP.split(), b" ", b"\n", b"\0", b"\xff", b"\xef\xbb\xbf"])


@given(st.lists(PIECES, max_size=30).map(b"".join), IMPLIED)
@settings(max_examples=600)
def test_no_heap_of_json_pieces_raises_anything_but_not_json(body: bytes, implied: Any) -> None:
    check(body, implied)


@given(BATCHES, st.data())
@settings(max_examples=300)
def test_a_body_damaged_anywhere_raises_nothing_but_not_json(batch: dict[str, Any], data: st.DataObject) -> None:
    body = bytearray(json.dumps(batch).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body) - 1))
        match data.draw(st.sampled_from(["cut", "flip", "drop"])):
            case "cut":
                del body[max(at, 1) :]
            case "flip":
                body[at] = data.draw(st.integers(0, 255))
            case _:
                del body[at : at + 1]
        if not body:
            return
    check(bytes(body), data.draw(IMPLIED))


@given(st.binary(max_size=100) | st.lists(PIECES, max_size=20).map(b"".join))
def test_reading_any_line_raises_nothing_but_not_an_event(line: bytes) -> None:
    with contextlib.suppress(NotAnEvent):
        read_object(line)
