"""In what the requests of an event differ from those it became before."""

from typing import Any

from msgspec import UNSET

from milonga.destinations.contract import Form, Json, Request, Signature
from milonga.outcomes.comparing import MOST_FIELDS, Change, compare


def form(part: str = "account", url: str = "https://x.example/", **params: str) -> Request:
    return Request(part=part, method="POST", url=url, body=Form(params), secrets=frozenset({"token"}))


def json(value: Any, **more: Any) -> Request:
    return Request(part="event", method="POST", url="https://x.example/", body=Json(value), **more)


def test_the_same_requests_differ_in_nothing() -> None:
    assert compare([form(a="1"), json({"b": [1, {"c": None}]})], [form(a="1"), json({"b": [1, {"c": None}]})]) == []


def test_a_change_names_part_and_field_with_both_values() -> None:
    assert compare([form(a="1", b="2")], [form(a="1", b="3", c="4")]) == [
        Change("account.b", "2", "3"),
        Change("account.c", UNSET, "4"),
    ]


def test_json_is_compared_leaf_by_leaf_and_by_type() -> None:
    before = json({"traits": {"plan": "free", "seats": 1, "on": True}, "gone": []})
    now = json({"traits": {"plan": "paid", "seats": 1.0, "on": 1}, "list": [1]})
    assert compare([before], [now]) == [
        Change("event.body.traits.plan", "free", "paid"),
        Change("event.body.traits.seats", 1, 1.0),
        Change("event.body.traits.on", True, 1),
        Change("event.body.gone", [], UNSET),
        Change("event.body.list.0", UNSET, 1),
    ]


def test_parts_that_come_or_go_are_told_as_a_whole() -> None:
    assert compare([form()], [form(), form("product")]) == [Change("product", UNSET, "sent")]
    assert compare([form(), form("product")], [form()]) == [Change("product", "sent", UNSET)]
    assert compare([form(), form("product")], [form("product"), form()])[0].field == "order"


def test_secrets_are_compared_and_never_shown() -> None:
    found = compare([form(token="old-secret")], [form(token="new-secret")])
    assert found == [Change("account.token", "***", "***")]
    before = json({}, headers={"Authorization": "old-secret"}, secrets=frozenset({"Authorization"}))
    now = json({}, sign=Signature("m1", ("whsec_secret",)))
    assert "secret" not in repr(compare([before], [now])).replace("signingSecrets", "")


def test_what_an_address_hides_stays_hidden() -> None:
    found = compare([form(url="https://x.example/a?key=secret")], [form(url="https://x.example/b?key=secret")])
    assert found == [Change("account.url", "https://x.example/a?***", "https://x.example/b?***")]


def test_an_event_that_differs_everywhere_is_told_to_a_bound() -> None:
    many = {f"f{n}": "x" for n in range(10 * MOST_FIELDS)}
    assert len(compare([form()], [form(**many)])) == MOST_FIELDS
    deep: Any = "x"
    for _ in range(90):
        deep = {"a": deep}
    assert len(compare([json(deep)], [json({})])) == 2
