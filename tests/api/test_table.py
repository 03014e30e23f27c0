"""Every route of the table, as it is declared: who may, what it answers, and what its description says of it."""

import re
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from milonga.api.openapi import description
from milonga.api.route import Route
from milonga.api.table import BY_NAME, PREFIX, ROUTES, find
from milonga.workspace.roles import Role
from tests.api.serving import Served

NOBODY = {"{source}": "nobody", "{destination}": "nobody", "{position}": "0-99999"}


def path_of(route: Route) -> str:
    """Of things that do not exist, so that nothing is changed."""
    return re.sub(r"\{\w+\}", lambda found: NOBODY.get(found[0], "99999"), route.path)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_each_role_may_what_the_table_says_and_a_stranger_nothing(route: Route, api: Served) -> None:
    body = None if route.body is None else {"no": "thing"}
    assert api.ask(route.method, path_of(route), body, role=None).status == 401
    for role in Role:
        answer = api.ask(route.method, path_of(route), body, role=role)
        if role.may(route.role):
            assert answer.status not in (401, 403), answer.body
            assert answer.status < 500, answer.body
        else:
            assert answer.status == 403, answer.body
            assert answer.json["code"] == "not_allowed"
            assert f"the role {route.role.value}; this token has the role {role.value}." in answer.json["detail"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_what_changes_something_needs_more_than_a_viewer(route: Route) -> None:
    harmless = {"tryFilters", "tryFiltersOnRecent", "rehearseReplay", "previewEvent"}
    assert route.method == "GET" or route.role is not Role.viewer or route.name in harmless


def test_names_and_places_are_unique() -> None:
    assert len(BY_NAME) == len(ROUTES)
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


def test_each_route_is_found_by_its_own_path() -> None:
    for route in ROUTES:
        parts = route.path.split("/")[1:]
        assert find(route.method, parts).route is route


def test_the_description_is_openapi() -> None:
    validate(description())


def test_the_description_has_every_route_with_its_role(api: Served) -> None:
    found = api.ask("GET", "/openapi.json", role=Role.viewer).json
    assert found == description()
    told = {
        (method.upper(), path): operation for path, item in found["paths"].items() for method, operation in item.items()
    }
    assert {key: operation["x-role"] for key, operation in told.items()} == {
        (route.method, route.path): route.role.value for route in ROUTES
    }
    assert found["servers"] == [{"url": PREFIX}]


def test_no_name_in_the_description_says_where_a_type_lives() -> None:
    assert not [name for name in description()["components"]["schemas"] if "." in name]


def strict(schema: Any) -> Any:
    """The same, in which objects have what is declared and nothing else."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    told = {name: strict(one) for name, one in schema.items()}
    if told.get("type") == "object" and isinstance(told.get("properties"), dict):
        told.setdefault("additionalProperties", False)
    return told


@pytest.fixture(scope="module")
def described() -> Any:
    return strict(description())


def fits(route: Route, answer: Any, described: Any) -> None:
    """All that is declared is there, of its type, and nothing else is."""
    path = route.path.replace("/", "~1")
    of_it = f"#/paths/{path}/{route.method.lower()}/responses/{route.status}/content/application~1json/schema"
    wrong = [
        f"{one.json_path}: {one.message}" for one in OAS31Validator(described | {"$ref": of_it}).iter_errors(answer)
    ]
    assert not wrong, "\n".join(wrong)


ANSWERS = {
    "listSources": "/sources",
    "getSource": "/sources/web",
    "getSourceSetup": "/sources/web/setup",
    "listDestinations": "/destinations?removed=true",
    "getDestination": "/destinations/totango",
    "countWaiting": "/destinations/totango/waiting",
    "listHistory": "/destinations/totango/history",
    "listFilters": "/destinations/totango/filters",
    "listDestinationKinds": "/catalog/destinations",
    "getDestinationKind": "/catalog/destinations/totango",
    "listEvents": "/events?account=acme&count=3&outcomes=true",
    "getEvent": "/events/0-7",
    "getStory": "/events/0-120/story",
    "listDeadLetters": "/dead-letters?events=true",
    "countDeadLetters": "/dead-letters/counts",
    "listDiscards": "/discards",
    "countDiscards": "/discards/counts",
    "getEventsVolume": "/events/volume?startTime=1970-01-01",
    "listSuccessfullyReceived": "/delivery-overview/successfully-received?startTime=1970-01-01",
    "listFailedOnIngest": "/delivery-overview/failed-on-ingest?startTime=1970-01-01",
    "listFilteredAtSource": "/delivery-overview/filtered-at-source?startTime=1970-01-01",
    "listFilteredAtDestination": "/delivery-overview/filtered-at-destination?startTime=1970-01-01&granularity=day",
    "listFailedDelivery": "/delivery-overview/failed-delivery?startTime=1970-01-01&groupBy=discardReason",
    "listSuccessfulDelivery": "/delivery-overview/successful-delivery?startTime=1970-01-01&groupBy=destination",
    "getDeliveryMetrics": "/destinations/totango/delivery-metrics?startTime=1970-01-01&endTime=1970-01-02",
    "getBacklog": "/destinations/totango/backlog?startTime=1970-01-01&endTime=1970-01-02",
    "listConnectedDestinations": "/sources/web/connected-destinations",
    "getOverview": "/overview",
    "listExamples": "/problems/examples?destination=totango&code=http_400&state=dead",
    "listReplays": "/replays",
    "listRegulations": "/regulations",
    "listSuppressions": "/suppressions?user=ada",
    "listUsers": "/users",
    "listTokens": "/tokens",
    "listAudit": "/audit",
    "getHealth": "/health",
    "listAttention": "/attention",
    "listAccounts": "/accounts?unnamed=true",
    "listModules": "/modules",
    "listActivities": "/activities?source=web",
    "getAdvice": "/advice",
    "countWithoutAccount": "/counts/without-account?days=30",
    "listWriteKeys": "/sources/web/writekey",
    "listProblems": "/problems",
    "listStories": "/stories?account=acme&count=2",
    "listReceived": "/received?messageId=m7",
    "getSummary": "/summary?account=acme",
    "countParkedKeys": "/parked-keys/counts",
    "listParkedKeys": "/parked-keys?destination=totango",
    "listParkedEvents": "/parked-events?destination=totango&events=true",
}


@pytest.mark.parametrize(("name", "path"), ANSWERS.items())
def test_answers_have_the_shape_that_is_declared(name: str, path: str, api: Served, described: Any) -> None:
    route = BY_NAME[name]
    answer = api.ask(route.method, path)
    assert answer.status == route.status, answer.body
    fits(route, answer.json, described)


def test_the_answer_of_every_list_is_held_against_its_description() -> None:
    assert [route.name for route in ROUTES if route.listed and route.name not in ANSWERS] == []


def test_no_route_is_missing_in_the_docs() -> None:
    rows = "".join(f"| `{one.method} {one.path}` | {one.role.value} | {one.summary} |\n" for one in ROUTES)
    assert rows in (Path(__file__).parents[2] / "docs/api.md").read_text(), rows
