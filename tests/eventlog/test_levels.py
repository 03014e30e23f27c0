"""Which level a disk is at, by numbers alone."""

import pytest

from milonga.eventlog.levels import (
    MB,
    SAYS,
    Amount,
    Level,
    Marks,
    amount,
    level,
    marks,
    reserve_of,
    segment_size,
)

GB = 1024 * MB


@pytest.mark.parametrize(
    ("disk", "reserve"),
    [(8 * MB, 4 * MB), (100 * MB, 16 * MB), (2 * GB, 2 * GB // 20), (10 * GB, 512 * MB), (8_000 * GB, 512 * MB)],
)
def test_the_reserve_goes_by_the_size_of_the_disk(disk: int, reserve: int) -> None:
    assert reserve_of(disk) == reserve
    assert marks(disk) == Marks(reserve=reserve, low=min(2 * reserve, (disk + reserve) // 2), last=reserve // 8)


@pytest.mark.parametrize(
    ("free", "expected"),
    [
        (1_024 * MB, Level.fine),
        (1_024 * MB - 1, Level.low),
        (512 * MB, Level.low),
        (512 * MB - 1, Level.high_water),
        (64 * MB, Level.high_water),
        (64 * MB - 1, Level.used_up),
        (0, Level.used_up),
    ],
)
def test_each_level_begins_at_its_mark(free: int, expected: Level) -> None:
    assert level(marks(100 * GB), free, 0) is expected


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (899 * MB, Level.fine),
        (901 * MB, Level.low),
        (999 * MB, Level.low),
        (1_000 * MB, Level.high_water),
        (9_000 * MB, Level.high_water),
    ],
)
def test_a_limited_log_is_full_before_the_disk_is_and_never_stops_delivery(log: int, expected: Level) -> None:
    assert level(marks(100 * GB, most=1_000 * MB), 50 * GB, log) is expected


def test_of_disk_and_log_the_worse_counts() -> None:
    limited = marks(100 * GB, most=1_000 * MB)
    assert level(limited, 700 * MB, 10 * MB) is Level.low
    assert level(limited, 100 * MB, 10 * MB) is Level.high_water
    assert level(limited, 10 * MB, 2_000 * MB) is Level.used_up


def test_without_a_reserve_nothing_is_left_to_anybody() -> None:
    assert level(marks(100 * MB, reserve=0), 0, 0) is Level.fine


@pytest.mark.parametrize("one", Level)
def test_every_level_says_what_happens(one: Level) -> None:
    assert SAYS[one].endswith(".")
    assert one.refuses == ("503" in SAYS[one])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2GB", 2 * GB),
        ("500 mb", 500 * MB),
        ("1.5GB", 3 * GB // 2),
        ("4096", 4096),
        ("4096.0", 4096),
        ("12kb", 12 * 1024),
        ("5%", 50 * MB),
        ("0.5 %", 5 * MB),
        ("0", 0),
    ],
)
def test_amounts_have_units_or_are_a_share(text: str, expected: int) -> None:
    assert amount(text).of(1_000 * MB) == expected


@pytest.mark.parametrize("text", ["", "x", "-1", "5 %%", "1e9", "2 G B", "101%", "1,5GB", "٣GB", "9" * 40])
def test_what_is_no_amount_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"2GB|100 %"):
        amount(text)


def test_a_limited_log_has_several_segments() -> None:
    assert segment_size(None, 128 * MB) == 128 * MB
    assert segment_size(400 * MB, 128 * MB) == 50 * MB
    assert segment_size(50_000 * MB, 128 * MB) == 128 * MB
    assert Amount(50.0, is_percent=True).of(10) == 5
