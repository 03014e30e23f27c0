"""Decoding of requests: what is kept byte by byte, what is mended, and what is discarded with which code."""

import json
from typing import Any

import pytest
from msgspec import UNSET, Raw

from milonga.spec.arrived import Arrived, Decoded, NotJson
from milonga.spec.decode import decode, decode_mended
from milonga.spec.depth import too_deep
from milonga.spec.limits import MAX_BATCH, MAX_DEPTH, MAX_EVENT, MAX_EXCERPT, MAX_PROPERTIES, MAX_REQUEST
from milonga.spec.read import read_object

FIRST = b'{"type":"track","event":"Signed Up","userId":"u1","messageId":"m-first"}'
LAST = b'{"messageId":"m-last","type":"identify", "userId":"u3","traits":{}}'


def request(body: bytes, implied: Any = None) -> Decoded:
    return decode(body, implied) or decode_mended(body, implied)


def batch_of_three(middle: bytes) -> Decoded:
    return request(b'{"writeKey":"k","batch":[' + FIRST + b"," + middle + b"," + LAST + b"]}")


def track(**more: Any) -> bytes:
    return json.dumps({"type": "track", "event": "Paid", "userId": "u2", "messageId": "m-middle", **more}).encode()


def track_with(properties: bytes) -> bytes:
    return b'{"type":"track","event":"Paid","userId":"u2","messageId":"m-middle","properties":' + properties + b"}"


def codes(decoded: Decoded) -> list[str]:
    return [one.code for one in decoded.rejected]


def assert_neighbours_arrived(decoded: Decoded) -> list[Arrived]:
    """The first and the last of three are there, byte by byte; returns what stands between them."""
    assert decoded.events[0].body == FIRST
    assert decoded.events[-1].body == LAST
    assert decoded.write_key == "k"
    return decoded.events[1:-1]


