"""What filters make of an event."""

from hashlib import sha256
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from milonga.filters.chain import Chain, Dropped, check
from milonga.filters.rule import Filter
from milonga.spec.event import Event, Track
from tests.destinations.events import events
from tests.filters.made import ORDER, event, page

FIRST = {0, 2}
"""Of the users u-0 to u-7, those in a sample of a quarter: a release that chose others would change every sample."""
OPAQUE = "has(properties.plan) && properties.plan > 3"
"""Undecided for an event whose plan is a text."""


def only(one: Event | Dropped) -> Event:
    assert isinstance(one, Event)
    return one


def code(one: Event | Dropped) -> str:
    return one.code if isinstance(one, Dropped) else ""


def run(one: Event, *filters: Filter) -> Event | Dropped:
    check(filters)
    return Chain(filters).run(one)


@pytest.mark.parametrize(
    ("do", "when", "code_of_order", "code_of_page"),
    [
        ("drop", 'event.startsWith("Test")', "filter:f", ""),
        ("drop", "", "filter:f", "filter:f"),
        ("keep", 'type == "page"', "filter:f", ""),
        ("keep", 'event.startsWith("Test")', "", "filter:f"),
        ("drop", OPAQUE, "filter_failed:f", ""),
        ("keep", OPAQUE, "filter_failed:f", "filter:f"),
    ],
)
def test_drop_and_keep(do: Any, when: str, code_of_order: str, code_of_page: str) -> None:
    one = Filter(name="f", do=do, when=when)
    assert code(run(event(), one)) == code_of_order
    assert code(run(page(), one)) == code_of_page


@pytest.mark.parametrize(
    ("do", "fields", "properties"),
    [
        ("dropFields", ["properties.email"], {"email": None}),
        ("dropFields", ["properties.address.city", "properties.nope.x"], {"address": {"street": "Via 1"}}),
        ("dropFields", ["properties.items.price"], {"items": [{"sku": "a"}, {"sku": "b"}, "loose"]}),
        ("mask", ["properties.email", "properties.address"], {"email": "***", "address": "***"}),
        (
            "mask",
            ["properties.items.sku"],
            {"items": [{"sku": "***", "price": 1}, {"sku": "***", "price": 2}, "loose"]},
        ),
        ("hash", ["properties.email"], {"email": sha256(b"ada@acme.example").hexdigest()}),
        ("hash", ["properties.amount"], {"amount": sha256(b"3").hexdigest()}),
        (
            "hash",
            ["properties.address"],
            {"address": sha256(b'{"city":"Rome","street":"Via 1"}').hexdigest()},
        ),
        ("dropFields", ["properties.order id"], {"order id": None}),
    ],
)
def test_fields_are_taken_away_masked_and_hashed(do: Any, fields: list[str], properties: dict[str, object]) -> None:
    left = only(run(event(), Filter(name="f", do=do, fields=tuple(fields))))
    wanted = {name: value for name, value in {**ORDER["properties"], **properties}.items() if value is not None}
    assert left.received["properties"] == wanted
    assert isinstance(left.call, Track)
    assert left.call.properties == wanted
    assert (left.context, left.user_id, left.account) == (event().context, event().user_id, event().account)


def test_keep_fields_leaves_nothing_else_of_the_objects_it_names() -> None:
    fields = ("properties.plan", "properties.address.city", "properties.items.sku", "properties.plan.deeper")
    left = only(run(event(), Filter(name="f", do="keepFields", fields=fields)))
    assert left.received["properties"] == {
        "plan": "free",
        "address": {"city": "Rome"},
        "items": [{"sku": "a"}, {"sku": "b"}],
    }
    assert left.context == event().context


def test_the_context_is_the_same_in_both_places_where_a_destination_can_read_it() -> None:
    batched = msgspec.structs.replace(event(context=None), context={"ip": "1.2.3.4", "app": {"name": "x"}})
    for one in (event(), batched):
        left = only(run(one, Filter(name="f", do="dropFields", fields=("context.ip",))))
        assert "ip" not in left.context
        assert left.received["context"] == left.context
    left = only(run(batched, Filter(name="f", do="dropFields", fields=("context",))))
    assert (left.context, left.received.get("context")) == ({}, None)


@pytest.mark.parametrize(
    ("do", "fields"),
    [
        *(("dropFields", ("context",)), ("dropFields", ("context.milonga",)), ("keepFields", ("context.ip",))),
        *(("mask", ("context.milonga",)), ("hash", ("context.milonga.hops",)), ("mask", ("context",))),
    ],
)
def test_no_filter_takes_away_the_marks_that_end_a_circle_and_no_other_text_passes_for_one(
    do: Any, fields: tuple[str, ...]
) -> None:
    forwarded = event(context={"ip": "1.2.3.4", "milonga": {"hops": ["a1", "ada@acme.example", {"a": 1}]}})
    left = only(run(forwarded, Filter(name="f", do=do, fields=fields)))
    assert left.context["milonga"] == {"hops": ["a1"]}
    assert left.received["context"] == left.context


def test_what_cannot_be_decided_is_taken_away_too_and_told() -> None:
    told: list[tuple[str, str]] = []
    chain = Chain([Filter(name="f", do="mask", when=OPAQUE, fields=("properties.email",))])
    left = only(chain.run(event(), lambda name, why: told.append((name, why))))
    assert left.received["properties"]["email"] == "***"
    assert [name for name, _ in told] == ["f"]
    assert "different kinds" in told[0][1]


def test_a_stored_condition_that_is_none_any_more_keeps_everything_back() -> None:
    assert code(Chain([Filter(name="f", do="drop", when="gone()")]).run(event())) == "filter_failed:f"
    assert code(Chain([Filter(name="f", do="keep", when="gone()")]).run(event())) == "filter_failed:f"


