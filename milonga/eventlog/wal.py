"""
What SQLite does not say: after a crash it reads a write-ahead log up to the first frame whose checksum is wrong, and
passes by the rest without a word. After a power cut that is right, for what lies there was never acknowledged. But if
whole commits follow, or one that was acknowledged, something has damaged the file, and what they held is lost.

The file's format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log; of the index beside it, the number of
the last valid frame: https://www.sqlite.org/walformat.html#the_wal_index_header.
"""

import shutil
import struct
import time
from pathlib import Path

import structlog

HEADER = struct.Struct(">8I")  #: magic, format, page size, checkpoint number, two salts, two checksums
FRAME = struct.Struct(">6I")  #: page, size of the database if it ends a commit, two salts, two checksums
LAST_VALID = struct.Struct("=16xI")
MAGIC = (0x377F0682, 0x377F0683)  #: checksums of little- and of big-endian words
WORD = 0xFFFFFFFF

log = structlog.get_logger("milonga.eventlog")


def lost_commits(path: Path) -> int:
    """
    Commits in the write-ahead log of a database that SQLite passes by. To be asked by whoever has it open to write,
    after a first look into it and before the first change. 0 if there is no such log, or it cannot be read.
    """
    wal, index = path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")
    try:
        with wal.open("rb") as file, index.open("rb") as beside:
            (valid,) = LAST_VALID.unpack(beside.read(LAST_VALID.size))
            head = file.read(HEADER.size + FRAME.size)
            size = wal.stat().st_size
            if len(head) < HEADER.size + FRAME.size:
                return 0
            header = HEADER.unpack_from(head)
            page, salts = header[2], header[4:6]
            if not _is_sound(header, head):
                if valid:
                    return 0  # it was damaged after it was read
                page, salts = _page_size(path), FRAME.unpack_from(head, HEADER.size)[2:4]
            commits, step = 0, FRAME.size + page
            for at in range(HEADER.size + valid * step, size - step + 1, step):
                file.seek(at)
                frame = FRAME.unpack(file.read(FRAME.size))
                commits += frame[1] > 0 and frame[2:4] == salts
            return commits
    except (OSError, struct.error):
        return 0


def tell_lost(path: Path, lost: str) -> None:
    """
    If there are any: keep a copy of the write-ahead log, which the next commit writes over, and say so.

    lost  what the commits held
    """
    commits = lost_commits(path)
    if not commits:
        return
    number = int(time.time())
    while (copy := path.with_name(f"{path.name}.damaged-{number}.wal")).exists():
        number += 1
    try:
        shutil.copyfile(path.with_name(path.name + "-wal"), copy)
        copy.chmod(0o600)
        kept = copy.name
    except OSError as error:
        copy.unlink(missing_ok=True)
        kept = f"no copy of it: {error}"
    tell = log.error if commits > 1 else log.warning
    tell(
        "wal_damaged",
        file=f"{path}-wal",
        commits=commits,
        kept=kept,
        lost=f"{lost}; if the machine has lost its power, and this is one commit, nothing: it was not finished",
    )


def _is_sound(header: tuple[int, ...], head: bytes) -> bool:
    if header[0] not in MAGIC:
        return False
    first = second = 0
    for a, b in struct.iter_unpack("<2I" if header[0] == MAGIC[0] else ">2I", head[:24]):
        first = (first + a + second) & WORD
        second = (second + b + first) & WORD
    return (first, second) == header[6:8]


def _page_size(path: Path) -> int:
    """As the database's own head has it."""
    with path.open("rb") as file:
        (size,) = struct.unpack(">16xH", file.read(18))
    return 65536 if size == 1 else int(size)
