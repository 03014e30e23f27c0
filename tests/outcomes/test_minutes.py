"""Counts per minute of late, for metrics: read from no more files than need be."""

from pathlib import Path

from milonga.outcomes.files import segments
from milonga.outcomes.latency import bucket_of
from milonga.outcomes.model import State
from milonga.outcomes.reader import OutcomeReader
from milonga.outcomes.writer import OutcomeWriter
from tests.clocks import Still
from tests.outcomes.test_outcome_files import AT, outcome

MINUTE = AT // 60_000
LATER = 90 * 60_000  #: milliseconds


def test_counts_are_those_of_all_files_from_that_minute_on(tmp_path: Path) -> None:
    clock = Still(AT / 1000)
    writer = OutcomeWriter(tmp_path, clock, segment_rows=2)
    for n in range(3):
        writer.write([outcome(2 * n), outcome(2 * n + 1, State.dead, code="http_400")])
    clock.at += LATER / 1000
    writer.write([outcome(9, at=AT + LATER)])
    assert len(segments(tmp_path)) == 4
    reader = OutcomeReader(tmp_path)
    counts, took = reader.minutes(MINUTE)
    assert sum(n for *_, n in counts) == 7
    assert sorted(took) == sorted([(MINUTE, 1, bucket_of(40), 1)] * 3 + [(MINUTE + 90, 1, bucket_of(LATER + 40), 1)])
    assert reader.minutes(MINUTE + 1)[0] == [(MINUTE + 90, 1, int(State.delivered), "", 1)]
    clock.at += 1_000
    writer.drop_old(keep=1_500)
    assert len(segments(tmp_path)) == 1
    assert sum(n for *_, n in reader.minutes(MINUTE)[0]) == 7, "also of files that are gone"
    writer.close()


def test_files_from_before_are_not_opened(tmp_path: Path) -> None:
    clock = Still(AT / 1000)
    writer = OutcomeWriter(tmp_path, clock, segment_rows=1)
    for n in range(4):
        writer.write([outcome(n, at=AT + n * LATER)])
        clock.at += LATER / 1000
    writer.close()
    first, second, *_ = segments(tmp_path)
    for number in (first, second):
        (tmp_path / f"{number:08}.db").write_bytes(b"damaged" * 1_000)
    reader = OutcomeReader(tmp_path)
    assert len(reader.minutes(MINUTE + 3 * 90)[0]) == 1
    assert reader.unreadable == {}
    assert len(reader.minutes(MINUTE)[0]) == 2
    assert len(reader.unreadable) == 2
