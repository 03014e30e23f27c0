"""A damaged frame of a segment's write-ahead log costs what stands in it, not all that came after it."""

import asyncio
import shutil
from collections.abc import Callable, MutableMapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog

from milonga.eventlog.api import Damaged, Duplicate, Offset, Position, Stored
from milonga.eventlog.record import insert, record
from milonga.eventlog.segment import DRAFT_OF_SALVAGED, create, open_to_write, path_of
from milonga.eventlog.sqlite import SqliteLog
from milonga.eventlog.wal import FRAME, HEADER
from milonga.spec.stored import Stamped

from .parts import Clock, Events, offsets, read_all
from .segments import settled

CLOCK = Clock()
BATCH, BATCHES = 25, 12
PAGE = 16384
STEP = FRAME.size + PAGE
A_PAGE = 25  #: more events of these than a page holds

Spoil = Callable[[bytearray, int], None]


class Killed(NamedTuple):
    """A folder, its write-ahead log, and what was committed."""

    folder: Path
    wal: bytes
    everything: dict[Offset, Stamped]

    def spoiled(self, to: Path, spoil: Spoil, frame: int) -> bytes:
        """A copy with another write-ahead log, which is returned."""
        shutil.copytree(self.folder, to)
        content = bytearray(self.wal)
        spoil(content, frame)
        wal_of(to).write_bytes(content)
        return bytes(content)

    @property
    def frames(self) -> list[int]:
        """Where they begin."""
        return list(range(HEADER.size, len(self.wal) - STEP + 1, STEP))

    @property
    def commits(self) -> list[int]:
        """Where the last frame of each begins."""
        return [frame for frame in self.frames if FRAME.unpack_from(self.wal, frame)[1]]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """A log of one segment whose process was killed: each batch is one commit, and all are in its write-ahead log."""
    return made(tmp_path_factory.mktemp("killed"))


def made(both: Path, twice: Offset | None = None) -> Killed:
    """twice  here stands the first event once more"""
    make = Events(CLOCK)
    folder, copy = both / "log", both / "copy"
    folder.mkdir()
    create(folder, 1, CLOCK())
    everything: dict[Offset, Stamped] = {}
    with closing(open_to_write(path_of(folder, 1))) as connection:
        for number in range(BATCHES):
            events = make.some(BATCH, body=b'{"type":"track","filler":"%s"}' % (b"x" * 400))
            with connection:
                for offset, event in enumerate(events, 1 + number * BATCH):
                    event = everything[1] if offset == twice else event
                    connection.execute(insert(1), (offset, *record(event)))
                    everything[offset] = event
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*-shm"))
    return Killed(copy, wal_of(copy).read_bytes(), everything)


