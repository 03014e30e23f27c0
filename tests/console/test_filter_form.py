"""The form of a filter, back to a filter, and each error at its field."""

import pytest

from milonga.console.filter_form import DEEDS, Typed, marked, names_in, problem_of, read, typed_in, typed_of
from milonga.filters.rule import Filter

FIELDS = "properties.email\ncontext.ip"


@pytest.mark.parametrize(
    "rule",
    [
        Filter(name="no-tests", when='event.startsWith("Test")', do="drop"),
        Filter(name="paying", when='traits.plan == "paying"', do="keep"),
        Filter(name="some", do="sample", share=0.1, by="accountId"),
        Filter(name="few", do="sample", share=0.005),
        *(Filter(name="less", do=do, fields=("properties.email", "context.ip")) for do in ("dropFields", "keepFields")),
        *(Filter(name="veiled", do=do, fields=("traits.name",)) for do in ("mask", "hash")),
    ],
)  # fmt: skip
def test_a_filter_becomes_a_form_and_the_form_the_same_filter(rule: Filter) -> None:
    found = read(typed_of(rule))
    assert (found.filter, dict(found.wrong)) == (rule, {})


def test_every_deed_there_is_can_be_chosen() -> None:
    assert {value for value, _, _ in DEEDS} == {"drop", "keep", "sample", "dropFields", "keepFields", "mask", "hash"}


def test_what_stands_there_from_another_choice_is_passed_by() -> None:
    typed = Typed(name="no-tests", when="type == 'page'", do="drop", share="lots", by="][", fields=FIELDS)
    assert read(typed).filter == Filter(name="no-tests", when="type == 'page'", do="drop")


@pytest.mark.parametrize(
    ("typed", "field", "told"),
    [
        (Typed(name="My Filter"), "name", "is no name for a filter"),
        (Typed(name=""), "name", "is no name for a filter"),
        (Typed(name="a", do="keep"), "when", "Keep needs a condition"),
        (Typed(name="a", when="event = 1"), "when", "at character 7"),
        (Typed(name="a", when="properties.x > 3"), "when", "It cannot be decided"),
        (Typed(name="a", when="type == 'x'" + " " * 2_000), "when", "1,000 at most"),
        (Typed(name="a", do="sample", share=""), "share", "between 0 and 100"),
        (Typed(name="a", do="sample", share="100"), "share", "between 0 and 100"),
        (Typed(name="a", do="sample", share="nan"), "share", "between 0 and 100"),
        (Typed(name="a", do="sample", share="10", by="a b..c"), "by", "."),
        (Typed(name="a", do="mask"), "fields", "needs 1 to 50 fields"),
        (Typed(name="a", do="hash", fields="a..b"), "fields", "."),
        (Typed(name="a", do="explode"), "do", "."),
    ],
)
def test_what_is_wrong_is_told_at_its_field(typed: Typed, field: str, told: str) -> None:
    found = read(typed)
    assert found.filter is None
    assert field in found.wrong
    assert told in found.wrong[field]


def test_lines_of_a_browser_are_lines() -> None:
    sent = {"name": " no-tests ", "do": "mask", "fields": "a.b\r\nc.d", "when": "type ==\r\n'page'"}
    typed = typed_in(lambda name: sent.get(name, ""))
    assert (typed.name, typed.fields, typed.when) == ("no-tests", "a.b\nc.d", "type ==\n'page'")


def test_the_place_of_an_error_is_found_in_the_condition() -> None:
    assert marked("event = 1", problem_of("event = 1")) == ("event ", "=", " 1")
    assert marked('event == "', problem_of('event == "')) == ("event == ", '"', "")
    assert marked("event", "Something else.") is None
    assert marked("a", "It is wrong, at character 99.") == ("a", "", "")
    assert names_in('has(properties.plan) && properties.plan == "x" || type == "page"') == ("properties.plan", "type")
