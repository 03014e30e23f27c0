"""Moments as people write them."""

import pytest

from milonga.facts.when import moment
from milonga.outcomes.words import instant

NOW = 1_709_648_527_123  # 2024-03-05T14:22:07.123Z


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("now", "2024-03-05T14:22:07.123Z"),
        ("90m", "2024-03-05T12:52:07.123Z"),
        ("2d ago", "2024-03-03T14:22:07.123Z"),
        ("1w", "2024-02-27T14:22:07.123Z"),
        ("2024-03-01", "2024-03-01T00:00:00.000Z"),
        ("2024-03-01T10:00", "2024-03-01T10:00:00.000Z"),
        ("2024-03-01T10:00:00.5Z", "2024-03-01T10:00:00.500Z"),
        ("2024-03-01T10:00+02:00", "2024-03-01T08:00:00.000Z"),
    ],
)
def test_a_moment_is_a_date_a_time_or_so_long_ago(text: str, means: str) -> None:
    assert instant(moment(text, NOW)) == means


@pytest.mark.parametrize("text", ["", "yesterday", "2d 3h", "-2d", "13", "2024-13-01", "٣d", "9999999999d"])
def test_anything_else_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="is no moment"):
        moment(text, NOW)
