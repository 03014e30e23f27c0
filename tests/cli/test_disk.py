"""What the server is told about the disk holds, and commands beside it know of it."""

import asyncio
import os
from pathlib import Path

import pytest

from milonga.cli.disk import DiskWatch
from milonga.eventlog.levels import MB, Amount, Level
from milonga.facts.directory import LOG_FOLDER
from milonga.facts.disk import DiskOptions, told_of
from milonga.workspace.errors import UserError
from tests.running import PATIENCE


def test_a_log_that_has_all_it_may_take_refuses_and_goes_on_once_it_is_smaller(tmp_path: Path) -> None:
    folder = tmp_path / LOG_FOLDER
    folder.mkdir()
    segment = folder / "1.db"
    options = DiskOptions.of(tmp_path, Amount(0), Amount(32 * MB))

    async def run() -> None:
        watch = DiskWatch(folder, options)
        following = asyncio.create_task(watch.follow())

        async def until(level: Level) -> None:
            async with asyncio.timeout(PATIENCE):
                while watch.level is not level:  # noqa: ASYNC110 - it looks once a second
                    await asyncio.sleep(0.02)
            told = told_of(tmp_path, folder)
            assert told is not None
            assert told.level is level

        await until(Level.fine)
        with segment.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 33 * MB)
        await until(Level.high_water)
        os.truncate(segment, 30 * MB)
        await until(Level.low)
        segment.unlink()
        await until(Level.fine)
        following.cancel()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("reserve", "log_size", "says"),
    [(Amount(100, is_percent=True), None, "--disk-reserve"), (None, Amount(MB), "--log-size: give the log 32 MB")],
)
def test_what_this_disk_cannot_give_is_refused(
    tmp_path: Path, reserve: Amount | None, log_size: Amount | None, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        DiskOptions.of(tmp_path / "not" / "there", reserve, log_size)
