"""Segment's own SDKs, unmodified, against a collector on a real socket: each event arrives once."""

import json
import math
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from segment.analytics.client import Client

from milonga.spec.event import Event, Track
from tests.collector.parts import KEY, Bench, Server

NODE = Path(__file__).parent.parent / "node"


def properties(event: Event) -> Any:
    assert isinstance(event.call, Track)
    return event.call.properties


def names(bench: Bench) -> list[str | None]:
    return [event.call.name for event in bench.events if isinstance(event.call, Track)]


# Python


@contextmanager
def python_sdk(server: Server, **options: Any) -> Iterator[Client]:
    """The client; on leaving, everything it was given has been sent."""
    failed: list[Exception] = []
    options |= {"host": server.url, "upload_interval": 0.05, "max_retries": 3}
    client = Client(KEY, on_error=lambda error, _: failed.append(error), **options)
    yield client
    client.shutdown()
    for consumer in client.consumers or []:
        assert not consumer.is_alive()
    assert failed == []


@pytest.mark.parametrize("packed", [False, True])
def test_pythons_calls_arrive(packed: bool) -> None:
    bench = Bench()
    context = {"groupId": "acme"}
    with bench.listening() as server, python_sdk(server, gzip=packed) as client:
        client.identify("u1", {"email": "u1@example.com"}, context=context)
        client.group("u1", "acme", {"name": "Acme"})
        client.track("u1", "Paid", {"category": "Billing"}, context=context)
        client.page("u1", "App", "Home", context=context)
        client.screen(anonymous_id="a1", name="Home")
        client.alias("u1", "u2")
    assert [event.type for event in bench.events] == ["identify", "group", "track", "page", "screen", "alias"]
    assert [event.account.id if event.account else None for event in bench.events] == ["acme"] * 4 + [None, None]
    assert bench.ledger.discards == []


@pytest.mark.parametrize("packed", [False, True])
def test_a_thousand_events_of_python_arrive_once_and_in_order(packed: bool) -> None:
    bench = Bench()
    with bench.listening() as server, python_sdk(server, gzip=packed) as client:
        for number in range(1000):
            client.track(f"u{number % 7}", f"Event {number}", {"number": number})
    assert [properties(event)["number"] for event in bench.events] == list(range(1000))
    assert bench.collector.counts["duplicate"] == 0


def test_hostile_values_of_python_spoil_neither_event_nor_neighbours() -> None:
    bench = Bench()
    hostile = {
        "nan": math.nan,
        "infinity": math.inf,
        "half": "a\ud83d",
        "emoji": "\U0001f600",
        "nul": "a\0b",
        "huge": 10**4000,
        "nested": {"list": [1, [2, [3]]]},
        "": "empty key",
    }
    with bench.listening() as server, python_sdk(server) as client:
        client.track("u1", "before")
        client.track("u1", "hostile", hostile)
        client.track("u1", "after")
    assert names(bench) == ["before", "hostile", "after"]
    assert properties(bench.events[1]) == {
        "nan": None,
        "infinity": None,
        "half": "a\ufffd",
        "emoji": "\U0001f600",
        "nul": "a\0b",
        "huge": 10**4000,
        "nested": {"list": [1, [2, [3]]]},
        "": "empty key",
    }


def test_pythons_numeric_and_anonymous_ids_arrive() -> None:
    bench = Bench()
    with bench.listening() as server, python_sdk(server) as client:
        client.identify(12345)
        client.track(anonymous_id="a1", event="Seen")
    assert [(event.user_id, event.anonymous_id) for event in bench.events] == [("12345", None), (None, "a1")]


def test_python_retries_while_the_log_is_full_and_loses_nothing() -> None:
    bench = Bench()
    bench.log.full = True
    with bench.listening() as server, python_sdk(server) as client:
        client.track("u1", "Paid")
        deadline = time.monotonic() + 10
        while bench.collector.counts["log_full"] == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        bench.log.full = False
    assert names(bench) == ["Paid"]
    assert bench.collector.counts["log_full"] == 1


# Node


def node_sdk(server: Server, scenario: str) -> list[str]:
    """Run one scenario of tests/node/send.js; the message ids it sent."""
    node = shutil.which("node")
    assert node is not None, "Node is needed for this test"
    assert (NODE / "node_modules").is_dir(), "Segment's Node SDK is missing: `make test` installs it"
    done = subprocess.run(
        [node, "send.js", server.url, scenario], cwd=NODE, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ids: list[str] = json.loads(done.stdout)["ids"]
    return ids


def test_nodes_calls_arrive() -> None:
    bench = Bench()
    with bench.listening() as server:
        sent = node_sdk(server, "calls")
    assert [event.message_id for event in bench.events] == sent
    assert [event.type for event in bench.events] == ["identify", "group", "track", "page", "screen", "alias"]
    assert [event.account.id if event.account else None for event in bench.events] == ["acme"] * 4 + [None, None]


def test_a_thousand_events_of_node_arrive_once() -> None:
    bench = Bench()
    with bench.listening() as server:
        sent = node_sdk(server, "thousand")
    assert len(sent) == 1000
    # Batches travel over several connections at once: their order is not the SDK's to keep.
    assert sorted(event.message_id or "" for event in bench.events) == sorted(sent)
    assert bench.collector.counts["duplicate"] == 0


def test_hostile_values_of_node_spoil_neither_event_nor_neighbours() -> None:
    bench = Bench()
    with bench.listening() as server:
        node_sdk(server, "hostile")
    assert names(bench) == ["before", "hostile", "after"]
    got = properties(bench.events[1])
    assert (got["nan"], got["infinity"], got["half"], got["emoji"]) == (None, None, "a\ufffd", "\U0001f600")
    assert (got["nul"], got["big"], got[""]) == ("a\0b", 1.7976931348623157e308, "empty key")
    assert "undefined" not in got
