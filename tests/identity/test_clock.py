"""Times: every form that Segment's SDKs write, and the correction of the sender's clock."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milonga.identity.clock import happened_at, parse_time


def unix_ms(*when: int) -> int:
    return round(datetime(*when, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc,arg-type] # year, month, ...


SECOND = unix_ms(2026, 11, 22, 1, 3, 17)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T01:03:17.135Z", SECOND + 135),  # JavaScript, Java, mobile
        ("2026-11-22T01:03:17.135+00:00", SECOND + 135),  # Python, events
        ("2026-11-22T01:03:17.135999+00:00", SECOND + 135),  # Python, sentAt
        ("2026-11-22T01:03:17+00:00", SECOND),  # PHP
        ("2026-11-22T06:33:17.135246987+05:30", SECOND + 135),  # Go
        ("2026-11-21T20:03:17.1352469-05:00", SECOND + 135),  # .NET, local
        ("2026-11-22T01:03:17.1352469", SECOND + 135),  # .NET, unspecified
        ("2026-11-22T01:03:17.135+0000", SECOND + 135),  # iOS
        ("2026-11-22 01:03:17", SECOND),
        ("2026-11-22", unix_ms(2026, 11, 22)),
        ("1969-12-31T23:59:59.999Z", -1),
        ("0001-01-01T00:00:00Z", unix_ms(1, 1, 1)),
        ("9999-12-31T23:59:59.999999Z", unix_ms(9999, 12, 31, 23, 59, 59) + 999),
    ],
)
def test_every_form_of_a_timestamp_is_read(text: str, expected: int) -> None:
    assert parse_time(text) == expected


NO_TIMES = [None, "", "yesterday", "1763773397", "2026-02-30T00:00:00Z", "2026-11-22T25:00:00Z", "\0"]
NO_TIMES += ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59.999-00:01"]


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_timestamp_counts_as_absent(text: str | None) -> None:
    assert parse_time(text) is None


@given(st.text())
def test_no_text_raises(text: str) -> None:
    parse_time(text)


def test_the_senders_clock_is_corrected() -> None:
    an_hour_ahead = 3_600_000
    happened, sent, received = SECOND, SECOND + 5_000, SECOND + 5_200
    assert happened_at(happened + an_hour_ahead, sent + an_hour_ahead, received) == happened + 200


@pytest.mark.parametrize(
    ("original", "sent", "expected"),
    [
        (None, None, SECOND),
        (None, SECOND - 1000, SECOND),
        (SECOND - 9000, None, SECOND - 9000),
        (SECOND - 9000, SECOND - 1000, SECOND - 8000),
        (SECOND + 9000, SECOND, SECOND + 9000),
        (parse_time("9999-12-31T23:59:59Z"), parse_time("0001-01-01T00:00:00Z"), SECOND),
        (parse_time("0001-01-01T00:00:00Z"), parse_time("9999-12-31T23:59:59Z"), SECOND),
    ],
)
def test_what_is_missing_or_absurd_falls_back(original: int | None, sent: int | None, expected: int) -> None:
    assert happened_at(original, sent, received=SECOND) == expected


TIMES = st.none() | st.builds(
    "{:04}-{:02}-{:02}T{:02}:59:59.999{}{:02}:30".format,
    st.sampled_from([1, 2, 1970, 2026, 9998, 9999]),
    st.sampled_from([1, 12]),
    st.sampled_from([1, 2, 31]),
    st.sampled_from([0, 23]),
    st.sampled_from("+-"),
    st.integers(0, 23),
)


@given(TIMES, TIMES)
def test_whatever_the_sender_says_the_time_has_a_date(original: str | None, sent: str | None) -> None:
    time = happened_at(parse_time(original), parse_time(sent), SECOND)
    assert 1 <= datetime.fromtimestamp(time / 1000, UTC).year <= 9999