def a_bit(found: bytearray, frame: int) -> None:
    found[frame + FRAME.size + PAGE // 2] ^= 0x10


def a_bit_of_the_frame_s_head(found: bytearray, frame: int) -> None:
    found[frame + 2] ^= 0x10


def its_page_number(found: bytearray, frame: int) -> None:
    found[frame + 3] ^= 0x03


def zeros_over_its_begin_and_the_frame_before(found: bytearray, frame: int) -> None:
    found[frame - 2000 : frame + 2000] = bytes(4000)


def noise_over_all_of_it(found: bytearray, frame: int) -> None:
    found[frame : frame + STEP] = bytes(n * n % 251 for n in range(STEP))


WAYS = [
    a_bit,
    a_bit_of_the_frame_s_head,
    its_page_number,
    zeros_over_its_begin_and_the_frame_before,
    noise_over_all_of_it,
]


def wal_of(folder: Path) -> Path:
    return folder / f"{path_of(folder, 1).name}-wal"


def opened(folder: Path) -> tuple[list[Stored | Damaged], list[MutableMapping[str, Any]]]:
    """What a server finds that is started on it, and what it says."""

    async def run() -> list[Stored | Damaged]:
        log = await SqliteLog.open(folder, clock=CLOCK)
        try:
            return await read_all(log)
        finally:
            await log.close()

    with structlog.testing.capture_logs() as logs:
        found = asyncio.run(run())
    return found, [line for line in logs if line["event"].startswith("wal_")]


def events_in(found: list[Stored | Damaged]) -> dict[Offset, Stamped]:
    return {one.position.offset: one.event for one in found if isinstance(one, Stored)}


@pytest.mark.parametrize("spoil", WAYS)
def test_wherever_it_is_damaged_all_but_a_page_of_events_is_put_back_at_its_offset(
    killed: Killed, tmp_path: Path, spoil: Spoil
) -> None:
    everything = killed.everything
    assert len(everything) == BATCH * BATCHES
    for frame in [frame for frame in killed.frames if frame <= killed.commits[-3]][1::4]:
        folder = tmp_path / str(frame)
        content = killed.spoiled(folder, spoil, frame)
        found, said = opened(folder)
        kept = events_in(found)
        assert kept.items() <= everything.items()
        assert len(kept) >= len(everything) - A_PAGE, (frame, offsets(found))
        assert offsets(found) == list(range(1, max(everything) + 1)), "what is missing is named"
        damaged, salvaged = said
        assert (damaged["event"], salvaged["event"]) == ("wal_damaged", "wal_salvaged")
        assert salvaged["missing"] == len(found) - len(kept)
        assert wal_of(folder).with_name(damaged["kept"]).read_bytes() == content
        assert not (folder / DRAFT_OF_SALVAGED).exists()
        assert opened(folder) == (found, []), "once"
        shutil.rmtree(folder)


@pytest.mark.parametrize("spoil", WAYS)
def test_of_a_single_commit_which_may_never_have_been_finished_only_what_follows_without_a_gap_is_put_back(
    killed: Killed, tmp_path: Path, spoil: Spoil
) -> None:
    before = BATCH * (BATCHES - 1)
    put_back = set()
    for frame in [frame for frame in killed.frames if killed.commits[-2] < frame < killed.commits[-1]]:
        folder = tmp_path / str(frame)
        killed.spoiled(folder, spoil, frame)
        found, _ = opened(folder)
        kept = events_in(found)
        assert offsets(found) == list(kept) == list(range(1, len(found) + 1))
        assert kept.items() <= killed.everything.items()
        put_back.add(len(kept) - before)
    assert put_back & set(range(1, BATCH)), "some of them, up to the gap"


def test_a_segment_that_was_sealed_just_before_has_it_back_before_anybody_reads_it(
    killed: Killed, tmp_path: Path
) -> None:
    folder, last = tmp_path / "log", max(killed.everything)
    killed.spoiled(folder, a_bit, killed.frames[2])
    create(folder, last + 1, CLOCK())

    async def run() -> tuple[list[Stored | Damaged], list[Position | Duplicate]]:
        log = await SqliteLog.open(folder, clock=CLOCK)
        try:
            found = await read_all(log)
            again = await log.append([killed.everything[last]])
            await settled(folder)
            assert await read_all(log) == found, "it stays so"
            return found, again
        finally:
            await log.close()

    found, again = asyncio.run(run())
    assert again == [Duplicate(Position(0, last))]
    kept = events_in(found)
    assert kept.items() <= killed.everything.items()
    assert len(kept) >= len(killed.everything) - A_PAGE
    assert offsets(found) == list(killed.everything)


def test_nothing_is_put_into_a_sealed_segment_that_would_stand_in_the_next(killed: Killed, tmp_path: Path) -> None:
    folder, after = tmp_path / "log", max(killed.everything) - BATCH
    killed.spoiled(folder, a_bit, killed.frames[2])
    create(folder, after + 1, CLOCK())
    found, _ = opened(folder)
    assert offsets(found) == list(range(1, after + 1))
    assert len(events_in(found)) >= after - A_PAGE


def test_what_is_there_already_is_not_put_back_at_another_place(tmp_path: Path) -> None:
    """As of a commit that was written but refused, because it could not be made durable, and then sent again."""
    twice = BATCH * (BATCHES - 1)
    killed = made(tmp_path, twice)
    folder = tmp_path / "spoiled"
    killed.spoiled(folder, a_bit, next(frame for frame in killed.frames if frame > killed.commits[2]))
    found, _ = opened(folder)
    kept = events_in(found)
    assert twice not in kept
    assert {twice - 1, twice + 1} <= kept.keys()
    assert isinstance(found[twice - 1], Damaged)


def test_where_rows_recur_without_end_it_ends(killed: Killed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("milonga.eventlog.salvage.AGAIN", 0)
    folder = tmp_path / "log"
    killed.spoiled(folder, a_bit, killed.frames[5])
    _, said = opened(folder)
    assert [(line["event"], line.get("events")) for line in said] == [("wal_damaged", None), ("wal_salvaged", 0)]


def test_without_room_for_a_copy_nothing_is_put_back_and_that_is_told(
    killed: Killed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("milonga.eventlog.salvage.ROOM", 10**9)
    folder = tmp_path / "log"
    killed.spoiled(folder, a_bit, killed.frames[5])
    found, said = opened(folder)
    assert [line["event"] for line in said] == ["wal_damaged", "wal_not_salvaged"]
    assert 0 < len(found) < BATCH * BATCHES
    assert not (folder / DRAFT_OF_SALVAGED).exists()
