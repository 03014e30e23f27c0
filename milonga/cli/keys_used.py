"""When each write key was last used: written down beside the collector's work, never on its way."""

import asyncio
from pathlib import Path
from typing import Final

import apsw
import structlog

from milonga.cli.following import Followed
from milonga.workspace.commands import milliseconds
from milonga.workspace.database import Database
from milonga.workspace.errors import UserError
from milonga.workspace.keys import MINUTE, KeyRing

log = structlog.get_logger("milonga")

EVERY: Final = 2.0  #: seconds between two looks; a key is written once a minute at most


async def note_use_of_keys(data: Path, followed: Followed) -> None:
    """Until it is cancelled. In a thread, with a connection of its own: another process may hold the write lock."""
    written: dict[str, int] = {}
    trouble = ""
    while True:
        await asyncio.sleep(EVERY)
        minute = milliseconds() // MINUTE
        due = {key for key in followed.take_used() if written.get(key) != minute}
        if not due:
            continue
        try:
            await asyncio.to_thread(_note, data, due, minute * MINUTE)
            trouble = ""
        except (UserError, OSError, apsw.Error) as error:  # what is lost is one minute of something to look at
            if str(error) != trouble:
                log.warning("write_keys.use_not_noted", error=str(error))
            trouble = str(error)
        else:
            written = {key: at for key, at in written.items() if at == minute} | dict.fromkeys(due, minute)


def _note(data: Path, keys: set[str], at: int) -> None:
    database = Database(data)
    try:
        KeyRing(database, milliseconds).note_use(keys, at)
    finally:
        database.close()
