"""What SDKs do that no specification says, each by itself: it must cost no event."""

from typing import Any

import pytest

from milonga.spec.event import Account
from tests.collector.parts import KEY, NOW, Bench

AT = "2026-11-22T01:00:00.000Z"  #: Bench's own time


def track(**more: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Paid", "messageId": "m1", "userId": "ada", **more}


EVENTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "browsers and Python write null for an id they do not have": (
        track(userId=None, anonymousId="a1"),
        {"user_id": None, "anonymous_id": "a1"},
    ),
    "most leave it out": ({"type": "track", "event": "Paid", "anonymousId": "a1"}, {"user_id": None}),
    "Ruby sends numbers": (track(userId=9007199254740993), {"user_id": "9007199254740993"}),
    "Python's pages have a category that is null, and no name": (
        {"type": "page", "userId": "ada", "category": None, "properties": {}},
        {"type": "page"},
    ),
    "PHP's empty maps are lists": (
        track(properties=[], context=[], integrations=[]),
        {"context": {}, "integrations": {}},
    ),
    "PHP's empty traits are lists": ({"type": "identify", "userId": "ada", "traits": []}, {"type": "identify"}),
    "Ruby has no integrations": (track(), {"integrations": {}}),
    "browsers tell what load() was told": (
        track(integrations={"Segment.io": {"apiHost": "events.example.com/v1", "protocol": "http"}}),
        {"integrations": {"Segment.io": {"apiHost": "events.example.com/v1", "protocol": "http"}}},
    ),
    "browsers count their tries from 2": (track(_metadata={"retryCount": 2, "bundled": ["Segment.io"]}), {}),
    "Node says what it runs on": (track(_metadata={"nodeVersion": "20.20.2", "jsRuntime": "node"}), {}),
    "analytics.js loses the new id of an alias while somebody is known": (
        {"type": "alias", "userId": "ada", "previousId": "ada"},
        {"type": "alias", "user_id": "ada"},
    ),
    "Kotlin writes an empty id before it knows one": (
        track(userId="", anonymousId="a1"),
        {"user_id": None, "anonymous_id": "a1"},
    ),
}
"""Event and what must be read from it."""


@pytest.mark.parametrize("name", EVENTS)
def test_it_arrives_unharmed(name: str) -> None:
    event, read = EVENTS[name]
    bench = Bench()
    other = track(messageId="m2")
    assert bench.post("/v1/batch", {"batch": [event, other]}).status == 200
    assert bench.codes == []
    found, neighbour = bench.events
    assert found.received == event
    assert {field: getattr(found, field) for field in read} == read
    assert neighbour.received == other


@pytest.mark.parametrize(
    "id_",
    [
        "ajs-next-1795309195786-e6f4091e-6edc-4c3d-b12d-54119a5e3321",
        "node-next-1795309195786-e6f4091e-6edc-4c3d-b12d-54119a5e3321",
        "node-0cc175b9c0f1b6a831c399e269772661-e6f4091e-6edc-4c3d-b12d-54119a5e3321",
        "api-2kCfPDSEDAMsTAdvUBOTzYsBRSD",
        "E6F4091E-6EDC-4C3D-B12D-54119A5E3321",
    ],
)
def test_message_ids_of_every_form_are_kept_to_the_letter(id_: str) -> None:
    bench = Bench()
    bench.post("/v1/batch", {"batch": [track(messageId=id_)] * 2})
    assert [event.message_id for event in bench.events] == [id_]


def test_ids_that_share_most_of_their_random_part_are_two() -> None:
    """analytics.js and Node cut theirs from one buffer, each a little further on."""
    bench = Bench()
    ids = [
        "ajs-next-1795309195786-f4091e6e-dc4c-4db1-ad54-119a5e332112",
        "ajs-next-1795309195787-091e6edc-4c4d-41ad-9411-9a5e33211234",
    ]
    bench.post("/v1/batch", {"batch": [track(messageId=id_) for id_ in ids]})
    assert [event.message_id for event in bench.events] == ids


def test_a_sent_at_of_the_first_try_moves_events_towards_their_arrival_and_makes_no_second_copy() -> None:
    """Go, Java, PHP, .NET and the phones write it once; here the last of three tries arrives an hour later."""
    bench = Bench()
    old = {"batch": [track(timestamp="2026-11-21T23:59:50.000Z")], "sentAt": "2026-11-22T00:00:00.000Z"}
    for _ in range(3):
        bench.post("/v1/batch", old)
    (event,) = bench.events
    assert event.timestamp == int((NOW - 10) * 1000)


@pytest.mark.parametrize("library", ["analytics-java", "analytics-go"])
def test_a_library_named_for_the_whole_batch_is_each_events_and_its_message_id_nobodys(library: str) -> None:
    bench = Bench()
    events = [track(messageId=f"m{number}", context={"groupId": "acme"}) for number in range(3)]
    context = {"library": {"name": library, "version": "3"}}
    bench.post("/v1/import/", {"batch": events, "context": context, "messageId": "batch", "sequence": 1, "sentAt": AT})
    assert [event.message_id for event in bench.events] == ["m0", "m1", "m2"]
    assert all(event.context == {**context, "groupId": "acme"} for event in bench.events)
    assert {event.account for event in bench.events} == {Account("acme", "context.groupId")}


def test_a_megabyte_of_too_large_events_as_node_sends_it_costs_only_these() -> None:
    """Its own check of sizes lets nearly everything pass."""
    bench = Bench()
    large = [track(messageId=f"large-{number}", properties={"x": "y" * 205_000}) for number in range(5)]
    body = {"batch": [track(messageId="before"), *large, track(messageId="after")]}
    assert bench.post("/v1/batch", body).status == 200
    assert [event.message_id for event in bench.events] == ["before", "after"]
    assert bench.codes == ["event_too_large"] * 5


def test_the_browsers_single_event_of_300_kb_is_answered_200_and_counted() -> None:
    """A 400 would be no better understood: the SDK drops it either way."""
    bench = Bench()
    assert bench.post("/v1/t", track(properties={"x": "y" * 300_000})).json == {"success": True}
    assert bench.codes == ["event_too_large"]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "text/plain;charset=UTF-8", "application/json", "nonsense", None]
)
@pytest.mark.parametrize("where", ["header", "body", "both"])
def test_the_key_stands_where_the_sdk_puts_it_whatever_the_content_type(where: str, content_type: str | None) -> None:
    bench = Bench()
    body = {"batch": [track()], **({"writeKey": KEY} if where != "header" else {})}
    headers = {"content-type": content_type} if content_type else {}
    answer = bench.post("/v1/b", body, key=KEY if where != "body" else None, headers=headers)
    assert (answer.status, len(bench.events)) == (200, 1)


@pytest.mark.parametrize("path", ["/v1/import", "/v1/import/", "//v1/import/", "/v1/batch", "/v1/b", "/v1//batch/"])
def test_a_host_that_ends_in_a_slash_does_not_matter(path: str) -> None:
    bench = Bench()
    assert bench.post(path, {"batch": [track()]}).status == 200
    assert len(bench.events) == 1
