"""What a condition says of an event, and which conditions there can be."""

import json
import sys
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milonga.filters.condition import Undecided, compiled, tried
from milonga.filters.scan import NotACondition
from milonga.identity.account import read_unstamped
from tests.destinations.events import events
from tests.filters.made import event, page

Event = Any


@pytest.mark.parametrize(
    "text",
    [
        'type == "track"',
        'event == "Test Order"',
        "event == 'Test Order'",
        'event.startsWith("Test")',
        'event.lowerAscii().endsWith("order")',
        'event in ["Test Order", "Other"]',
        '["Test", "Demo"].exists(start, event.startsWith(start))',
        'userId == "ada" && accountId == "acme" && messageId == "m-1"',
        "anonymousId == null && groupId == null && previousId == null && name == null && category == null",
        'properties.plan == "free" || properties.plan == "trial"',
        "has(properties.amount) && properties.amount > 2.5",
        "has(properties.amount) && properties.amount * 2 - 1 == 5",
        "properties.paid == true",
        "has(properties.paid) && properties.paid",
        "properties.absent != true",
        "properties.absent == null && properties.none.deeper == null",
        "!has(properties.absent) && !has(properties.none.deeper) && has(properties.plan)",
        "!properties.absent.startsWith('a') && size(properties.absent) == 0",
        "!properties.amount.contains('3')",
        'properties["order id"] == 7',
        '"order id" in properties && !("plan" in traits)',
        'has(properties.tags) && "beta" in properties.tags && properties.tags.size() == 2',
        'has(properties.tags) && properties.tags.all(tag, tag != "old")',
        'has(properties.items) && properties.items.exists(item, item == "loose")',
        'context.page.url.contains("acme") && context.ip == "1.2.3.4"',
        "type == 'identify' ? traits.plan == 'x' : true",
        "size(integrations) == 0",
        "true",
    ],
)
def test_a_condition_that_holds(text: str) -> None:
    condition = compiled(text)
    tried(condition)
    assert condition.holds(event())


@pytest.mark.parametrize(
    "text", ['event.startsWith("Test")', 'properties.plan == "free"', "has(properties.amount) && properties.amount > 2"]
)
def test_what_is_absent_is_no_match_and_its_negation_is_one(text: str) -> None:
    assert not compiled(text).holds(page())
    assert compiled(f"!({text})").holds(page())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "cannot be read"),
        ('event == "x', "A text that does not end, at character 10"),
        ("event = 1", "written with '=' alone (equal is ==), at character 7"),
        ("1 == 1)", "at character 7"),
        ("{}", "written with '{', at character 1"),
        ("event == 1 // no", "There are no comments, at character 12"),
        ('"""a""" == event', "A text ends and another begins"),
        ('evnt == "x"', "There is no field evnt, at character 1. Did you mean event?"),
        ("user == 'x' && foo.bar == 1", "There is no field user, at character 1."),
        ('b"a" == event', "There is no field b"),
        ("event.matches('a')", "There is no function matches(), at character 7. Regular expressions are not offered"),
        ("event.startswith('a')", "It is called startsWith"),
        ("size(properties.map(x, x)) > 1", "There is no function map()"),
        ("eval('1')", "There is no function eval()"),
        ("event.__class__() == 1", "There is no function __class__()"),
        ("timestamp('2020-01-01T00:00:00Z') > 1", "There is no function timestamp()"),
        ("properties.a.exists(x, x.exists(y, true))", "exists() within another one, at character 32"),
        ("properties.a.exists(event, true)", "event means something else"),
        ("properties.a.exists(1, true)", "Expected a name and a comma"),
        (" || ".join(['[1].exists(a, a == "")'] * 6), "More than 5 exists() and all()"),
        ("(properties.a + properties.a).exists(x, true)", "exists() looks through a field, or a list of texts"),
        ("[properties.a + properties.a][0].all(x, true)", "all() looks through a field, or a list of texts"),
        ("[[1, 2]][0].all(x, true)", "all() looks through a field, or a list of texts"),
        ("size(" + "properties.a + " * 11 + "properties.a) == 0", "More than 10 signs +"),
        ("(" * 21 + "true" + ")" * 21, "More than 20 brackets within one another, at character 21"),
        ("properties.a == null && properties.a.b == 1", "without properties.a and properties.a.b"),
        ("properties" + ".a" * 10 + " == 1", "More than 10 names in one field, at character 30"),
        ("has(properties['order id'])", "has() takes no brackets: write 'order id' in ..., at character 5"),
        ("has(event)", "has() asks for a field within another one"),
        ("has(1)", "has() asks for a field within another one"),
        ('properties["a\\"b"] == 1', "A name in brackets is written without"),
        ("event", "its result is neither true nor false"),
        ("properties.amount > 100", "without properties.amount: values of different kinds cannot be compared"),
        ("properties.amount > 100", "such as: has(properties.amount) && ..."),
        ("!properties.consent", "without properties.consent"),
        ('"a" in properties.tags', "without properties.tags"),
        ("int(properties.amount) > 1", "a value is no number"),
        ("1 / 0 == 1", "it divides by 0"),
        ("type == 'track' && traits.a > 1", "for a track call without traits.a"),
        ("9223372036854775807 + 1 > 0", "a number is too large"),
        ("[1][5] == 1", "a list is too short"),
    ],
)
def test_what_is_no_condition_is_refused_with_its_place(text: str, told: str) -> None:
    with pytest.raises(NotACondition) as refused:
        tried(compiled(text))
    assert told in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "has(properties.plan) && properties.plan > 3",
        "has(properties.tags) && properties.tags > 3",
        "has(properties.plan) && !properties.plan",
        "has(properties.plan) && int(properties.plan) > 3",
        "has(properties.items) && properties.items[7] == 1",
        "has(properties.plan) && properties.plan.exists(x, true)",
    ],
)
def test_a_value_of_another_kind_leaves_it_undecided(text: str) -> None:
    condition = compiled(text)
    tried(condition)
    with pytest.raises(Undecided):
        condition.holds(event())


