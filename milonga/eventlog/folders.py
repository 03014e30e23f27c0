"""Folders whose names survive a power cut: a file that is synced is lost all the same if the folder around it is."""

import os
from contextlib import suppress
from pathlib import Path


def make_folder(folder: Path, *, exist_ok: bool = True) -> None:
    """For its owner alone, its parents as need be. exist_ok: no FileExistsError if it is there, its mode as it was."""
    missing = [parent for parent in folder.parents if not parent.exists()]
    folder.mkdir(mode=0o700, parents=True, exist_ok=exist_ok)
    for parent in (folder.parent, *(one.parent for one in missing)):
        with suppress(PermissionError):  # we may write there, and not read
            sync_folder(parent)


def sync_folder(folder: Path) -> None:
    """Make the names in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
