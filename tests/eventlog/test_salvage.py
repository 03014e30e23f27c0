"""A damaged frame of the newest segment's write-ahead log costs what stands in it, not all that came after it."""

import asyncio
import shutil
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from milonga.eventlog.api import Damaged, Offset, Stored
from milonga.eventlog.segment import DRAFT_OF_SALVAGED, path_of
from milonga.eventlog.sqlite import SqliteLog
from milonga.eventlog.wal import FRAME, HEADER

from .parts import Clock, Events, offsets, read_all

CLOCK = Clock()
BATCH, BATCHES = 25, 12
PAGE = 16384
STEP = FRAME.size + PAGE
A_PAGE = 40  #: more events of these than a page holds

Spoil = Callable[[bytearray, int], None]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Stored | Damaged]]:
    """What a log whose process was killed leaves, and what is in it."""
    both = tmp_path_factory.mktemp("killed")
    folder, copy = both / "log", both / "copy"

    async def run() -> list[Stored | Damaged]:
        log, make = await SqliteLog.open(folder, clock=CLOCK), Events(CLOCK)
        for _ in range(BATCHES):
            await log.append(make.some(BATCH, body=b'{"type":"track","filler":"%s"}' % (b"x" * 400)))
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*-shm"))
        found = await read_all(log)
        await log.close()
        return found

    return copy, asyncio.run(run())


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


def stored(found: list[Stored | Damaged]) -> dict[Offset, Stored]:
    return {one.position.offset: one for one in found if isinstance(one, Stored)}


def frames_of(wal: bytes) -> Iterator[int]:
    return iter(range(HEADER.size, len(wal) - STEP + 1, STEP))


@pytest.mark.parametrize("spoil", WAYS)
def test_wherever_it_is_damaged_all_but_a_page_of_events_is_put_back_at_its_offset(
    killed: tuple[Path, list[Stored | Damaged]], tmp_path: Path, spoil: Spoil
) -> None:
    original, before = killed
    everything = stored(before)
    assert len(everything) == BATCH * BATCHES
    sound = wal_of(original).read_bytes()
    frames = list(frames_of(sound))
    for number in range(1, len(frames), 5):
        folder = tmp_path / str(number)
        shutil.copytree(original, folder)
        content = bytearray(sound)
        spoil(content, frames[number])
        wal_of(folder).write_bytes(content)
        found, said = opened(folder)
        kept = stored(found)
        assert kept.items() <= everything.items()
        assert len(kept) >= len(everything) - 2 * A_PAGE, (number, offsets(found))
        assert offsets(found) == list(range(1, max(kept) + 1)), "what is missing is named"
        assert said[0]["event"] == "wal_damaged"
        assert wal_of(folder).with_name(said[0]["kept"]).read_bytes() == content
        assert not (folder / DRAFT_OF_SALVAGED).exists()
        assert opened(folder) == (found, []), "once"
        shutil.rmtree(folder)
