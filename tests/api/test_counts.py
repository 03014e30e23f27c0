"""Counts over time, the steps of the road, and examples of a reason, as programs ask for them."""

from typing import Any

import pytest

from milonga.facts.metered import STEPS
from milonga.workspace.roles import Role
from tests.api.serving import Served
from tests.cli.filled import EVENTS

EVER = "startTime=1970-01-01"
"""The outcomes of these tests ended in the first minutes of 1970."""


def total(api: Served, step: str, query: str = EVER) -> list[Any]:
    return [one["total"] for one in api.ask("GET", f"/delivery-overview/{step}?{query}", role=Role.viewer).data]


def test_each_step_of_the_road_is_counted(api: Served) -> None:
    assert {step: total(api, step) for step in STEPS} == {
        "successfully-received": [EVENTS],
        "failed-on-ingest": [],
        "filtered-at-source": [],
        "filtered-at-destination": [],
        "failed-delivery": [2],
        "successful-delivery": [EVENTS - 2],
    }
    assert total(api, "failed-delivery", f"{EVER}&destination=totango&source=web") == [2]
    assert total(api, "failed-delivery", f"{EVER}&destination=gone") == []
    assert total(api, "failed-delivery") == total(api, "failed-delivery", f"{EVER}&endTime=1970-01-02") == [2]
    assert total(api, "failed-delivery", "startTime=1970-01-02&endTime=1970-01-03") == []


def test_what_is_told_apart_has_its_name_and_its_series(api: Served) -> None:
    path = f"/delivery-overview/failed-delivery?{EVER}&groupBy=destination&groupBy=discardReason&granularity=day"
    answer = api.ask("GET", path).json
    (row,) = answer["data"]
    assert (row["source"], row["destination"], row["discardReason"]) == (None, "totango", "http_400")
    assert row["series"] == [{"time": "1970-01-01T00:00:00.000Z", "count": 2}]
    assert (answer["pagination"]["startTime"], answer["pagination"]["granularity"]) == (
        "1970-01-01T00:00:00.000Z",
        "day",
    )


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("groupBy=eventName", "groupBy"),
        ("groupBy=destination", "groupBy"),
        ("destination=totango", "destination"),
        ("appVersion=1", "appVersion"),
        ("startTime=1h&endTime=2h", "startTime"),
        ("startTime=3d&granularity=minute", "granularity"),
        ("startTime=1970-01-01&granularity=hour", "granularity"),
        ("granularity=week", "granularity"),
    ],
)
def test_what_is_not_counted_is_told(query: str, field: str, api: Served) -> None:
    answer = api.ask("GET", f"/delivery-overview/successfully-received?{query}")
    assert (answer.status, answer.json["field"]) == (422, field), answer.body
    assert field != "groupBy" or "know nothing else of events" in answer.json["detail"]


def test_a_source_or_destination_that_never_was_is_told(api: Served) -> None:
    assert api.ask("GET", "/delivery-overview/failed-delivery?destination=nobody").status == 404
    assert api.ask("GET", "/delivery-overview/failed-delivery?source=nobody").status == 404
    assert api.ask("GET", "/destinations/nobody/delivery-metrics").status == 404


def test_the_finest_periods_are_taken_that_the_time_allows(api: Served) -> None:
    for since, granularity in (("2d", "minute"), ("3d", "hour"), ("62d", "hour"), ("63d", "day"), ("900d", "day")):
        found = api.ask("GET", f"/destinations/totango/delivery-metrics?startTime={since}").data
        assert found["granularity"] == granularity


def test_how_a_destination_was_delivered_to(api: Served) -> None:
    found = api.ask("GET", f"/destinations/totango/delivery-metrics?{EVER}", role=Role.viewer).data
    assert (found["destination"], found["source"], found["delivered"]) == ("totango", "web", EVENTS - 2)
    assert found["notDelivered"] == [{"state": "dead", "code": "http_400", "events": 2}]
    assert found["p50Ms"] == found["series"][0]["p50Ms"] is not None
    removed = api.ask("GET", f"/destinations/gone/delivery-metrics?{EVER}").data
    assert (removed["destination"], removed["delivered"], removed["waiting"]) == ("gone (removed)", 0, None)


def test_how_much_waited_is_told_as_finely_as_it_is_kept(api: Served) -> None:
    def asked(query: str) -> tuple[str, bool]:
        found = api.ask("GET", f"/destinations/totango/backlog?{query}", role=Role.viewer).json
        assert (found["data"]["destination"], found["data"]["waited"], found["data"]["series"]) == ("totango", None, [])
        return found["data"]["granularity"], any("nothing is known before" in said for said in found.get("notes", []))

    assert asked("") == asked("startTime=24h") == ("minute", False)
    assert asked("startTime=26h") == asked("startTime=14d") == ("hour", False)
    assert asked("startTime=26h&granularity=minute") == ("minute", True)
    assert asked("startTime=16d") == ("hour", True)
    assert asked("startTime=14d&granularity=day") == ("day", False)
    assert api.ask("GET", "/destinations/totango/backlog?startTime=3d&granularity=minute").status == 422
    assert api.ask("GET", "/destinations/gone/backlog").data["destination"] == "gone (removed)"


def test_the_volume_of_events_is_that_of_the_log(api: Served) -> None:
    (row,) = api.ask("GET", f"/events/volume?{EVER}", role=Role.viewer).data
    assert (row["source"], row["accepted"], row["refused"]) == ("web", EVENTS, 0)
    assert sum(one["accepted"] for one in row["series"]) == EVENTS
    assert api.ask("GET", f"/events/volume?{EVER}&source=web").data == [row]


def test_a_sources_destinations_are_those_that_are_there(api: Served) -> None:
    found = api.ask("GET", "/sources/web/connected-destinations", role=Role.viewer).data
    assert [(one["name"], one["source"]) for one in found] == [("totango", "web")]
    assert api.ask("GET", "/sources/nobody/connected-destinations").status == 404


def test_examples_of_a_reason_come_with_their_event(api: Served) -> None:
    path = "/problems/examples?destination=totango&code=http_400&state=dead"
    found = api.ask("GET", path, role=Role.viewer).data
    assert sorted(one["position"]["offset"] for one in found) == [EVENTS - 1, EVENTS]
    assert {(one["type"], one["account"], one["since"]) for one in found} == {("track", "acme", None)}
    first = api.ask("GET", f"{path}&count=1").json
    assert first["data"] == found[:1]
    assert api.ask("GET", f"{path}&cursor={first['pagination']['next']}").status == 200
    assert api.ask("GET", "/problems/examples?destination=totango&code=nothing").data == []
    assert api.ask("GET", "/problems/examples?destination=totango").json["field"] == "code"


def test_events_may_come_with_what_became_of_them(api: Served) -> None:
    found = api.ask("GET", "/events?count=3&outcomes=true").data
    at = [{one["destination"]: one["state"] for one in event["outcomes"]} for event in found]
    assert [one["totango"] for one in at] == ["dead", "dead", "delivered"]
    assert "outcomes" not in api.ask("GET", "/events?count=1").data[0]


def test_how_everything_stands_is_told_at_once(api: Served) -> None:
    found = api.ask("GET", "/overview", role=Role.viewer).data
    source = next(one for one in found["sources"] if one["name"] == "web")
    assert (source["last"], source["troubles"]) == (None, [])
    destination = next(one for one in found["destinations"] if one["name"] == "totango")
    assert (destination["retrying"], destination["parked"], destination["deadLetters"]) == (0, 0, 2)