def test_a_list_that_is_too_long_to_look_through_leaves_it_undecided() -> None:
    condition = compiled("has(properties.l) && properties.l.exists(x, x == 1)")
    assert condition.holds(event(properties={"l": [0] * 999 + [1]}))
    for long in ([0] * 1_001, {str(n): n for n in range(1_001)}):
        with pytest.raises(Undecided, match="more than 1,000 items"):
            condition.holds(event(properties={"l": long}))
    assert compiled("has(properties.l) && 1 in properties.l").holds(event(properties={"l": [0] * 5_000 + [1]}))


@pytest.mark.parametrize(
    "again",
    [
        *("properties.s.lowerAscii() == 'b'", "size(properties.l) == 3", "5 in properties.l"),
        *("properties.s + 'b' == 'c'", "properties.s == 'b'", "properties == null"),
    ],
)
def test_much_that_would_be_looked_at_for_each_of_many_items_leaves_it_undecided(again: str) -> None:
    """The worst of it took minutes, in which nothing was delivered anywhere."""
    condition = compiled(f"has(properties.l) && properties.l.exists(x, {again})")
    assert condition.holds(event(properties={"l": [0], "s": "a"})) is False
    with pytest.raises(Undecided, match="too much, too often"):
        condition.holds(event(properties={"l": [0] * 1_000, "s": "a" * 20_000}))


def test_the_item_itself_may_be_looked_at_however_many_there_are() -> None:
    condition = compiled("has(properties.l) && properties.l.exists(x, x.lowerAscii() == event.lowerAscii())")
    assert condition.holds(event(event="Last", properties={"l": ["A tag of some length"] * 999 + ["LAST"]}))


HOSTILE = [
    "!" * 990 + "true",
    "-" * 990 + "1 == 1",
    "true" + "&&true" * 160,
    "1" + "==1" * 300,
    "true?true:" * 80 + "true",
    "(properties" + ".a" * 9 + ")" + ".a" * 450 + " == 1",
    "properties" + "[0]" * 300 + " == 1",
    "[" * 20 + "]" * 20 + " == []",
    "event" + ".lowerAscii()" * 70 + " == 'x'",
    "'" + "a" * 980 + "' == event",
    "(properties)" + "['a']" * 190 + " == 1",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:12])
def test_the_longest_expressions_neither_hang_nor_break_the_process(text: str) -> None:
    assert len(text) <= 1_000
    try:
        compiled(text).holds(event())
    except (NotACondition, Undecided):
        return


PIECES = st.sampled_from(
    [
        *("event", "properties", "traits", ".", "a", "[", "]", "(", ")", '"a"', "'b'", "1", "2.5", "null", "true", " "),
        *("&&", "||", "!", "==", "!=", "<", ">", "in", "has(", ".startsWith(", ".exists(x,", "x", "?", ":", "+", "-"),
        *("size(", "int(", "\\", "\x00", "\ud83d", "é", "//", "{", "`", "0x", "9" * 30, "e5", "u", ",", "\n"),
    ]
)


@given(parts=st.lists(PIECES, max_size=25), one=events)
@settings(max_examples=300, deadline=None)
def test_any_text_is_refused_or_decided_or_not(parts: list[str], one: Event) -> None:
    try:
        assert compiled("".join(parts)).holds(one) in (True, False)
    except (NotACondition, Undecided):
        return


@given(one=events)
@settings(max_examples=200, deadline=None)
def test_any_event_can_be_asked(one: Event) -> None:
    for condition in CONDITIONS:
        assert condition.holds(one) in (True, False)


CONDITIONS = [
    compiled(text)
    for text in (
        'event.startsWith("a") || userId == "x" || context.page.url.contains("a")',
        'type == "track" && properties.plan == "free" && traits == properties',
        'has(properties.a.b) || "a" in context || size(integrations) > 3',
    )
]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("\ud83d", "properties.a == '\N{REPLACEMENT CHARACTER}'"),
        (2**70, "properties.a > 1.0"),
        (-(2**70), "properties.a < 1.0"),
        (10**400, "properties.a > 1.0"),
        (2**63 - 1, "properties.a == 9223372036854775807"),
        ({"\ud83d": {"x": [2**80, None]}}, "size(properties.a) == 1"),
        ("a\0b", "properties.a == 'a\\u0000b'"),
    ],
)
def test_values_that_no_wire_carries_can_be_compared(value: object, text: str) -> None:
    assert compiled(text).holds(read_unstamped(json.dumps({"type": "track", "properties": {"a": value}}).encode()))


def test_several_threads_may_ask_at_once() -> None:
    condition = compiled('properties.number == 1.0 || event == "first"')
    wrong: list[int] = []

    def ask(number: int) -> None:
        one = event(properties={"number": number}, event=f"name-{number}")
        wrong.extend(number for _ in range(2_000) if condition.holds(one) is not (number == 1))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=ask, args=(number,)) for number in (1, 2, 1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert wrong == []
