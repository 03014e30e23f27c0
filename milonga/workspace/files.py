"""Making the data directory and its files so that only their owner reads them."""

import os
from pathlib import Path

from milonga.eventlog.folders import make_folder
from milonga.workspace.errors import UserError

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600


def make_data_directory(data: Path) -> None:
    """Create it, its parents too. One that is already there keeps its mode: it may be somebody's mounted volume."""
    try:
        make_folder(data, exist_ok=False)
        data.chmod(DIRECTORY_MODE)  # mkdir's mode passes through the umask
    except FileExistsError:
        if not data.is_dir():
            raise UserError(f"{data} is a file, not a directory. Choose another place with --data.") from None
    except OSError as error:
        raise UserError(
            f"The data directory {data} cannot be made: {error.strerror}. Choose another place with --data."
        ) from error


def make_private_file(path: Path) -> None:
    """
    Create an empty file for its owner alone, unless it is there. SQLite gives its WAL the mode of the database. One
    that is there is not opened: closing it again would give up the locks of every connection this process has to it.
    """
    if path.exists():
        return
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))
