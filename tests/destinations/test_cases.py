"""Every destination's own cases, hand-written tables in its folder: what it says, event, settings, what must leave."""

from typing import Any

import pytest

from milonga.destinations.registry import kind, kinds
from tests.destinations.casework import FOLDER, cases_of, check


def cases() -> list[Any]:
    return [
        pytest.param(name, case, id=f"{name}/{place} {case['says']}")
        for name in kinds()
        for place, case in cases_of(FOLDER / name)
    ]


@pytest.mark.parametrize(("name", "case"), cases())
def test_what_a_case_says_is_what_happens(name: str, case: dict[str, Any]) -> None:
    check(kind(name), case)


def test_no_two_cases_of_a_destination_say_the_same() -> None:
    said = [(case.values[0], case.values[1]["says"]) for case in cases()]
    assert len(said) == len(set(said))
