"""What a server under test runs within itself: sitecustomize.py, and how to have it there."""

import os
import struct
from pathlib import Path


def environment(**names: Path) -> dict[str, str]:
    """Of a server: `clock` and `ca` as in sitecustomize.py."""
    path = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH", ""))))
    return {"PYTHONPATH": path} | {f"MILONGA_TEST_{name.upper()}": str(file) for name, file in names.items()}


class WallClock:
    """The clock of processes that were started with this file as `clock`: `ahead` of ours by so many seconds."""

    def __init__(self, path: Path) -> None:
        self.path, self.ahead = path, 0.0
        self.set(0.0)

    def set(self, ahead: float) -> None:
        """For all of them, at once."""
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            file.write(struct.pack("<d", ahead))
        self.ahead = ahead
