"""A real disk that is soon full: a tmpfs of some megabytes."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mounted within this folder as long as it lasts. The test is skipped where nothing may be mounted."""
    disk = folder / "disk"
    disk.mkdir()
    size = f"size={megabytes}m"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def free(disk: Path) -> int:
    """Bytes."""
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


def leave_free(disk: Path, size: int, name: str = "ballast") -> Path:
    """A file of somebody else's takes all but so many bytes, more or less than before; the file."""
    ballast = disk / name
    ballast.touch()
    room = free(disk) + ballast.stat().st_size - size
    with ballast.open("r+b") as file:
        file.truncate(min(room, ballast.stat().st_size))
        file.seek(0, os.SEEK_END)
        while (missing := room - file.tell()) > 0:
            file.write(b"x" * min(missing, 1_000_000))
            file.flush()
    return ballast
