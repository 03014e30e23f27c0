"""What was changed, as the audit log shows it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milonga.console.agents import in_words
from milonga.console.diffing import Difference, Line, difference


def one(before: Any, after: Any) -> Difference:
    return difference("field", before, after)


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (0, 50, ("0", "50")),
        (True, False, ("true", "false")),
        ("", "SP-1", ("", "SP-1")),
        ("SP-1", "", ("SP-1", "empty")),
        (None, "on", ("", "on")),
        ("viewer", None, ("viewer", "")),
        (0.5, None, ("0.5", "")),
        ([], ["https://a.example"], ("", "https://a.example")),
        (["https://a.example"], [], ("https://a.example", "empty")),
        ("", "***", ("", "***")),
    ],
)
def test_a_value_is_shown_before_and_after(before: Any, after: Any, shown: tuple[str, str]) -> None:
    found = one(before, after)
    assert (found.before, found.after, found.lines) == (*shown, ())


def test_a_secret_that_was_replaced_is_said_to_be() -> None:
    assert one("***", "***").says == "replaced by another"


def test_of_lists_what_came_and_what_went_is_told_with_what_is_around_it() -> None:
    was = [f"https://{n}.example" for n in range(9)]
    assert one(was, [*was[:4], "https://new.example", *was[5:]]).lines == (
        Line(" ", was[3]),
        Line("-", was[4]),
        Line("+", "https://new.example"),
        Line(" ", was[5]),
    )
    assert [line.sign for line in one(was, ["x", *was[1:8], "y"]).lines] == ["-", "+", " ", " ", " ", "-", "+"]


def test_of_what_has_parts_the_lines_that_differ_are_told() -> None:
    was = [{"do": "drop", "when": 'event == "Test"', "on": True}]
    found = one(was, [{**was[0], "on": False}])
    assert [line for line in found.lines if line.sign != " "] == [
        Line("-", '    "on": true'),
        Line("+", '    "on": false'),
    ]


json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(json, json)
def test_no_change_is_beyond_being_shown(before: Any, after: Any) -> None:
    assert one(before, after).field == one(after, before).field == "field"


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/126.0 Safari/537.36 Edg/126.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Chrome/126.0 Safari/537.36", "Chrome on Mac"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("x" * 300, "x" * 60 + "…"),
        ("", "no name given"),
    ],
)
def test_a_browser_is_named_as_people_know_it(agent: str, words: str) -> None:
    assert in_words(agent) == words
