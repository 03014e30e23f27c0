"""What lies in a data directory, and whether a server runs on it."""

import asyncio
from pathlib import Path
from typing import Final

import apsw

from milonga.eventlog.reader import SqliteLogReader
from milonga.workspace import database
from milonga.workspace.errors import UserError
from milonga.workspace.lock import holders

LOG_FOLDER: Final = "log"
OUTCOMES_FOLDER: Final = "outcomes"
DELIVERY_NAME: Final = "delivery.db"


def exists(data: Path) -> bool:
    """Whether there is a workspace. UserError if the directory is a file."""
    if data.exists() and not data.is_dir():
        raise UserError(f"{data} is a file, not a directory. Choose another place with --data.")
    return (data / database.NAME).exists()


def must_exist(data: Path) -> None:
    """UserError if there is no workspace, so that a mistyped directory is noticed."""
    if not exists(data):
        raise UserError(
            f"There is no workspace in {data.absolute()}. Is that the right directory (--data, MILONGA_DATA)? "
            "A new one is made in this place by: milonga sources add NAME"
        )


def server_runs(data: Path) -> bool:
    return bool(holders(data))


def log_end(data: Path) -> dict[int, int]:
    """
    The log's newest offset of each partition; 0 while there is no log. UserError if it cannot be read. Not from within
    an event loop.
    """
    return asyncio.run(_log_end(data / LOG_FOLDER))


async def _log_end(folder: Path) -> dict[int, int]:
    reader = SqliteLogReader(folder)
    try:
        return {partition: await reader.end(partition) for partition in reader.assignments("cli")}
    except (OSError, apsw.Error) as error:
        raise UserError(f"The log in {folder} cannot be read: {error}. Nothing was changed.") from error
    finally:
        await reader.close()
