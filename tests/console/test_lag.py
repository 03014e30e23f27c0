"""What a page says of the index behind it: how far it is, and nothing where that is as far as anybody needs."""

from html import unescape
from re import sub

import pytest

from milonga.console.rendering import environment
from milonga.index.standing import FRESH, Standing

AT = 1_767_225_600_000  #: 2026-01-01


def said(standing: Standing) -> str:
    parts = environment().get_template("index-parts.html").make_module({"visit": None})
    return unescape(" ".join(sub(r"<[^>]*>", " ", parts.lag(standing)).split()))  # type: ignore[attr-defined]


def test_an_index_that_is_where_the_log_ends_is_not_talked_about() -> None:
    assert said(Standing(upto=9, at=AT, end=9)) == ""
    assert said(Standing(upto=9, at=AT, end=9 + FRESH - 1)) == ""


def test_one_that_is_behind_says_by_how_many_events_and_where_it_is() -> None:
    words = said(Standing(upto=1_000, at=AT, end=13_000))
    assert "12,000 events of the log are not in here yet" in words
    assert "it has come to 2026-01-01 00:00:00 UTC" in words


def test_one_that_has_not_begun_says_how_many_events_there_are() -> None:
    words = said(Standing(upto=0, at=None, end=13_000))
    assert "13,000 events of the log are not in here yet. Look again" in words


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (Standing(upto=9, at=AT, end=9, repairing=1), "1 stretch of the log is looked through once more"),
        (Standing(upto=9, at=AT, end=9, trouble="The disk is full."), "The disk is full. It is tried again"),
    ],
)
def test_what_keeps_it_from_being_whole_is_said(standing: Standing, words: str) -> None:
    assert words in said(standing)
