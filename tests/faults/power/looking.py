"""What Milonga's own code makes of a disk after a power cut, and whether that is what was promised."""

import asyncio
from collections.abc import Mapping, Set
from contextlib import closing
from pathlib import Path

import apsw

from milonga.cli.check import _checked
from milonga.cli.checking import Problem
from milonga.eventlog.sqlite import SqliteLog
from milonga.outcomes.files import segments
from tests.faults.mix import Made
from tests.faults.power.disk import Image
from tests.faults.verdict import numbers_in, outcomes_in


def lay_out(image: Image, data: Path, to: Path) -> None:
    """The files of an image of `data`, in another folder."""
    for path, content in image.items():
        place = to / Path(path).relative_to(data)
        if content is None:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            place.write_bytes(content)
            place.chmod(0o600)


def look(data: Path, acked: Set[int], arrived: Set[int], made: Mapping[int, Made]) -> tuple[list[str], list[str]]:
    """
    What is lost, and what else is wrong, in words.

    acked    numbers that were acknowledged before the cut
    arrived  numbers that the receiver had before the cut
    """
    found, _ = _checked(data)
    wrong = [
        f"milonga check: {problem.file} {problem.what}" for problem in found.problems if not _is_usual(data, problem)
    ]
    asyncio.run(_recovered(data))
    wrong += [f"set aside: {path.name}" for path in data.rglob("*.damaged-*") if path.suffix != ".wal"]
    stored = numbers_in(data)
    lost = [f"event {number} was acknowledged and is not in the log" for number in sorted(acked - stored.keys())]
    wrong += [f"event {number} is in the log more than once" for number, offsets in stored.items() if len(offsets) > 1]
    numbers = {offsets[0]: number for number, offsets in stored.items()}
    if not (data / "delivery.db").exists():
        return lost, wrong
    ended = outcomes_in(data, 1) if (data / "outcomes").exists() else {}
    for offset, (state, _code) in ended.items():
        if state == "delivered" and numbers.get(offset) not in arrived:
            lost.append(f"event {numbers.get(offset)} is recorded as delivered and had not arrived")
    with closing(apsw.Connection(str(data / "delivery.db"))) as db:
        if (said := db.pragma("integrity_check")) != "ok":
            wrong.append(f"delivery.db: {said}")
        if not next(db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'positions'"))[0]:
            return lost, wrong
        position = next(db.execute("SELECT ifnull(max(watermark), 0) FROM positions"))[0]
        parked = {row[0] for row in db.execute("SELECT offset FROM parked UNION SELECT offset FROM dead")}
    passed = {offset for offset in numbers if offset <= position} - ended.keys() - parked
    lost += [f"event {numbers[offset]} is behind the position, and nothing is known of it" for offset in sorted(passed)]
    return lost, wrong


def _is_usual(data: Path, problem: Problem) -> bool:
    """
    What a power cut may leave, and `milonga check` cannot tell from damage: the one commit that was being written to a
    write-ahead log; an empty file that was just being made, and never held anything.
    """
    if problem.what.startswith("has 1 commits behind a damaged place"):
        return True
    files = segments(data / "outcomes")
    if problem.file == "delivery.db":
        return problem.what.endswith("it is empty") and not outcomes_in(data, 1)
    return problem.what.endswith("it is empty") and problem.file == f"outcomes/{files[-1] if files else 0:08}.db"


async def _recovered(data: Path) -> None:
    """As a start does it."""
    log = await SqliteLog.open(data / "log")
    await log.close()
