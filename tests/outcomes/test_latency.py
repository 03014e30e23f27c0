"""How long deliveries took, in buckets that lose little."""

import random
from pathlib import Path

import apsw
import pytest

from milonga.outcomes.latency import Latencies, bounds, bucket_of
from milonga.outcomes.model import State
from milonga.outcomes.reader import OutcomeReader
from milonga.outcomes.writer import OutcomeWriter
from tests.clocks import Still
from tests.outcomes.test_outcome_files import AT, clock, outcome

__all__ = ["clock"]


def test_every_duration_lies_in_the_bounds_of_its_bucket_and_none_is_wide() -> None:
    last = -1
    for milliseconds in [*range(5_000), *(2**n + d for n in range(13, 40) for d in (-1, 0, 1))]:
        bucket = bucket_of(milliseconds)
        low, high = bounds(bucket)
        assert low <= milliseconds < high
        assert high - low <= max(1, low / 4)
        assert bucket >= last
        last = bucket
    assert bucket_of(-5) == 0, "a clock that was set back"


def test_buckets_follow_each_other_without_a_gap() -> None:
    for bucket in range(120):
        assert bounds(bucket)[1] == bounds(bucket + 1)[0]


def test_percentiles_are_right_to_a_quarter() -> None:
    dice = random.Random(5)
    values = sorted(int(dice.lognormvariate(4, 1.5)) for _ in range(10_000))
    counts: dict[int, int] = {}
    for value in values:
        counts[bucket_of(value)] = counts.get(bucket_of(value), 0) + 1
    took = Latencies(counts)
    assert took.total == 10_000
    for share in (0.01, 0.5, 0.9, 0.99, 1.0):
        exact = values[min(9_999, int(share * 10_000))]
        found = took.percentile(share)
        assert found is not None
        assert abs(found - exact) <= exact / 4 + 1
    assert Latencies({}).percentile(0.5) is None


def test_only_deliveries_are_counted_by_destination_and_minute(tmp_path: Path, clock: Still[float]) -> None:
    writer, reader = OutcomeWriter(tmp_path, clock), OutcomeReader(tmp_path)
    writer.write([outcome(1), outcome(2, destination=2, received_at=AT - 4_000), outcome(3, State.dead)])
    writer.write([outcome(4), outcome(5, at=AT + 60_000, received_at=AT)])
    assert {number: took.total for number, took in reader.latencies().items()} == {1: 3, 2: 1}
    assert {number: took.total for number, took in reader.latencies(AT + 60_000).items()} == {1: 1}
    found = reader.latencies()[2].percentile(0.5)
    assert found == pytest.approx(4_000, rel=0.25)
    writer.close()


def test_they_outlive_the_file_they_were_counted_in(tmp_path: Path, clock: Still[float]) -> None:
    writer, reader = OutcomeWriter(tmp_path, clock, segment_rows=2), OutcomeReader(tmp_path)
    for offset in range(1, 6, 2):
        writer.write([outcome(offset), outcome(offset + 1)])
    before = reader.latencies()
    clock.at += 40 * 86_400
    assert writer.drop_old() == 2
    assert reader.latencies() == before
    assert before[1].total == 6
    clock.at += 500 * 86_400
    writer.write([outcome(7, at=int(clock.at * 1000), received_at=int(clock.at * 1000))])
    writer.close()
    again = OutcomeWriter(tmp_path, clock, segment_rows=1)
    again.write([outcome(8, at=int(clock.at * 1000), received_at=int(clock.at * 1000))])
    clock.at += 40 * 86_400
    again.drop_old()
    assert reader.latencies()[1].total == 2, "older counts are forgotten"
    again.close()


def test_a_file_from_before_they_were_counted_is_read_and_written_on(tmp_path: Path, clock: Still[float]) -> None:
    writer = OutcomeWriter(tmp_path, clock)
    writer.write([outcome(1)])
    writer.close()
    db = apsw.Connection(str(tmp_path / "00000001.db"))
    db.execute("DROP TABLE latency")
    db.close()
    reader = OutcomeReader(tmp_path)
    assert reader.latencies() == {}
    again = OutcomeWriter(tmp_path, clock)
    again.write([outcome(2)])
    assert reader.latencies()[1].total == 1
    again.close()