MENDED: dict[str, tuple[bytes, dict[str, Any]]] = {
    "NaN": (track_with(b'{"x":NaN}'), {"x": None}),
    "Infinity": (track_with(b'{"x":[Infinity,-Infinity, 1]}'), {"x": [None, None, 1]}),
    "NaN as a word in text": (track_with(b'{"x":"NaN, Infinity","y":NaN}'), {"x": "NaN, Infinity", "y": None}),
    "a number beyond every range": (track_with(b'{"x":1e400,"y":-1e999}'), {"x": None, "y": None}),
    "a whole number of 5,000 digits": (track_with(b'{"x":' + b"9" * 5000 + b"}"), {"x": None}),
    "half a surrogate pair": (track_with(rb'{"x":"a\ud83d!"}'), {"x": "a\ufffd!"}),
    "the other half": (track_with(rb'{"x":"\ude00"}'), {"x": "\ufffd"}),
    "halves the wrong way round": (track_with(rb'{"x":"\ude00\ud83d"}'), {"x": "\ufffd\ufffd"}),
    "half a pair beside a whole one": (track_with(rb'{"x":"\ud83d\ud83d\ude00"}'), {"x": "\ufffd\U0001f600"}),
    "half a pair in a key": (track_with(rb'{"\ud83d":1}'), {"\ufffd": 1}),
    "a backslash before what looks so": (track_with(rb'{"x":"\\ud83d","y":NaN}'), {"x": "\\ud83d", "y": None}),
    "a raw line feed in text": (track_with(b'{"x":"a\nb"}'), {"x": "a\nb"}),
    "a raw NUL in text": (track_with(b'{"x":"a\0b"}'), {"x": "a\0b"}),
    "a raw control character in a key": (track_with(b'{"a\tb":1}'), {"a\tb": 1}),
    "an escape that JSON does not have": (track_with(rb'{"x":"C:\dir"}'), {"x": "C:\\dir"}),
    "bytes that are not UTF-8": (track_with(b'{"x":"caf\xe9"}'), {"x": "caf\ufffd"}),
    "UTF-8 of half a surrogate pair": (track_with(b'{"x":"\xed\xa0\xbd"}'), {"x": "\ufffd\ufffd\ufffd"}),
    "NULs around an event": (b"\0\0" + track_with(b'{"x":1}') + b"\0", {"x": 1}),
    "a byte-order mark before an event": (b"\xef\xbb\xbf" + track_with(b'{"x":1}'), {"x": 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", MENDED)
def test_what_can_be_mended_arrives_and_so_do_its_neighbours(name: str) -> None:
    middle, properties = MENDED[name]
    decoded = batch_of_three(middle)
    (event,) = assert_neighbours_arrived(decoded)
    assert decoded.rejected == []
    assert read_object(event.body)["properties"] == properties
    assert event.message_id == "m-middle"
    event.body.decode()  # UTF-8


LOST: dict[str, tuple[bytes, str]] = {
    "null": (b"null", "not_an_object"),
    "text": (b'"event"', "not_an_object"),
    "a number": (b"5", "not_an_object"),
    "a list": (b"[1,2]", "not_an_object"),
    "half an object": (b'{"type":"track"', "malformed_json"),
    "an object without quotes": (b"{type:track}", "malformed_json"),
    "words": (b"undefined", "malformed_json"),
    "a wrong closing bracket": (b'{"type":"track"]', "malformed_json"),
    "an event nested too deep": (track_with(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH), "event_too_deep"),
    "an event nested 10,000 deep": (track_with(b"[" * 10_000 + b"]" * 10_000), "event_too_deep"),
    "an event that is too large": (track(properties={"x": "y" * MAX_EVENT}), "event_too_large"),
    "an event without type": (b'{"userId":"u2","event":"Paid"}', "missing_type"),
    "an event of an unknown type": (track(type="Track"), "invalid_type"),
}


@pytest.mark.parametrize("name", LOST)
def test_what_cannot_be_saved_is_named_and_its_neighbours_arrive(name: str) -> None:
    middle, code = LOST[name]
    if name == "half an object":  # its missing bracket is taken from what follows it
        decoded = request(b'{"writeKey":"k","batch":[' + FIRST + b"," + LAST + b"," + middle)
        assert [event.body for event in decoded.events] == [FIRST, LAST]
    else:
        decoded = batch_of_three(middle)
        assert assert_neighbours_arrived(decoded) == []
        assert "`$.batch[1]" in decoded.rejected[0].reason
    assert codes(decoded) == [code]
    assert decoded.rejected[0].excerpt == middle[:MAX_EXCERPT]


@pytest.mark.parametrize("holes", [b"", b" ", b",", b" , \n, ", b"\0"])
def test_holes_in_a_batch_are_passed_over(holes: bytes) -> None:
    decoded = batch_of_three(holes)
    assert assert_neighbours_arrived(decoded) == []
    assert decoded.rejected == []


def test_an_event_behind_a_hole_keeps_its_number() -> None:
    decoded = request(b'{"batch":[,,{"type":"nope"}]}')
    assert "`$.batch[2].type`" in decoded.rejected[0].reason


def test_a_well_formed_batch_is_kept_byte_by_byte() -> None:
    odd = b'{ "type" : "track", "event":"caf\\u00e9 \xc3\xa9", "userId":"u2", "x": [ 1.0, 1e2 ], "x": {} }'
    decoded = decode(b'{"batch":[' + FIRST + b" ,\n" + odd + b"," + LAST + b'],"sentAt":"2026-01-01T00:00:00Z"}', None)
    assert decoded is not None
    assert [event.body for event in decoded.events] == [FIRST, odd, LAST]
    assert {event.sent_at for event in decoded.events} == {"2026-01-01T00:00:00Z"}


def test_a_deeply_nested_event_within_the_limit_arrives() -> None:
    levels = MAX_DEPTH - 2  # the event and its properties are two
    decoded = batch_of_three(track_with(b'{"x":' + b"[" * levels + b"]" * levels + b"}"))
    assert len(assert_neighbours_arrived(decoded)) == 1
    levels += 1
    assert codes(batch_of_three(track_with(b'{"x":' + b"[" * levels + b"]" * levels + b"}"))) == ["event_too_deep"]


@pytest.mark.parametrize(
    ("text", "deep"),
    [
        (b"[" * 64 + b"]" * 64, False),
        (b"[" * 65 + b"]" * 65, True),
        (b'{"a":' * 65, True),
        (b'["' + b"[" * 500 + b'"]', False),
        (b'["\\"' + b"[" * 500 + b'"]', False),
        (b"[]" * 500, False),
        (b"[" + b"[]," * 500 + b"[]]", False),
    ],
)
def test_depth_is_counted_outside_text_only(text: bytes, deep: bool) -> None:
    assert too_deep(text) is deep


# Whole bodies


def test_several_documents_in_one_body_are_all_read() -> None:
    batch = b'{"batch":[' + FIRST + b'],"writeKey":"k1"}'
    decoded = request(b"\xef\xbb\xbf" + batch + b"\0\0\n" + b'{"batch":[' + LAST + b'],"sentAt":"x"}' + b"\0" * 100)
    assert [event.body for event in decoded.events] == [FIRST, LAST]
    assert [event.sent_at for event in decoded.events] == [None, "x"]
    assert decoded.rejected == []
    assert decoded.write_key == "k1"


def test_several_single_events_in_one_body_are_all_read() -> None:
    decoded = request(FIRST + b"\n" + LAST, "track")
    assert [event.body for event in decoded.events] == [FIRST]
    assert codes(decoded) == ["event_not_defined"]


def test_junk_around_a_document_is_discarded_by_itself() -> None:
    decoded = request(b'HTTP junk {"batch":[' + FIRST + b"]} more junk")
    assert [event.body for event in decoded.events] == [FIRST]
    assert codes(decoded) == ["malformed_json", "malformed_json"]


def test_the_events_before_the_end_of_a_truncated_batch_arrive() -> None:
    decoded = request(b'{"batch":[' + FIRST + b"," + LAST + b',{"type":"tra')
    assert [event.body for event in decoded.events] == [FIRST, LAST]
    assert codes(decoded) == ["malformed_json"]


NO_OBJECT = [b"", b"  ", b"\0\0", b"hello", b"5", b'"text"', b"null", b"\x80\x81", b"{", b"[{]", b"{nope}"]


@pytest.mark.parametrize("body", NO_OBJECT)
def test_a_body_without_any_json_object_is_refused_whole(body: bytes) -> None:
    with pytest.raises(NotJson):
        request(body)
    with pytest.raises(NotJson):
        request(body, "track")


@pytest.mark.parametrize(
    "body", [b"{}", b'{"batch":[]}', b'{"batch":[ , , ]}', b'{"batch":null}', b'{"batch":{"0":{}}}', b"[]", b'{"a":1}']
)
def test_a_batch_without_events_is_an_empty_batch(body: bytes) -> None:
    decoded = request(body)
    assert decoded.events == []
    assert codes(decoded) == ["empty_batch"]


def test_a_bare_list_and_a_bare_event_are_taken_for_a_batch() -> None:
    assert [event.body for event in request(b"[" + FIRST + b"]").events] == [FIRST]
    assert [event.body for event in request(FIRST).events] == [FIRST]


def test_a_single_event_gets_its_type_from_the_path() -> None:
    (event,) = request(b'{"userId":1,"type":"identify"}', "page").events
    assert (event.type, event.user_id) == ("page", "1")


# Limits


def test_events_beyond_the_limit_of_a_batch_are_discarded_and_counted() -> None:
    body = b'{"batch":[' + b",".join([FIRST] * (MAX_BATCH + 7)) + b"]}"
    for decoded in (decode(body, None), decode_mended(b"\0" + body, None), decode_mended(body + b"{}", None)):
        assert decoded is not None
        assert len(decoded.events) == MAX_BATCH
        assert decoded.rejected[0].code == "batch_too_long"
        assert decoded.rejected[0].count == 7


def test_a_million_parts_are_counted_without_being_kept() -> None:
    decoded = request(b'{"batch":[' + b"1," * 1_000_000 + b"1]}")
    assert len(decoded.rejected) == MAX_BATCH + 1
    assert sum(one.count for one in decoded.rejected) == 1_000_001


def test_documents_without_end_stop_at_the_limit_of_a_request() -> None:
    decoded = request(b"{}" * 100_000)
    assert len(decoded.rejected) == MAX_BATCH + 1
    assert decoded.rejected[-1].code == "batch_too_long"


def test_an_event_of_exactly_the_largest_size_arrives() -> None:
    rest = len(track(properties={"x": ""}))
    largest = track(properties={"x": "y" * (MAX_EVENT - rest)})
    assert len(largest) == MAX_EVENT
    assert len(assert_neighbours_arrived(batch_of_three(largest))) == 1
    assert len(request(largest, "track").events) == 1
    assert codes(request(largest + b" " * 9, "track")) == []
    assert codes(request(largest.replace(b'"y', b'"yy', 1), "track")) == ["event_too_large"]


def test_an_event_too_large_still_shows_its_write_key() -> None:
    decoded = request(track(properties={"x": "y" * MAX_EVENT}, writeKey="k"), "track")
    assert codes(decoded) == ["event_too_large"]
    assert decoded.write_key == "k"


def test_no_event_within_its_size_can_hold_more_properties_than_allowed() -> None:
    assert MAX_EVENT // len('"":1,') < MAX_PROPERTIES


def test_the_context_of_a_batch_counts_for_each_of_its_events() -> None:
    context = b'{"library":"' + b"x" * 20_000 + b'"}'
    body = b'{"context":' + context + b',"batch":[' + b",".join([FIRST] * 300) + b"]}"
    decoded = request(body)
    assert len(decoded.events) == MAX_REQUEST // len(context)
    assert codes(decoded) == ["batch_too_long"]
    assert codes(request(b'{"context":' + context + b',"batch":[' + track(properties={"x": "y" * 13_000}) + b"]}")) == [
        "event_too_large"
    ]


# What is cut off


@pytest.mark.parametrize("separator", [b",", b" ,\n"])
def test_of_a_batch_that_is_cut_off_anywhere_nothing_vanishes(separator: bytes) -> None:
    events = [FIRST, track(event='é "quoted" {[,'), LAST]
    head = b'{"writeKey":"k","batch":['
    body = head + separator.join(events)
    begins = [body.index(event) for event in events]
    ends = [begin + len(event) for begin, event in zip(begins, events, strict=True)]
    for size in range(ends[0], len(body) + 1):
        decoded = request(body[:size])
        whole = sum(end <= size for end in ends)
        begun = sum(begin < size for begin in begins)
        assert decoded.write_key == "k"
        assert len(decoded.events) == whole
        assert codes(decoded) == ["malformed_json"] * (begun - whole)


def test_of_a_batch_that_is_cut_off_beyond_its_limit_nothing_vanishes() -> None:
    decoded = request(b'{"batch":[' + (FIRST + b",") * (MAX_BATCH + 2) + FIRST[:-20])
    assert len(decoded.events) == MAX_BATCH
    assert [(one.code, one.count) for one in decoded.rejected] == [("batch_too_long", 3)]


# What a batch says for all


@pytest.mark.parametrize("context", [b"null", b"[]", b"{}", b'"text"', b"[" * 9000 + b"]" * 9000, b"5"])
def test_a_batch_context_that_is_no_object_counts_as_absent(context: bytes) -> None:
    (event,) = request(b'{"batch":[' + FIRST + b'],"context":' + context + b',"integrations":' + context + b"}").events
    assert event.envelope.context is UNSET
    assert event.envelope.integrations is UNSET


def test_the_context_of_a_batch_is_kept_as_it_came() -> None:
    (event,) = request(
        b'{"batch":[' + FIRST + b'],"context":{"library": {"name":"go"}},"integrations":{"All":true}}'
    ).events
    assert event.envelope.context == Raw(b'{"library": {"name":"go"}}')
    assert event.envelope.integrations == Raw(b'{"All":true}')


def test_a_batch_with_a_context_is_read_strictly() -> None:
    decoded = decode(b'{"context":{"a":1},"batch":[' + FIRST + b'],"integrations":{"b":2}}', None)
    assert decoded is not None
    (event,) = decoded.events
    assert (event.envelope.context, event.envelope.integrations) == (Raw(b'{"a":1}'), Raw(b'{"b":2}'))


def test_an_events_own_sent_at_goes_before_its_batchs() -> None:
    own = track(sentAt="own")
    assert [event.sent_at for event in request(b'{"sentAt":"batch","batch":[' + own + b"," + FIRST + b"]}").events] == [
        "own",
        "batch",
    ]


@pytest.mark.parametrize(
    "body",
    [
        b'{"writeKey":"k","batch":[{"type":"nope","writeKey":"other"}]}',
        b'{"batch":[{"type":"nope"},{"type":"nope","writeKey":"k"},' + FIRST + b"]}",
        b'{"writeKey":5,"batch":[{"type":"track","event":"e","userId":"u","writeKey":"k"}]}',
        b'{"writeKey":"","batch":[{"type":"track","event":"e","userId":"u","writeKey":"k"}]}',
        b'{"b\\u0061tch":[{"type":"track","event":"e\xff","userId":"u","writeKey":"k"}]}',
    ],
)
def test_the_write_key_is_the_bodys_or_the_first_that_an_event_has(body: bytes) -> None:
    assert request(body).write_key == "k"
