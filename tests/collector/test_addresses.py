"""Which events get the sender's address as their context.ip."""

import json
from typing import Any

import pytest

from tests.collector.parts import Bench, track

SENDER = "192.0.2.1"  #: of every request that a bench posts


def ips(body: Any, path: str = "/v1/batch", **settings: Any) -> list[Any]:
    bench = Bench()
    bench.set(**settings)
    assert bench.post(path, body).status == 200
    assert [stamped.body for stamped in bench.log.events] == [
        json.dumps(one, separators=(",", ":")).encode() for one in body.get("batch", [body])
    ]
    return [event.context.get("ip") for event in bench.events]


def library(name: Any, **context: Any) -> dict[str, Any]:
    return {"library": {"name": name, "version": "1"}, **context}


@pytest.mark.parametrize(
    "name",
    [
        "analytics.js",
        "analytics-kotlin",
        "analytics-swift",
        "analytics-android",
        "analytics-ios",
        "analytics-react-native",
        "@segment/analytics-react-native",
        "analytics_flutter",
        "Analytics-CSharp",
        "amp",
    ],
)
def test_what_runs_at_the_users_has_its_address(name: str) -> None:
    assert ips(track(context=library(name)), "/v1/track") == [SENDER]
    assert ips({"batch": [track(context=library(name))]}) == [SENDER]


@pytest.mark.parametrize(
    "context",
    [
        {},
        library("analytics-python"),
        library("@segment/analytics-node"),
        library("analytics-ruby"),
        library("analytics-php"),
        library("analytics-go"),
        library("analytics-java"),
        library("Analytics.NET"),
        library(None),
        library(5),
        library({"name": "analytics.js"}),
        library("analytics.js" * 100),
        {"library": "analytics.js"},
        {"library": None},
        {"direct": False},
        {"direct": "true"},
        {"direct": 1},
    ],
)
def test_what_a_server_sends_has_none(context: dict[str, Any]) -> None:
    assert ips(track(context=context), "/v1/track") == [None]
    assert ips({"batch": [track()], "context": context}) == [None]


def test_a_server_may_ask_for_it() -> None:
    assert ips(track(context=library("analytics-python", direct=True)), "/v1/track") == [SENDER]
    assert ips({"batch": [track(), track(messageId="m2", context={"direct": False})], "context": {"direct": True}}) == [
        SENDER,
        None,
    ]


def test_the_library_of_the_batch_counts_where_the_event_has_none() -> None:
    events = [track(), track(messageId="m2", context=library("analytics-python"))]
    assert ips({"batch": events, "context": library("analytics-kotlin")}) == [SENDER, None]


def test_each_event_of_a_batch_is_looked_at() -> None:
    names = ["analytics.js", "analytics-python", "analytics.js", None, "amp"]
    events = [track(messageId=str(n), context=library(name)) for n, name in enumerate(names)]
    assert ips({"batch": events}) == [SENDER, None, SENDER, None, SENDER]


@pytest.mark.parametrize("own", ["203.0.113.5", "0.0.0.0", "2001:db8::1", "", False])
@pytest.mark.parametrize("setting", ["auto", "always"])
def test_an_address_that_the_sender_gives_stays(setting: str, own: Any) -> None:
    """0.0.0.0 is how an SDK says that it wants none."""
    assert ips(track(context=library("analytics.js", ip=own)), "/v1/track", ip=setting) == [own]
    assert ips({"batch": [track(context=library("analytics.js"))], "context": {"ip": own}}, ip=setting) == [own]


@pytest.mark.parametrize("setting", ["auto", "always"])
def test_null_is_no_address(setting: str) -> None:
    assert ips(track(context=library("analytics.js", ip=None)), "/v1/track", ip=setting) == [SENDER]


def test_the_setting_of_the_source_decides() -> None:
    events = [track(context=library("analytics.js")), track(messageId="m2"), track(messageId="m3", context=[])]
    assert ips({"batch": events}, ip="auto") == [SENDER, None, None]
    assert ips({"batch": events}, ip="always") == [SENDER, SENDER, SENDER]
    assert ips({"batch": events}, ip="never") == [None, None, None]


def test_what_was_received_stays_as_it_was() -> None:
    bench = Bench()
    bench.post("/v1/track", track(context=library("analytics.js")))
    (event,) = bench.events
    assert event.context == {**library("analytics.js"), "ip": SENDER}
    assert event.received["context"] == library("analytics.js")
    assert bench.log.events[0].stamp.ip == SENDER
