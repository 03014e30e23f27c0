"""Which formats of its files this Milonga reads. The format is each file's `PRAGMA user_version`."""

from contextlib import closing, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

import apsw

from milonga.delivery import store
from milonga.outcomes import files as outcome_files
from milonga.spec.stored import FORMAT
from milonga.workspace.errors import UserError
from milonga.workspace.migrate import migrations

LOG, OUTCOMES = "log", "outcomes"  #: folders
DELIVERY = "delivery.db"
COUNTERS = "counters.db"
READ_ONLY: Final = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI


def kind_of(name: str) -> str:
    """Of a file of the data directory: workspace, delivery, log, outcomes; "" for counts, which have no format."""
    if name.endswith(COUNTERS):
        return ""
    return name.split("/", 1)[0].removesuffix(".db")


def known_formats() -> dict[str, int]:
    """Kind of file -> the newest format that this Milonga reads."""
    return {
        "workspace": migrations()[-1].version,
        "delivery": store.SCHEMA_VERSION,
        LOG: FORMAT,
        OUTCOMES: outcome_files.SCHEMA_VERSION,
    }


def read_only(path: Path) -> apsw.Connection:
    return apsw.Connection(f"file:{quote(str(path))}", flags=READ_ONLY)


def refuse_newer(data: Path) -> None:
    """
    UserError if a newer Milonga wrote what delivery remembers, or the newest outcomes: whoever reads them does not
    look. Workspace and log do.
    """
    names = [DELIVERY, *(f"{OUTCOMES}/{number:08}.db" for number in outcome_files.segments(data / OUTCOMES)[-1:])]
    for name in names:
        with suppress(apsw.Error), closing(read_only(data / name)) as connection:
            version, known = int(connection.pragma("user_version")), known_formats()[kind_of(name)]
            if version > known:
                raise UserError(
                    f"{data / name} was written by a newer Milonga (format {version}; this one knows {known}). Use "
                    "that one. Nothing was changed."
                )
