"""Milonga in front of a tracking API, and of another Milonga: real processes, chained and in a circle."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from typing import Any, NamedTuple

import pytest

from milonga.destinations.segment.fake import pretend
from tests.receiving import Receiving
from tests.running import PATIENCE, Milonga, eventually, track

EVENTS = 60
CLIENT = {"timestamp": "2026-11-01T10:00:00.000Z", "sentAt": "2026-11-01T10:00:05.000Z"}  # a clock that is weeks slow


class Chain(NamedTuple):
    """
    first   its source `web` goes on to the second; so does its source `back`
    second  sends what it gets to the last, and back to the first
    last    a pretend Segment that knows one write key
    """

    first: Milonga
    second: Milonga
    last: Receiving


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with ExitStack() as stack:
        last = stack.enter_context(Receiving(pretend, secrets=["key-of-the-last"]))
        first, second = (stack.enter_context(Milonga(tmp_path_factory.mktemp(name) / "data")) for name in "ab")
        for name in ("web", "back"):
            first.say("sources", "add", name, "--write-key", f"key-of-{name}")
        second.say("sources", "add", "upstream", "--write-key", "key-of-upstream")
        first.start()
        second.start()
        forward(second, "upstream", "onwards", last.url, "key-of-the-last")
        forward(second, "upstream", "returning", first.url, "key-of-back")
        for name in ("web", "back"):
            forward(first, name, f"to-second-{name}", second.url, "key-of-upstream")
        yield Chain(first, second, last)


def forward(milonga: Milonga, source: str, name: str, endpoint: str, key: str) -> None:
    settings = ("--set", f"endpoint={endpoint}", "--set", f"writeKey={key}")
    milonga.say("destinations", "add", "segment", "--source", source, "--name", name, *settings)


def post(milonga: Milonga, body: dict[str, Any]) -> int:
    connection = HTTPConnection("127.0.0.1", milonga.port, timeout=PATIENCE)
    try:
        connection.request("POST", "/v1/batch", json.dumps(body))
        return connection.getresponse().status
    finally:
        connection.close()


def received(last: Receiving) -> list[dict[str, Any]]:
    return [event for seen in last.accepted() for event in seen.params["batch"]]


def ends(milonga: Milonga, message_id: str) -> dict[str, tuple[str, str]]:
    """Destination -> state and code, of all copies of an event."""
    stories = milonga.ask("explain", message_id)
    return {at["destination"]: (at["state"], at["code"]) for story in stories for at in story["destinations"]}


def test_events_pass_two_milongas_once_each_in_order_and_dated_as_the_first_one_did(chain: Chain) -> None:
    first, second, last = chain
    events = [
        {**track(n, f"u{n % 20}", f"a{n % 5}", **CLIENT), "ours": {"n": n}, "integrations": {"Amplitude": {"x": n}}}
        for n in range(EVENTS)
    ]
    assert post(first, {"writeKey": "key-of-web", "context": {"library": {"name": "lib"}}, "batch": events}) == 200
    eventually(lambda: len({event["messageId"] for event in received(last)}) == EVENTS, "all of them have come")
    came = received(last)
    assert len(came) == EVENTS, "each once"
    assert last.received() < EVENTS, "in batches"
    for user in range(20):
        assert [event["ours"]["n"] for event in came if event["userId"] == f"u{user}"] == list(range(user, EVENTS, 20))
    for event in came:
        n = event["ours"]["n"]
        assert event["integrations"] == {"Amplitude": {"x": n}}
        assert event["properties"] == events[n]["properties"]
        assert event["context"]["library"] == {"name": "lib"}
        assert len(set(event["context"]["milonga"]["hops"])) == len(event["context"]["milonga"]["hops"]) == 2
        assert not {"sentAt", "originalTimestamp", "receivedAt", "writeKey", "milonga"} & set(event)
    (story,) = [one for one in first.ask("explain", "m-7") if one["source"] == "web"]
    (at_second,) = second.ask("explain", "m-7")
    (at_last,) = [event for event in came if event["messageId"] == "m-7"]
    assert story["timestamp"] == at_second["timestamp"] == at_last["timestamp"]
    assert story["timestamp"] != CLIENT["timestamp"], "corrected, and once"


def test_what_comes_back_to_a_milonga_ends_there(chain: Chain) -> None:
    first, second, _ = chain
    assert post(first, {"writeKey": "key-of-web", "batch": [track(1_000, "ada", "acme")]}) == 200
    eventually(lambda: ends(first, "m-1000").get("to-second-back") == ("skipped", "loop"), "it came back, and ended")
    eventually(lambda: ends(first, "m-1000").get("to-second-web") == ("delivered", ""), "forwarded once")
    eventually(lambda: ends(second, "m-1000")["returning"] == ("delivered", ""), "sent back")
    told = first.say("explain", "m-1000")
    assert "switch off the destination that sends events back" in " ".join(told.split())
    assert "its own part of a batch of up to 100" in " ".join(told.split())
    assert "key-of-upstream" not in told
