"""What is said about names, and what is not."""

import pytest

from milonga.index.advice import Advice, advice, looks_like_id, says_nothing
from milonga.index.catalogue import Named, Names

NONE = Names([], 0, 0)


def names(*texts: str, n: int = 1_000) -> Names:
    return Names([Named(text, n, [n] * 14, 0, 0, 3, True) for text in texts], len(texts), 0)


MODULES = names("Reports", "Billing", "Dashboards", "Settings", "Users")


def codes(found: list[Advice]) -> list[tuple[str, str]]:
    return [(one.about, one.code) for one in found]


def test_good_names_need_no_advice() -> None:
    assert advice(MODULES, names("Created Report", "Invited User", "Viewed Reports Page", "Q3 2026 Review")) == []


def test_nothing_is_said_about_nothing() -> None:
    assert advice(NONE, NONE) == []


def test_numbers_say_nothing_while_few_events_came() -> None:
    assert advice(names("Reports", n=10), NONE) == []


@pytest.mark.parametrize(
    "name",
    [
        "Order 1029384",
        "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "Viewed user-48213 Page",
        "ada@example.com",
        "5f43a1b2c9d0",
        "https://app.example/reports",
        "tok9a8b7c6d5e4f3g2h1i",
    ],
)
def test_what_differs_each_time_looks_like_an_id(name: str) -> None:
    assert looks_like_id(name)
    found = advice(MODULES, names("Created Report", name))
    assert codes(found) == [("activities", "like_ids")]
    assert found[0].names == [name]
    assert found[0].title == "1 activity looks like an id"


@pytest.mark.parametrize(
    "name",
    [
        "Reports",
        "Top 10",
        "Q3 2026 Review",
        "Facade",
        "Step 3 of 5",
        "Internationalization",
        "GPT-4 used",
        "B2B",
        "de-DE",
    ],
)
def test_ordinary_names_do_not(name: str) -> None:
    assert not looks_like_id(name)


@pytest.mark.parametrize("name", ["undefined", "null", "[object Object]", "Viewed undefined Page", " NaN "])
def test_words_of_programs_say_nothing(name: str) -> None:
    assert says_nothing(name)


def test_five_to_twenty_modules() -> None:
    assert codes(advice(names(*map(str, range(21))), NONE)) == [("modules", "many_modules")]
    assert advice(names(*map(str, range(20))), NONE) == []
    assert advice(names(*map(str, range(5))), NONE) == []
    assert [one.title for one in advice(names("Reports"), NONE)] == ["Only 1 module"]


def test_more_activities_than_anybody_reads() -> None:
    many = names(*(f"Did thing {'abcdefghij'[n // 10]}{'abcdefghij'[n % 10]}" for n in range(100)), "One More")
    assert codes(advice(MODULES, many)) == [("activities", "many_activities")]


def test_most_in_the_default_module() -> None:
    modules = Names([*names("Application", n=9_000).shown, *MODULES.shown], 6, 0)
    found = advice(modules, NONE)
    assert codes(found) == [("modules", "default_module")]
    assert found[0].title == "64 % of the activities are in Application"


def test_what_totango_cuts() -> None:
    assert codes(advice(MODULES, names("x y" * 64))) == [("activities", "too_long")]
    assert advice(MODULES, names("x y" * 63 + "z")) == []
    assert codes(advice(Names([*MODULES.shown, *names("y" * 100).shown], 6, 0), NONE)) == [("modules", "too_long")]


def test_spellings_of_one_name() -> None:
    found = advice(MODULES, names("Created Report", "created_report", "Invited User"))
    assert codes(found) == [("activities", "twins")]
    assert found[0].names == ["Created Report", "created_report"]


def test_spaces_that_nobody_sees() -> None:
    assert codes(advice(MODULES, names("Created Report "))) == [("activities", "spaces")]
