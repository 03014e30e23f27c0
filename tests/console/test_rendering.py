"""The filters of templates, without a page."""

import pytest

from milonga.console.rendering import NONE, duration
from milonga.outcomes.words import person


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ("user:ada@example.com", "ada@example.com"),
        ("user:a:b", "a:b"),
        ("token:ci", "token ci"),
        ("cli", "command line"),
        ("settings", "the pipeline"),
        ("probe", "the pipeline"),
        ("workspace", "the pipeline"),
        ("somebody else", "somebody else"),
    ],
)
def test_whoever_did_something_is_named_as_people_name_them(by: str, said: str) -> None:
    assert person(by) == said


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [
        (None, NONE),
        (0, "under 1 ms"),
        (0.4, "under 1 ms"),
        (1, "1 ms"),
        (38.2, "38 ms"),
        (4_200, "4.2 s"),
        (180_000, "3 min"),
        (18_000_000, "5 h"),
        (172_800_000, "2 d"),
    ],
)
def test_a_duration_is_said_in_its_unit(milliseconds: float | None, said: str) -> None:
    assert duration(milliseconds) == said
