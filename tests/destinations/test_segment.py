"""What is special about forwarding: times that are corrected once, marks, batches; and the pretend Segment."""

import asyncio
import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milonga.destinations.contract import Json, Skip
from milonga.destinations.registry import kind
from milonga.destinations.segment.fake import MAX_BODY, PretendSegment
from milonga.destinations.segment.hops import MAX_HOPS, hops
from milonga.destinations.segment.settings import Settings
from milonga.destinations.segment.translate import translate
from milonga.destinations.segment.wire import MAX_BATCH, MAX_EVENT, MAX_EVENTS
from milonga.identity.clock import happened_at, parse_time
from milonga.spec.event import Event
from tests.destinations.client import Answer, Client
from tests.destinations.events import event

KEY = "key-of-the-source"
READY = Settings(write_key=KEY, instance="a1")

times = st.integers(0, 4_102_444_800_000)  # 1970 to 2100


def forwarded(one: Event, chosen: Settings = READY) -> dict[str, Any]:
    result = translate(one, chosen)
    assert not isinstance(result, Skip), result
    assert isinstance(result[0].body, Json)
    (found,) = result[0].body.value["batch"]
    assert isinstance(found, dict)
    return found


# Times


@given(happened=times, later=times)
@settings(max_examples=100, deadline=None)
def test_whenever_the_next_receiver_gets_it_it_dates_an_event_as_we_did(happened: int, later: int) -> None:
    one = msgspec.structs.replace(
        event("track", event="Saved", timestamp="2001-01-01T00:00:00Z", sentAt="2001-01-01T00:00:05Z"),
        timestamp=happened,
        received_at=happened + 5_000,
    )
    sent = forwarded(one)
    assert "sentAt" not in sent
    assert happened_at(parse_time(sent["timestamp"]), parse_time(sent.get("sentAt")), later) == happened


def test_what_was_not_stamped_keeps_the_time_it_came_with() -> None:
    assert forwarded(event("track", event="Saved", timestamp="yesterday"))["timestamp"] == "yesterday"
    assert "timestamp" not in forwarded(event("track", event="Saved"))


# Marks


def test_an_event_is_forwarded_three_times_whoever_does_it() -> None:
    one, chain = event("track", event="Saved"), []
    for mark in ("a", "b", "c", "d"):
        result = translate(one, Settings(write_key=KEY, instance=mark))
        if isinstance(result, Skip):
            assert result.code == "loop"
            break
        assert isinstance(result[0].body, Json)
        (sent,) = result[0].body.value["batch"]
        chain.append(mark)
        assert hops(sent["context"]) == chain
        one = event("track", event="Saved", context=sent["context"])
    assert len(chain) == MAX_HOPS


@pytest.mark.parametrize(
    "odd", [{"hops": {"a1": 1}}, {"hops": None}, "a1", ["a1"], None, {"hops": [["a1"], {"a1": 1}]}]
)
def test_marks_that_are_none_do_no_harm(odd: Any) -> None:
    sent = forwarded(event("track", event="Saved", context={"milonga": odd}))
    assert sent["context"]["milonga"]["hops"][-1] == "a1"


# Sizes


def test_an_event_of_the_size_we_take_in_can_be_forwarded_unless_the_mark_was_one_too_much() -> None:
    one = event("track", event="Saved", properties={"text": ""})
    room = MAX_EVENT - len(msgspec.json.encode(forwarded(one)))
    assert translate(event("track", event="Saved", properties={"text": "x" * room}), READY)
    result = translate(event("track", event="Saved", properties={"text": "x" * (room + 1)}), READY)
    assert isinstance(result, Skip)
    assert (result.code, "32,769" in result.fix) == ("event_too_large", True)


def test_a_full_batch_stays_within_what_the_pretend_one_takes() -> None:
    batch = kind("segment").batch
    assert batch is not None
    assert (batch.events, batch.size) == (MAX_EVENTS, MAX_BATCH)
    assert MAX_BATCH + len('{"batch":[]}') < MAX_BODY


# The pretend one


def basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"{key}:".encode()).decode()


async def sent_to(client: Client, body: object, key: str = KEY, path: str = "/v1/batch") -> Answer:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client.ask("POST", path, encoded, authorization=basic(key), content_type="application/json")


def test_the_pretend_segment_answers_as_the_real_one() -> None:
    async def live() -> None:
        one = {"type": "track", "event": "Saved", "userId": "ada"}
        async with PretendSegment(secrets=[KEY]) as fake, Client(fake.url) as client:
            for number, path in enumerate(("/v1/batch", "/v1/b", "/v1/import/", "/elsewhere/batch")):
                answer = await sent_to(client, {"batch": [{**one, "messageId": f"b-{number}"}]}, path=path)
                assert (answer.status, answer.json()) == (200, {"success": True})
            for number, path in enumerate(("/v1/track", "/v1/t", "/v1/page")):
                answer = await sent_to(client, {"userId": "ada", "messageId": f"s-{number}"}, path=path)
                assert (answer.status, answer.json()) == (200, {"success": True})
            assert (await sent_to(client, {"batch": [{**one, "messageId": "b-0"}, one, one]})).status == 200
            assert (await sent_to(client, {"batch": [one]}, key="key-of-nobody")).status == 200
            assert (await sent_to(client, {"batch": [{**one, "text": "x" * MAX_EVENT}, 7]})).status == 200
            for body, key, code in (
                (b"[ , , ]", KEY, "invalid_json"),
                ([1], KEY, "invalid_json"),
                ({"batch": []}, "short", "invalid_write_key"),
                ({"batch": ["x" * MAX_BODY]}, KEY, "request_too_large"),
            ):
                answer = await sent_to(client, body, key=key)
                assert (answer.status, answer.json()["code"]) == (400, code)
            in_body = await client.ask("POST", "/v1/batch", json.dumps({"writeKey": KEY, "batch": [one]}).encode())
            assert in_body.status == 200
            told = (await client.ask("GET", "/_summary")).json()
            assert told["types"] == {"track": 9, "page": 1}
            assert (told["duplicates"], told["discarded"]) == (1, 2)
            assert told["writeKeys"] == {"known": 10, "unknown": 1, "refused": 4}
            page = (await client.ask("GET", "/")).body.decode()
            assert "track: 9" in page
            assert (await client.ask("DELETE", "/_requests")).status == 200
            assert (await client.ask("GET", "/_summary")).json()["types"] == {}

    asyncio.run(live())
