"""What delivery remembers may be damaged or lost: it goes on, and does not send again what has an outcome."""

import asyncio
import shutil
from contextlib import closing
from pathlib import Path

import apsw
import pytest
import structlog

from milonga.delivery import resuming
from milonga.delivery.store import DeliveryStore, doubt
from milonga.delivery.store_reader import DeliveryReader
from milonga.eventlog.api import Offset
from milonga.outcomes.reader import OutcomeReader
from milonga.outcomes.writer import OutcomeWriter
from tests.clocks import Still
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.road import Road, run
from tests.delivery.test_recorder import outcome


def damaged(path: Path, how: str) -> bytes:
    """Returns what is in the file then."""
    content = bytearray(path.read_bytes())
    if how == "garbage":
        content[:4096] = b"\xa5" * 4096
    elif how == "cut short":
        del content[8192:]
    else:
        content[8192:] = b"\xa5" * (len(content) - 8192)
    path.write_bytes(content)
    return bytes(content)


@pytest.mark.parametrize("how", ["garbage", "cut short", "bad pages"])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(tmp_path: Path, how: str) -> None:
    path = tmp_path / "delivery.db"
    store = DeliveryStore(path)
    with store.transaction():
        store.set_position(1, 0, 5)
    store.close()
    content = damaged(path, how)
    if how != "bad pages":
        with pytest.raises(apsw.CantOpenError):
            DeliveryReader(path)
    store = DeliveryStore(path)
    with store.transaction():
        store.set_position(2, 0, 6)
    reader = DeliveryReader(path)
    assert (reader.position(1, 0), reader.position(2, 0)) == (None, 6)
    reader.close()
    store.close()
    (aside,) = tmp_path.glob("delivery.db.damaged-*")
    assert aside.read_bytes() == content


def test_a_large_file_is_looked_through_only_after_a_page_of_it_could_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("milonga.delivery.store.QUICK", 0)
    path = tmp_path / "delivery.db"
    DeliveryStore(path).close()
    damaged(path, "bad pages")
    doubt(path).touch()
    DeliveryStore(path).close()
    assert not doubt(path).exists()
    assert len(list(tmp_path.glob("delivery.db.damaged-*"))) == 1
    DeliveryStore(path).close()
    assert len(list(tmp_path.glob("delivery.db.damaged-*"))) == 1


def crashed(live: Path, found: Path) -> None:
    """Copy what a SIGKILL of whoever writes into `live` leaves there, with a bit of the write-ahead log changed."""
    shutil.copytree(live, found, ignore=shutil.ignore_patterns("*-shm"))
    (wal,) = found.glob("*-wal")
    content = bytearray(wal.read_bytes())
    content[len(content) - 10_000] ^= 1
    wal.write_bytes(content)


def test_whoever_reads_first_leaves_a_damaged_write_ahead_log_for_the_writer_to_tell_of(tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    store = DeliveryStore(tmp_path / "live" / "delivery.db")
    for watermark in range(10):
        with store.transaction():
            store.set_position(1, 0, watermark)
    crashed(tmp_path / "live", tmp_path / "found")
    store.close()
    path = tmp_path / "found" / "delivery.db"
    with closing(DeliveryReader(path)) as reader:
        assert reader.position(1, 0) in range(9)
    with structlog.testing.capture_logs() as logs:
        DeliveryStore(path).close()
    assert [line["event"] for line in logs] == ["wal_damaged"]


def test_whoever_reads_outcomes_first_leaves_a_damaged_write_ahead_log_for_their_writer_to_tell_of(
    tmp_path: Path,
) -> None:
    writer = OutcomeWriter(tmp_path / "live", Still(1_750_000_000.0))
    for offset in range(10):
        writer.write([outcome(offset)])
    crashed(tmp_path / "live", tmp_path / "found")
    writer.close()
    assert 0 <= OutcomeReader(tmp_path / "found").end(0) < 9
    with structlog.testing.capture_logs() as logs:
        OutcomeWriter(tmp_path / "found", Still(1_750_000_000.0)).close()
    assert [line["event"] for line in logs] == ["wal_damaged"]


def lose(folder: Path) -> None:
    for path in folder.glob("delivery.db*"):
        path.unlink()


def test_after_its_store_is_lost_a_destination_sends_nothing_again_and_knows_little_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming, "AT_ONCE", 150)
    most = 0
    finished_after = OutcomeReader.finished_after

    def watched(self: OutcomeReader, destination: int, partition: int, offset: Offset, upto: Offset) -> set[Offset]:
        nonlocal most
        found = finished_after(self, destination, partition, offset, upto)
        most = max(most, len(found))
        return found

    monkeypatch.setattr(OutcomeReader, "finished_after", watched)

    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop)
        for n in range(1, 1001):
            road.add(n, f"a{n % 50}")
        await road.until(lambda: len(road.durable) == 1000)
        await road.stop()
        lose(folder)
        road.log.trimmed = 120
        again = Road(folder, loop, log=road.log)
        for n in range(1001, 1021):
            again.add(n, f"a{n % 50}")
        await again.until(lambda: len(again.durable) == 20)
        assert sorted(again.sent) == list(range(1001, 1021))
        await asyncio.sleep(2.0)
        assert again.reader.position(again.config.id, 0) == 1020
        await again.stop()

    run(tmp_path, live)
    assert 100 < most <= 150
