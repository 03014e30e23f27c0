"""
What a sceptic finds when all is over: is every acknowledged event accounted for, did each key keep its order, what came
twice. Read from what the receiver got and from the files, not from what the server says.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import closing
from pathlib import Path
from typing import Final, Protocol

import apsw

from milonga.destinations.pretend import Seen
from milonga.eventlog.api import START, Damaged, Offset
from milonga.eventlog.reader import SqliteLogReader
from milonga.eventlog.segment import list_segments
from milonga.outcomes.files import is_begun, open_to_read, path_of, segments
from milonga.outcomes.model import State
from tests.faults.case import Report
from tests.faults.mix import Made, number_of

PATIENCE: Final = 90.0  #: seconds, once the fault is over, in which none of what was acknowledged gets its outcome


class Sent(Protocol):
    """What was begun to be sent, by number, and the numbers of what was acknowledged: a Load, or a part of one."""

    @property
    def made(self) -> Mapping[int, Made]: ...
    @property
    def acked(self) -> Set[int]: ...


class Heard(Protocol):
    """What a receiver got: a Receiving, or a part of it."""

    def requests(self) -> list[Seen]: ...


def judge(
    report: Report,
    data: Path,
    load: Sent,
    receivers: Mapping[str, Heard],
    *,
    patience: float = PATIENCE,
    forgiven: Iterable[str] = (),
) -> None:
    """
    Wait until every acknowledged event has its outcome at each destination, and write into the report what is wrong.

    receivers  destination -> what it sends to
    forgiven   states and codes of outcomes ("dead", "http_403") that this fault brings with it
    """
    stored = numbers_in(data)
    report.events += len(load.acked)
    gone = sorted(load.acked - stored.keys())
    if not _was_trimmed(data):
        report.lost += [f"event {number} was acknowledged and is not in the log" for number in gone]
    twice = [number for number, offsets in stored.items() if len(offsets) > 1]
    report.wrong += [f"event {number} is in the log {len(stored[number])} times" for number in twice]
    for name, receiver in receivers.items():
        ended = _ended(data, name, {offsets[0] for offsets in stored.values()}, patience)
        requests = receiver.requests()
        accepted = taken(requests)
        arrived = Counter(number for seen in accepted if (number := number_of(seen.params)) is not None)
        allowed = {"delivered", "skipped", *forgiven}
        for number in sorted(load.acked & stored.keys()):
            what = ended.get(stored[number][0])
            made = load.made[number]
            if wrong := unaccounted(made, what, arrived[number], allowed):
                report.lost.append(f"{name}: event {number} {wrong}")
        if _was_trimmed(data):
            report.lost += [
                f"{name}: event {number} was acknowledged, is gone from the log, and never arrived"
                for number in gone
                if not (arrived[number] or load.made[number].skip)
            ]
        report.reordered += [f"{name}: {words}" for words in out_of_order(accepted, load.made)]
        report.reordered += [f"{name}: {words}" for words in together(requests, load.made)]
        report.duplicates += sum(arrived.values()) - len(arrived)


def unaccounted(made: Made, what: tuple[str, str] | None, arrived: int, allowed: set[str]) -> str:
    """Why an acknowledged event cannot be said to be in good hands, in words; "" if it is."""
    if what is None:
        return f"has no outcome ({'but arrived' if arrived else 'and never arrived'})"
    state, code = what
    if state == "delivered" and not arrived:
        return "is recorded as delivered and never arrived"
    if state == "skipped" and code != made.skip and code not in allowed:
        return f"was skipped as {code}"
    if state not in allowed and code not in allowed:
        return f"ended as {state} ({code})"
    return ""


def taken(requests: Iterable[Seen]) -> list[Seen]:
    """Those a receiver would have taken in, as they came: answered 2xx, or dropped after it had read them."""
    return [seen for seen in requests if seen.drop == "after" or (seen.drop is None and _is_taken(seen))]


def _is_taken(seen: Seen) -> bool:
    """Also if whoever had sent it was gone before the answer."""
    return seen.status is None or 200 <= seen.status < 300


def out_of_order(accepted: Iterable[Seen], made: Mapping[int, Made]) -> Iterator[str]:
    """Each arrival, a repeated one too, behind which an earlier event of one of its keys comes. Oldest first."""
    newest: dict[tuple[str, ...], int] = {}
    for seen in sorted(accepted, key=lambda one: one.started):
        number = number_of(seen.params)
        if number is None or number not in made:
            continue
        for key in made[number].keys:
            if number < newest.get(key, -1):
                yield f"event {number} came after event {newest[key]} of {'/'.join(key)}"
            else:
                newest[key] = number


def together(requests: Iterable[Seen], made: Mapping[int, Made]) -> Iterator[str]:
    """Requests of one key, the first of them answered, that were in flight at the same time."""
    last: dict[tuple[str, ...], Seen] = {}
    for seen in sorted(requests, key=lambda one: one.started):
        number = number_of(seen.params)
        if number is None or number not in made:
            continue
        for key in made[number].keys:
            before = last.get(key)
            if before is not None and before.status is not None and (before.ended or 0.0) > seen.started:
                yield f"events {number_of(before.params)} and {number} of {'/'.join(key)} were in flight together"
            last[key] = seen


def _was_trimmed(data: Path) -> bool:
    """The log's oldest segments were dropped, once they were delivered."""
    return list_segments(data / "log")[:1] != [START + 1]


def numbers_in(data: Path) -> dict[int, list[Offset]]:
    """Numbers of a load's events in the log, with their offsets."""
    return asyncio.run(_numbers_in(data))


async def _numbers_in(data: Path) -> dict[int, list[Offset]]:
    found: dict[int, list[Offset]] = defaultdict(list)
    reader = SqliteLogReader(data / "log")
    try:
        after = START
        while some := await reader.read(0, after, 2_000):
            for stored in some:
                if not isinstance(stored, Damaged):
                    id_ = stored.event.stamp.message_id
                    if id_.startswith("m-") and id_[2:].isdigit():
                        found[int(id_[2:])].append(stored.position.offset)
            after = some[-1].position.offset
    finally:
        await reader.close()
    return dict(found)


def _ended(data: Path, name: str, wanted: set[Offset], patience: float) -> dict[Offset, tuple[str, str]]:
    """State and code of what has ended at this destination; waits for all that is wanted, as long as it goes on."""
    destination = _number_of_destination(data, name)
    ended, deadline = 0, time.monotonic() + patience
    while True:
        found = outcomes_in(data, destination)
        if wanted <= found.keys() or time.monotonic() > deadline:
            return found
        if len(found) > ended:
            ended, deadline = len(found), time.monotonic() + patience
        time.sleep(0.3)


def _number_of_destination(data: Path, name: str) -> int:
    """Whatever version of the workspace it is."""
    with closing(apsw.Connection(str(data / "workspace.db"), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        return int(next(db.execute("SELECT id FROM destination WHERE name = ?", (name,)))[0])


def outcomes_in(data: Path, destination: int) -> dict[Offset, tuple[str, str]]:
    """Of each event the newest: state and code."""
    found: dict[Offset, tuple[str, str]] = {}
    for number in segments(data / "outcomes"):
        try:
            db = open_to_read(path_of(data / "outcomes", number))
        except apsw.CantOpenError:
            continue
        try:
            if is_begun(db):
                query = "SELECT offset, state, code FROM outcomes WHERE destination = ? ORDER BY ended_at"
                found |= {
                    offset: (State(state).name, code) for offset, state, code in db.execute(query, (destination,))
                }
        finally:
            db.close()
    return found
