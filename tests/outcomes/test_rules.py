"""The rules between an event and a destination, one by one."""

from typing import Any

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from milonga.destinations.deciding import decide
from milonga.destinations.registry import kind, kinds
from milonga.filters.gate import gate_of
from milonga.filters.rule import Filter
from milonga.outcomes.rules import FAILED, Applied, apply
from milonga.spec.event import Event
from tests.destinations.events import event, events
from tests.destinations.ready import ready

NO_TESTS = Filter(name="no-tests", do="drop", when='event.startsWith("Test")')
MASKED = Filter(name="masked", do="mask", fields=("properties.email",))
HALF = Filter(name="half", do="sample", share=0.5)
ONLY_PAID = Filter(name="only-paid", do="keep", when="properties.paid == true")
FILTERS = (NO_TESTS, MASKED, HALF, ONLY_PAID)


def track(name: str = "Saved", **more: Any) -> Event:
    return event("track", event=name, userId="u-0", context={"groupId": "acme"}, **more)


def applied(one: Event, *filters: Filter, categories: tuple[str, ...] = ()) -> Applied:
    return apply(kind("totango"), one, ready(kind("totango")), gate_of(filters, categories))


def steps(found: Applied) -> list[tuple[str, str, str]]:
    return [(step.rule, step.name, step.result) for step in found.steps]


def test_every_rule_is_told_in_order_and_what_it_made_of_the_event() -> None:
    found = applied(track(properties={"email": "a@b.example", "paid": True}), NO_TESTS, MASKED, ONLY_PAID)
    assert steps(found) == [
        ("consent", "", "passed"),
        ("integrations", "", "passed"),
        ("filter", "no-tests", "passed"),
        ("filter", "masked", "changed"),
        ("filter", "only-paid", "passed"),
        ("translate", "", "passed"),
    ]
    assert [step.says for step in found.steps[3:]] == [
        "It is for every event: changed properties.email.",
        "Its condition holds: the event goes on as it is.",
        "By the rules of Totango it becomes 1 request.",
    ]
    assert found.steps[2].when == 'event.startsWith("Test")'
    assert found.steps[2].does == "drop"


def test_rules_behind_the_one_that_keeps_an_event_back_are_not_asked() -> None:
    found = applied(track("Test run"), NO_TESTS, MASKED)
    assert steps(found)[2:] == [
        ("filter", "no-tests", "kept_back"),
        ("filter", "masked", "not_asked"),
        ("translate", "", "not_asked"),
    ]
    assert found.steps[2].says == "Its condition holds: the event is not sent."


@pytest.mark.parametrize(
    ("more", "categories", "results", "says"),
    [
        ({}, ("ads",), ["passed", "passed"], "The event says nothing about consent: it goes everywhere."),
        (
            {"context": {"groupId": "acme", "consent": {"categoryPreferences": {"ads": True}}}},
            ("ads",),
            ["passed", "passed"],
            "The user agreed to ads.",
        ),
        (
            {"context": {"groupId": "acme", "consent": {"categoryPreferences": {"ads": False}}}},
            ("ads",),
            ["kept_back", "not_asked"],
            "The user did not agree to what this destination is for.",
        ),
        ({"integrations": {"Totango": False}}, (), ["passed", "kept_back"], "The destination asks for no consent."),
        ({"integrations": {"All": True}}, (), ["passed", "passed"], "The destination asks for no consent."),
    ],
)
def test_the_user_and_the_sender_are_asked_before_the_filters(
    more: dict[str, Any], categories: tuple[str, ...], results: list[str], says: str
) -> None:
    one = event("track", **{"event": "Saved", "userId": "u-0", "context": {"groupId": "acme"}, **more})
    found = applied(one, NO_TESTS, categories=categories)
    assert [step.result for step in found.steps[:2]] == results
    assert found.steps[0].says == says
    assert (found.steps[2].result == "not_asked") is ("kept_back" in results)


def test_a_sample_says_whether_the_event_is_in_it() -> None:
    told = {applied(event("track", event="Saved", userId=f"u-{n}"), HALF).steps[2].says for n in range(8)}
    assert told == {
        "It is for every event: of such events 50 %, chosen by user, are sent, and this is one of them.",
        "It is for every event: of such events 50 %, chosen by user, are sent, and this is not one of them.",
    }


def test_a_condition_that_cannot_be_decided_says_why() -> None:
    big = Filter(name="big", do="keep", when="has(properties.plan) && properties.plan > 3")
    step = applied(track(properties={"plan": "many"}), big).steps[2]
    assert step.result == "kept_back"
    assert step.says.startswith("Its condition cannot be decided for this event (")


def test_a_translation_that_fails_is_a_step_of_its_own() -> None:
    def broken(*_: object) -> Any:
        raise RuntimeError

    found = apply(replace(kind("totango"), translate=broken), track(), ready(kind("totango")), gate_of((), ()))
    assert found.result is None
    assert (found.steps[-1].result, found.steps[-1].says) == ("failed", FAILED)


@pytest.mark.parametrize("name", kinds())
@given(one=events)
@settings(max_examples=60, deadline=None)
def test_step_by_step_ends_where_the_pipeline_ends(name: str, one: Event) -> None:
    each, chosen = kind(name), ready(kind(name))
    for gate in (gate_of((), ()), gate_of(FILTERS, ("ads",))):
        found = apply(each, one, chosen, gate)
        assert found.result == decide(each, one, chosen, gate)
        assert len(found.steps) == 3 + len(gate.chain.filters if gate.chain is not None else ())
        assert [step.result for step in found.steps].count("kept_back") <= 1