def test_each_filter_sees_what_those_before_it_left() -> None:
    mask = Filter(name="mask", do="mask", fields=("properties.plan",))
    drop = Filter(name="drop", do="drop", when='properties.plan == "free"')
    assert code(run(event(), drop, mask)) == "filter:drop"
    assert code(run(event(), mask, drop)) == ""
    seen = Chain([mask, drop]).trace(event())
    assert [(one.name, one.met, one.why) for one in seen] == [("mask", True, ""), ("drop", False, "")]
    assert [one.name for one in Chain([drop, mask]).trace(event())] == ["drop"]


def test_a_sample_is_of_users_and_the_same_wherever_it_is_taken() -> None:
    share = Filter(name="f", do="sample", share=0.25)
    again = Filter(name="other", do="sample", share=0.25)
    kept = {n for n in range(2_000) if not code(run(event(userId=f"u-{n}"), share))}
    assert 400 < len(kept) < 600
    assert {0, 1, 2, 3, 4, 5, 6, 7} & kept == FIRST
    assert kept == {n for n in range(2_000) if not code(run(event(userId=f"u-{n}", event="Other"), share, again))}


def test_a_sample_is_taken_by_another_field_and_of_what_meets_the_condition() -> None:
    by_plan = Filter(name="f", do="sample", share=0.5, by="properties.plan")
    assert len({code(run(event(userId=f"u-{n}"), by_plan)) for n in range(50)}) == 1
    without = {code(run(event(userId=f"u-{n}", properties={}), by_plan)) for n in range(50)}
    assert without == {"", "filter:f"}
    nobody = {
        code(run(event(userId=None, anonymousId=f"a-{n}"), Filter(name="f", do="sample", share=0.5))) for n in range(50)
    }
    assert nobody == {"", "filter:f"}
    pages = Filter(name="f", do="sample", share=0.001, when='type == "page"')
    assert not any(code(run(event(userId=f"u-{n}"), pages)) for n in range(50))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": "No Tests"}, "is no name for a filter"),
        ({"name": "x" * 41}, "is no name for a filter"),
        ({"name": "f", "do": "keep"}, "keep needs a condition"),
        ({"name": "f", "do": "sample"}, "sample needs a share"),
        ({"name": "f", "do": "sample", "share": 1.0}, "sample needs a share"),
        ({"name": "f", "share": 0.5}, "share and by belong to sample"),
        ({"name": "f", "fields": ["properties.a"]}, "drop takes no fields"),
        ({"name": "f", "do": "mask"}, "mask needs 1 to 50 fields"),
        ({"name": "f", "do": "mask", "fields": ["properties.a"] * 51}, "mask needs 1 to 50 fields"),
        ({"name": "f", "do": "mask", "fields": ["userId"]}, "userId tells which event it is"),
        ({"name": "f", "do": "mask", "fields": ["properties..a"]}, "is no path"),
        ({"name": "f", "do": "mask", "fields": ["properties." + "a" * 101]}, "is no path"),
        ({"name": "f", "do": "mask", "fields": ["p" + ".a" * 10]}, "is no path"),
        ({"name": "f", "do": "mask", "fields": ["properties.a\\b"]}, "stands before a dot"),
        ({"name": "f", "do": "mask", "fields": ["properties.a\n"]}, "control character"),
        ({"name": "f", "when": "x" * 1_001}, "its condition has 1,001 characters"),
    ],
)
def test_a_filter_that_says_nothing_sensible_is_refused(fields: dict[str, object], told: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert({"do": "drop", **fields}, Filter)
    assert told in str(refused.value)


def test_names_are_unique_and_conditions_are_looked_at_when_they_are_set() -> None:
    drop = Filter(name="f", do="drop")
    with pytest.raises(ValueError, match="There is a filter f already"):
        check([drop, drop])
    with pytest.raises(ValueError, match="50 filters at most"):
        check([Filter(name=f"f{n}", do="drop") for n in range(51)])
    with pytest.raises(ValueError, match=r"The condition of g: There is no field evnt, at character 1"):
        check([drop, Filter(name="g", do="drop", when="evnt == 1")])


def test_a_dot_within_a_name_is_written_with_a_backslash() -> None:
    left = only(
        run(event(properties={"a.b": 1, "a": {"b": 2}}), Filter(name="f", do="mask", fields=("properties.a\\.b",)))
    )
    assert left.received["properties"] == {"a.b": "***", "a": {"b": 2}}


ALL = Chain(
    [
        Filter(name="a", do="sample", share=0.9, by="properties.a"),
        Filter(name="b", do="hash", fields=("properties.a", "traits", "context.traits")),
        Filter(name="c", do="mask", fields=("properties.b.c", "context.ip"), when="traits.a == properties.b"),
        Filter(name="d", do="dropFields", fields=("properties.c", "context.page.url")),
        Filter(name="e", do="keepFields", fields=("properties.a", "properties.b.c", "context.app")),
        Filter(name="g", do="keep", when="type != 'alias' || size(properties) > 0"),
    ]
)


@given(one=events)
@settings(max_examples=300, deadline=None)
def test_no_event_makes_a_filter_raise_and_who_and_what_it_is_stays(one: Event) -> None:
    left = ALL.run(one)
    if isinstance(left, Event):
        assert (left.type, left.message_id, left.user_id, left.anonymous_id, left.account) == (
            one.type,
            one.message_id,
            one.user_id,
            one.anonymous_id,
            one.account,
        )
        assert repr(ALL.run(one)) == repr(left)
