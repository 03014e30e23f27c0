"""How full the disk is by the options of the server that ran here last. What each level means: docs/operate.md."""

from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from milonga.eventlog.levels import MB, SMALLEST_LOG, Amount
from milonga.eventlog.room import Disk, free_of, look
from milonga.workspace.errors import UserError

NAME: Final = "disk.json"  #: in the data directory: the options of the server, for whoever looks beside it


class DiskOptions(Struct, frozen=True, kw_only=True):
    """
    Options of `milonga serve`, in bytes.

    reserve   of the disk that the log leaves free; None: by the size of the disk
    log_size  that the log may take; None: as much as there is
    """

    reserve: int | None = None
    log_size: int | None = None

    @classmethod
    def of(cls, data: Path, reserve: Amount | None, log_size: Amount | None) -> "DiskOptions":
        """UserError for what this disk cannot give."""
        size = free_of(_there(data))[1]
        kept = None if reserve is None else reserve.of(size)
        most = None if log_size is None else log_size.of(size)
        if kept is not None and kept >= size:
            raise UserError(f"--disk-reserve: the whole disk has {size // MB:,} MB. Leave some of it to events.")
        if most is not None and most < SMALLEST_LOG:
            raise UserError(f"--log-size: give the log {SMALLEST_LOG // MB} MB or more.")
        return cls(reserve=kept, log_size=most)


def told_of(data: Path, folder: Path) -> Disk | None:
    """How full the disk is by the options of the server that ran here last; None if it cannot be looked at."""
    try:
        options = msgspec.json.decode((data / NAME).read_bytes(), type=DiskOptions)
    except (OSError, msgspec.DecodeError):
        options = DiskOptions()
    try:
        return look(folder, options.reserve, options.log_size)
    except OSError:
        return None


def figures(disk: Disk) -> dict[str, Any]:
    """For logs and JSON, in MB."""
    told = {"freeMB": disk.free // MB, "reserveMB": disk.marks.reserve // MB}
    if disk.marks.most is not None:
        told |= {"logMB": disk.log // MB, "logMostMB": disk.marks.most // MB}
    return told


def _there(data: Path) -> Path:
    """The data directory, or whatever of the way to it is there already."""
    return next((place for place in (data.absolute(), *data.absolute().parents) if place.is_dir()), Path("/"))
