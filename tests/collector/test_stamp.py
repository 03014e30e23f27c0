"""What the collector finds out about an event and keeps beside its bytes."""

from typing import Any

import msgspec

from milonga.spec.event import Account
from tests.collector.parts import NOW, Bench, track

RECEIVED = int(NOW * 1000)


def test_the_bytes_are_kept_as_they_came() -> None:
    bench = Bench()
    body = b'{ "userId": "u1",\n "event":"Paid", "properties": {"price": 42.990, "price": 1e2}, "other": [ ] }'
    assert bench.post("/v1/track", body).status == 200
    assert bench.log.events[0].body == body


def test_an_event_is_stamped() -> None:
    bench = Bench()
    bench.post(
        "/v1/batch",
        {
            "batch": [track(userId=7, timestamp="2026-11-22T00:00:00Z", context={"group_id": "acme"})],
            "sentAt": "2026-11-22T00:30:00Z",
        },
    )
    (stamped,) = bench.log.events
    found = msgspec.to_builtins(stamped.stamp)
    assert found == {
        "source": 1,
        "type": "track",
        "message_id": "m1",
        "own_message_id": True,
        "user_id": "7",
        "anonymous_id": None,
        "account": "acme",
        "account_found": "context.groupId",
        "received_at": RECEIVED,
        "timestamp": RECEIVED - 30 * 60 * 1000,
        "original_timestamp": "2026-11-22T00:00:00Z",
        "sent_at": "2026-11-22T00:30:00Z",
        "ip": None,
    }


def test_all_events_of_a_batch_arrive_at_the_same_time() -> None:
    ticks = iter([NOW, NOW + 1, NOW + 2, NOW + 3])
    bench = Bench(clock=lambda: next(ticks))
    bench.post("/v1/batch", {"batch": [track(messageId=str(number)) for number in range(9)]})
    assert len({event.received_at for event in bench.events}) == 1


def test_each_event_is_corrected_by_its_own_sent_at_first() -> None:
    bench = Bench()
    at = "2026-11-22T00:00:00Z"
    own, other, neither = (
        track(messageId="1", timestamp=at, sentAt="2026-11-22T00:00:01Z"),
        track(messageId="2", timestamp=at),
        track(messageId="3"),
    )
    bench.post(
        "/v1/batch", {"batch": [own, other, own | {"messageId": "4"}, neither], "sentAt": "2026-11-22T00:00:02Z"}
    )
    assert [event.timestamp for event in bench.events] == [
        RECEIVED - 1000,
        RECEIVED - 2000,
        RECEIVED - 1000,
        RECEIVED,
    ]


def test_events_without_id_get_ones_that_never_make_duplicates() -> None:
    bench = Bench()
    unusable: list[Any] = [None, "", True, {}]
    for id_ in unusable:
        bench.post("/v1/track", track(messageId=id_))
    assert len({event.message_id for event in bench.events}) == 4
    assert not any(stamped.stamp.own_message_id for stamped in bench.log.events)


def test_copies_with_an_over_long_id_are_still_duplicates() -> None:
    bench = Bench()
    for id_ in ("x" * 101, "x" * 101, "x" * 102):
        bench.post("/v1/track", track(messageId=id_))
    assert len(bench.events) == 2
    assert all(len(event.message_id or "") == 100 for event in bench.events)


def test_what_a_batch_says_for_all_is_merged_under_each_event() -> None:
    bench = Bench()
    body: dict[str, Any] = {
        "batch": [track(context={"library": {"name": "own"}}), track(messageId="m2")],
        "context": {"library": {"name": "analytics-go"}, "groupId": "acme"},
        "integrations": {"All": True},
        "messageId": "of the batch",
    }
    bench.post("/v1/batch", body)
    first, second = bench.events
    assert first.context == {"library": {"name": "own"}, "groupId": "acme"}
    assert second.context == {"library": {"name": "analytics-go"}, "groupId": "acme"}
    assert second.integrations == {"All": True}
    assert first.account == second.account == Account("acme", "context.groupId")
    assert [first.message_id, second.message_id] == ["m1", "m2"]
