"""What people are told who try an event out: only what is so."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from milonga.destinations.contract import Form, Notice, Skip
from milonga.destinations.registry import kind, kinds
from milonga.destinations.totango.notices import MOST
from milonga.spec.event import Event, EventType
from tests.destinations.events import event, events, nested
from tests.destinations.ready import ready
from tests.destinations.test_commands import SETTINGS, lines, milonga

TOTANGO = kind("totango")


def told(one: Event, **chosen: Any) -> list[Notice]:
    return list(TOTANGO.notices(one, replace(ready(TOTANGO), **chosen)))


def group(traits: dict[str, Any], **more: Any) -> Event:
    return event("group", groupId="acme", userId="ada", traits=traits, **more)


def codes(found: list[Notice]) -> list[tuple[str, str]]:
    return [(one.code, one.field) for one in found]


@pytest.mark.parametrize(
    ("traits", "said"),
    [
        ({"plan": "Pro"}, []),
        ({"Status": "Paying"}, []),
        ({}, [("default_status", "traits.plan")]),
        ({"plan": ["Pro"]}, [("default_status", "traits.plan")]),
        ({"plan": "Pro", "createdAt": "12/31/2023"}, [("odd_date", "traits.createdAt")]),
        ({"plan": "Pro", "created_at": "2023-12-31"}, []),
        ({"plan": "Pro", "created": 0}, []),
        ({"plan": "Pro", "created": False}, [("odd_date", "traits.created")]),
        ({"plan": "Pro", "created": "soon", "Create Date": "2023-12-31"}, []),
        ({"plan": "Pro", "renewal": "31.12.2023"}, [("maybe_date", "traits.renewal")]),
        ({"plan": "Pro", "renewal": "2023-12-31"}, []),
        ({"plan": "Pro", "name": "x" * 129}, [("cut", "traits.name")]),
        ({"plan": "Pro", "name": "x" * 128, "notes": "x" * 512}, []),
        ({"plan": "Pro", "notes": "x" * 513}, [("cut", "traits.notes")]),
        ({"plan": "Pro" * 200}, [("cut", "traits.plan")]),
        ({"plan": "Pro", "address": {"street": "x" * 513}}, [("cut", "traits.address_street")]),
        ({"plan": "Pro", "tags": ["x" * 300, "y" * 300]}, [("cut", "traits.tags")]),
        ({"plan": "Pro", "seats": [{"a": "x" * 600}]}, [("left_out", "traits.seats")]),
        ({"plan": "Pro", "n" * 101: 1}, [("name_too_long", f"traits.{'n' * 60}")]),
        ({"plan": "Pro", "contract_value": 7}, [("computed", "traits.contract_value")]),
        ({"plan": "Pro", "parent_id": "p" * 481}, [("id_left_out", "traits.parent_id")]),
        ({"plan": "Pro", "parent_id": {"odd": 1}}, []),
    ],
)
def test_what_becomes_of_an_accounts_traits_is_told(traits: dict[str, Any], said: list[tuple[str, str]]) -> None:
    assert codes(told(group(traits))) == said


def test_the_default_status_is_named_and_none_is_told_where_none_is_sent() -> None:
    (one,) = told(group({}), default_plan="Trial")
    assert "Status is set to Trial, also if it had another" in one.says
    assert told(group({}), default_plan="") == []


def test_what_becomes_of_a_users_traits_is_told() -> None:
    found = told(
        event("identify", userId="ada", context={"groupId": "acme"}, traits={"bio": "x" * 256, "created": "?"})
    )
    assert codes(found) == [("cut", "traits.bio"), ("odd_date", "traits.created")]
    assert "“?” cannot be read as a date" in found[1].says


@pytest.mark.parametrize(
    ("type_", "fields", "said"),
    [
        ("track", {"event": "Saved", "properties": {"category": "Reports"}}, []),
        ("track", {"event": "Saved"}, [("default_module", "properties.category")]),
        ("track", {"event": "x" * 191, "properties": {"category": "Reports"}}, [("cut", "event")]),
        ("track", {"event": "Saved", "properties": {"category": "x" * 101}}, [("cut", "properties.category")]),
        ("page", {"name": "x" * 190, "category": "Reports"}, [("cut", "name")]),
        ("page", {}, []),
        ("screen", {"name": "x" * 300}, []),
    ],
)
def test_what_becomes_of_an_activity_is_told(
    type_: EventType, fields: dict[str, Any], said: list[tuple[str, str]]
) -> None:
    one = event(type_, **fields)
    assert codes(told(one)) == said


def test_an_activity_of_the_past_counts_as_done_when_it_is_sent() -> None:
    one = event("track", event="Saved", properties={"category": "Reports"})
    at = 1_709_648_527_123
    assert told(replace(one, timestamp=at, received_at=at + 1_000)) == []
    assert codes(told(replace(one, timestamp=at, received_at=at + 3_600_001))) == [("dated_by_arrival", "timestamp")]


def test_an_event_that_is_not_sent_has_no_notices() -> None:
    assert told(event("group", groupId="acme", traits={"name": "x" * 999}), service_id="") == []


@pytest.mark.parametrize("name", kinds())
@given(one=events)
@settings(max_examples=60, deadline=None)
def test_notices_of_any_event_are_few_and_can_be_shown(name: str, one: Event) -> None:
    each = kind(name)
    chosen = ready(each)
    found = each.notices(one, chosen)
    assert len(found) <= MOST
    for notice in found:
        assert notice.code
        assert notice.says.endswith(".")
        assert len(notice.says) < 400
        json.dumps([notice.field, notice.says], ensure_ascii=False).encode()
    if isinstance(each.translate(one, chosen), Skip):
        assert not found


@given(one=events)
@settings(max_examples=120, deadline=None)
def test_what_is_said_to_be_cut_is_as_long_as_totango_takes(one: Event) -> None:
    result = TOTANGO.translate(one, ready(TOTANGO))
    lengths = set()
    for request in () if isinstance(result, Skip) else result:
        assert isinstance(request.body, Form)
        lengths |= {len(value) for value in request.body.params.values()}
    for notice in told(one):
        if notice.code == "cut":
            limit = int(notice.says.partition("takes ")[2].partition(":")[0])
            assert limit in lengths


def test_an_event_nested_as_deeply_as_any_has_its_notices() -> None:
    objects, lists = nested(60)
    assert codes(told(group({"plan": "Pro", "objects": objects, "lists": lists}))) == []


def test_the_command_tells_them() -> None:
    given = json.dumps({"type": "group", "groupId": "acme", "traits": {"name": "Acme"}}).encode()
    (answer,) = lines(milonga("translate", "totango", "--notices", "--settings", SETTINGS, given=given))
    assert [one["code"] for one in answer["notices"]] == ["default_status"]
    assert answer["requests"][0]["sdr_o.Status"] == "Free"
