"""The example of a reason, as the list of reasons shows it, without a page."""

from milonga.console.pages.problems import MOST_NAME, MOST_TEXT, example_of
from milonga.console.rendering import pretty
from milonga.eventlog.api import Position
from milonga.facts.problems import Met
from tests.delivery import paper


def test_an_example_is_bounded_and_cut_between_its_lines() -> None:
    long = paper.event(1, "a" * 200, "u" * 200, messages=["x" * 500] * 5, first="y" * 2_000)
    found = example_of(Met(Position(0, 1), 0, long))
    assert (len(found["account"]), len(found["user"])) == (MOST_NAME + 1, MOST_NAME + 1)
    assert len(found["text"]) <= MOST_TEXT + 2
    *lines, last = found["text"].splitlines()
    assert last == "…"
    assert lines == pretty(long.body).splitlines()[: len(lines)], "whole ones"
    whole = example_of(Met(Position(0, 1), 0, paper.event(1)))
    assert whole["text"] == pretty(paper.event(1).body)
    assert example_of(Met(Position(0, 1), 7, None)) == {"position": Position(0, 1), "endedAt": 7, "called": None}
