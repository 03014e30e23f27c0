"""
What SQLite does not say: after a crash it reads a write-ahead log up to the first frame whose checksum is wrong, and
passes by the rest without a word. After a power cut that is right, for what lies there was never acknowledged. But if
whole commits follow, or one that was acknowledged, something has damaged the file, and what they held is lost.

The file's format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log.
"""

import shutil
import struct
import sys
import time
from pathlib import Path

import apsw
import structlog
from msgspec import Struct

HEADER = struct.Struct(">8I")  #: magic, format, page size, checkpoint number, two salts, two checksums
FRAME = struct.Struct(">6I")  #: page, size of the database if it ends a commit, two salts, two checksums
MAGIC = (0x377F0682, 0x377F0683)  #: checksums of little- and of big-endian words
WORD = 0xFFFFFFFF

log = structlog.get_logger("milonga.eventlog")


class Frame(Struct, frozen=True):
    """
    One page in a write-ahead log.

    at     where its bytes begin
    page   its number in the database, from 1
    sound  its checksum fits the frame before it: if not, the damage may be in either
    """

    at: int
    page: int
    sound: bool


class Lost(Struct, frozen=True):
    """
    What SQLite passes by.

    copy     of the write-ahead log, as it was
    commits  that are passed by
    valid    frames that SQLite reads
    page     bytes of one
    """

    copy: Path
    commits: int
    valid: int
    page: int


def leave_wal(connection: apsw.Connection) -> None:
    """
    For whoever opens somebody else's file, only to read it. The last one to close a database would move its
    write-ahead log into it and delete that: after a crash also what lies behind a damaged frame, before the file's
    writer, or `milonga check`, has seen that something does.
    """
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)


def lost_commits(path: Path, connection: apsw.Connection) -> int:
    """
    Commits in the write-ahead log of a database that SQLite passes by. To be asked by whoever has it open to write,
    after a first look into it and before the first change. 0 if there is no such log, or it cannot be read.
    """
    return _look(path, connection)[0]


def _look(path: Path, connection: apsw.Connection) -> tuple[int, int, int]:
    """Commits that are passed by; valid frames; bytes of a page."""
    try:
        # Only SQLite may open its files: whoever closes one loses every lock that his process has on it.
        found, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        valid, page = max(0, found), int(connection.pragma("page_size"))
        return _commits_behind(path, valid, page), valid, page
    except (OSError, struct.error, apsw.Error):
        return 0, 0, 0


def lost_commits_at_rest(path: Path) -> int:
    """The same of a database that nobody has open, found without SQLite: some 0.1 s for each MB."""
    try:
        return _commits_behind(path, _valid_frames(path), _page_size(path))
    except (OSError, struct.error):
        return 0


def _commits_behind(path: Path, valid: int, page: int) -> int:
    """In frames after so many."""
    wal = path.with_name(path.name + "-wal")
    if not wal.exists():
        return 0
    with wal.open("rb") as file:  # SQLite locks the index beside it, and the database, never this
        head, size = file.read(HEADER.size + FRAME.size), wal.stat().st_size
        if len(head) < HEADER.size + FRAME.size:
            return 0
        if valid and not _is_sound(head):
            return 0  # it was damaged after it was read
        salts, commits, step = _salts(head), 0, FRAME.size + page
        for at in range(HEADER.size + valid * step, size - step + 1, step):
            file.seek(at)
            frame = FRAME.unpack(file.read(FRAME.size))
            commits += frame[1] > 0 and frame[2:4] == salts
        return commits


def frames_behind(lost: Lost) -> list[Frame]:
    """Up to the last commit: some 0.1 s for each MB."""
    found: list[Frame] = []
    ended, step = 0, FRAME.size + lost.page
    with lost.copy.open("rb") as file:
        head = file.read(HEADER.size + FRAME.size)
        header, salts = HEADER.unpack_from(head), _salts(head)
        words = "<2I" if (header[0] == MAGIC[0] if header[0] in MAGIC else sys.byteorder == "little") else ">2I"
        sums, at = header[6:8], HEADER.size
        if lost.valid:
            at += lost.valid * step
            file.seek(at - step)
            sums = FRAME.unpack(file.read(FRAME.size))[4:6]
        file.seek(at)
        while len(raw := file.read(step)) == step:
            frame = FRAME.unpack_from(raw)
            if frame[2:4] == salts:
                sound = frame[4:6] == _sums(words, raw[FRAME.size :], _sums(words, raw[:8], sums))
                found.append(Frame(at + FRAME.size, frame[0], sound))
                ended = len(found) if frame[1] else ended
            sums, at = frame[4:6], at + step
    return found[:ended]


def _salts(head: bytes) -> tuple[int, ...]:
    """Of the header and the first frame: those of the frames that belong to it."""
    return HEADER.unpack_from(head)[4:6] if _is_sound(head) else FRAME.unpack_from(head, HEADER.size)[2:4]


def _valid_frames(path: Path) -> int:
    """As SQLite counts them: up to the last commit before the first frame whose checksum is wrong."""
    with path.with_name(path.name + "-wal").open("rb") as file:
        head = file.read(HEADER.size)
        if len(head) < HEADER.size or not _is_sound(head):
            return 0
        header = HEADER.unpack(head)
        words = "<2I" if header[0] == MAGIC[0] else ">2I"
        page, salts, sums = header[2], header[4:6], header[6:8]
        valid = place = 0
        while len(raw := file.read(FRAME.size + page)) == FRAME.size + page:
            frame = FRAME.unpack_from(raw)
            sums = _sums(words, raw[FRAME.size :], _sums(words, raw[:8], sums))
            if frame[2:4] != salts or frame[4:6] != sums:
                break
            place += 1
            if frame[1]:
                valid = place
        return valid


def tell_lost(path: Path, connection: apsw.Connection, lost: str) -> Lost | None:
    """
    If there are any: keep a copy of the write-ahead log, which the next commit writes over, and say so. None without a
    copy.

    lost  what the commits held
    """
    commits, valid, page = _look(path, connection)
    if not commits:
        return None
    number = int(time.time())
    while (copy := path.with_name(f"{path.name}.damaged-{number}.wal")).exists():
        number += 1
    found = None
    try:
        shutil.copyfile(path.with_name(path.name + "-wal"), copy)
        copy.chmod(0o600)
        kept, found = copy.name, Lost(copy, commits, valid, page)
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
    return found


def _is_sound(head: bytes) -> bool:
    header = HEADER.unpack_from(head)
    if header[0] not in MAGIC:
        return False
    return _sums("<2I" if header[0] == MAGIC[0] else ">2I", head[:24], (0, 0)) == header[6:8]


def _sums(words: str, data: bytes, sums: tuple[int, ...]) -> tuple[int, ...]:
    first, second = sums
    for a, b in struct.iter_unpack(words, data):
        first = (first + a + second) & WORD
        second = (second + b + first) & WORD
    return first, second


def _page_size(path: Path) -> int:
    """As the write-ahead log's head has it; if that is damaged, the database's own."""
    with path.with_name(path.name + "-wal").open("rb") as file:
        head = file.read(HEADER.size)
    if len(head) == HEADER.size and _is_sound(head):
        return int(HEADER.unpack(head)[2])
    with path.open("rb") as file:
        (size,) = struct.unpack(">16xH", file.read(18))
    return 65536 if size == 1 else int(size)
