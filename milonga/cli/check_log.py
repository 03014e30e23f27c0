"""
The log's part of `milonga check`: every event of every segment, and what delivery and the outcomes say of it. Bounded:
a few hundred events at a time.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from itertools import zip_longest
from pathlib import Path
from typing import Final

import apsw

from milonga.cli.checking import INDEX_FIX, Checked, Ranges, Report, faults_of, newer, only_indexes, open_file, size_of
from milonga.delivery.detours import account_of
from milonga.delivery.store_reader import DeliveryReader
from milonga.delivery.switching import Fate, fate, gap_end, spans
from milonga.eventlog.api import START, Damaged, Offset, Stored
from milonga.eventlog.aside import UNREADABLE
from milonga.eventlog.reading import all_damaged, read_rows
from milonga.eventlog.segment import list_segments, lost_from, newest, path_of
from milonga.facts.formats import DELIVERY, LOG, OUTCOMES
from milonga.outcomes.reader import OutcomeReader
from milonga.workspace.model import DestinationConfig

AT_ONCE: Final = 500  #: events
BYTES_AT_ONCE: Final = 4 * 1024 * 1024
OPEN_FILES: Final = 8

GONE_FIX: Final = (
    "Nothing brings them back but their senders or a backup; delivery passes by them, and goes on with all others."
)
VANISHED_FIX: Final = (
    "If a file of outcomes was lost, that is why: they were delivered, skipped or refused. Else please report it."
)


class Ended:
    """Which events have an outcome where, of any stretch of the log. Files that cannot be read are passed by."""

    def __init__(self, data: Path, names: Sequence[str]) -> None:
        """names  of the files, oldest first"""
        self._data, self._names = data, names
        self._extent: dict[str, tuple[Offset, Offset]] = {}
        self._open: OrderedDict[str, apsw.Connection] = OrderedDict()

    def close(self) -> None:
        for connection in self._open.values():
            connection.close()

    def between(self, first: Offset, last: Offset) -> set[tuple[Offset, int]]:
        """(offset, destination); both ends included."""
        found: set[tuple[Offset, int]] = set()
        query = "SELECT offset, destination FROM outcomes WHERE partition = 0 AND offset BETWEEN ? AND ?"
        for name in self._names:
            with suppress(apsw.CantOpenError, *UNREADABLE):
                lowest, highest = self._extent_of(name)
                if lowest <= last and highest >= first:
                    found.update(self._file(name).execute(query, (first, last)))
        return found

    def beyond(self, offset: Offset) -> int:
        """How many there are of later events."""
        count = 0
        for name in self._names:
            with suppress(apsw.CantOpenError, *UNREADABLE):
                query = "SELECT count(*) FROM outcomes WHERE partition = 0 AND offset > ?"
                count += int(self._file(name).execute(query, (offset,)).get)
        return count

    def _extent_of(self, name: str) -> tuple[Offset, Offset]:
        if name not in self._extent:
            if name == self._names[-1]:
                return START, 2**62  # it grows
            query = "SELECT ifnull(min(offset), 1), ifnull(max(offset), 0) FROM outcomes WHERE partition = 0"
            extent: tuple[Offset, Offset] = next(self._file(name).execute(query))
            self._extent[name] = extent
        return self._extent[name]

    def _file(self, name: str) -> apsw.Connection:
        if name in self._open:
            self._open.move_to_end(name)
        else:
            self._open[name] = open_file(self._data / name)
            while len(self._open) > OPEN_FILES:
                self._open.popitem(last=False)[1].close()
        return self._open[name]


class LogCheck:
    """
    Of the log as a whole.

    configs   destinations; none if the workspace cannot be read
    delivery  None if there is none, or it cannot be read
    """

    def __init__(
        self,
        report: Report,
        data: Path,
        configs: Sequence[DestinationConfig],
        delivery: DeliveryReader | None,
        outcomes: Sequence[str],
    ) -> None:
        self._report, self._data, self._folder = report, data, data / LOG
        self._configs, self._delivery = configs, delivery
        self._ended = Ended(data, outcomes)
        self._reader = OutcomeReader(data / OUTCOMES)
        # Before anything else is read: what a position has passed, has an outcome by now.
        self._positions = {} if delivery is None else {c.id: delivery.position(c.id, 0) for c in configs}
        self._remembered = START if delivery is None else delivery.highest(0)
        oldest = self._reader.oldest()
        self._kept_since = None if oldest is None else oldest * 1000
        self._spans = {config.id: spans(config.changes, 0) for config in configs}
        self._vanished = {config.id: Ranges() for config in configs}
        self.events = 0

    def run(self) -> None:
        try:
            firsts = list_segments(self._folder)
            for first, after in zip_longest(firsts, firsts[1:]):
                self._check_segment(first, after)
            ended = self._reader.end(0)  # before the log's own end, which grows
            self._check_positions(firsts[0] if firsts else None, self._end(), ended)
            self._tell_vanished()
        finally:
            self._ended.close()

    # One segment

    def _check_segment(self, first: Offset, after: Offset | None) -> None:
        path, name = path_of(self._folder, first), f"{LOG}/{path_of(self._folder, first).name}"
        last = None if after is None else self._held_to(first, after)
        try:
            connection = open_file(path)
        except apsw.CantOpenError as error:
            if path.exists():
                self._report.problem(
                    name, f"cannot be opened: {error}", lost="unknown", count=None, fix="Let this user read it."
                )
            return
        except UNREADABLE as error:
            self._tell_unreadable(name, first, last, str(error))
            return
        with closing(connection):
            if newer(self._report, name, connection):
                return
            self._check_rows(name, first, last, connection)

    def _held_to(self, first: Offset, after: Offset) -> Offset:
        """Its last offset: what followed may have been lost as a whole, which the next segment notes."""
        with suppress(apsw.Error):
            with closing(open_file(path_of(self._folder, after))) as following:
                lost = lost_from(following)
            if lost is not None:
                return max(first - 1, lost - 1)
        return after - 1

    def _tell_unreadable(self, name: str, first: Offset, last: Offset | None, why: str) -> None:
        if last is None:
            lost, count = f"events from offset {first} on that were not delivered yet", None
        else:
            count = last - first + 1 - self._ended_between(first, last)
            lost = f"up to {count:,} events without an outcome, of offsets {first} to {last}; the content of the others"
        fix = "Restart the server: it sets the file aside, and goes on behind it." if last is None else GONE_FIX
        self._report.problem(name, f"cannot be read: {why}", lost=lost, count=count, fix=fix)

    def _ended_between(self, first: Offset, last: Offset) -> int:
        """How many of these have an outcome somewhere."""
        return sum(
            len({offset for offset, _ in self._ended.between(begin, min(last, begin + AT_ONCE - 1))})
            for begin in range(first, last + 1, AT_ONCE)
        )

    def _check_rows(self, name: str, first: Offset, last: Offset | None, connection: apsw.Connection) -> None:
        faults = faults_of(connection)
        damaged: dict[str, Ranges] = {}
        told, lost, count = 0, 0, 0
        for items in _read(connection, first, last):
            ended = self._ended.between(items[0].position.offset, items[-1].position.offset)
            offsets = {offset for offset, _ in ended}
            events = [item for item in items if isinstance(item, Stored)]
            count += len(events)
            self._check_standings(events, ended)
            for item in items:
                if isinstance(item, Stored):
                    continue
                told += 1
                lost += item.position.offset not in offsets
                kind = item.reason if len(damaged) < 20 else "other damage"
                damaged.setdefault(kind, Ranges()).add(item.position.offset)
        self.events += count
        self._report.files.append(Checked(name, f"{count:,} events", size_of(path_of(self._folder, first))))
        if damaged:
            where = "; ".join(f"{why}: offsets {ranges}" for why, ranges in damaged.items())
            self._report.problem(
                name,
                f"{told:,} events are damaged or missing ({where})",
                lost=f"{lost:,} had no outcome yet and are never sent; of {told - lost:,} only the content is lost",
                count=told,
                fix=GONE_FIX,
            )
        elif faults and not only_indexes(faults):
            self._report.problem(
                name,
                f"SQLite finds damage ({'; '.join(faults)}), but all events can be read",
                lost="counts or samples of discarded events, or looking up by user, account or message id",
                count=0,
                fix="Nothing is lost of the events. If it is a disk that fails, move the data directory.",
            )
        elif faults:
            self._report.problem(name, f"an index is damaged: {faults[0]}", lost="nothing", count=0, fix=INDEX_FIX)

    # What delivery and the outcomes say

    def _check_standings(self, events: Sequence[Stored], ended: set[tuple[Offset, int]]) -> None:
        """What a destination has passed must have ended, or wait in a place of its own."""
        doubtful = [
            (item, config.id)
            for item in events
            for config in self._configs
            if (item.position.offset, config.id) not in ended and self._has_passed(config, item)
        ]
        doubtful = [(item, number) for item, number in doubtful if not self._waits(item, number)]
        if not doubtful:
            return
        # Again, and last: what has left its place meanwhile has an outcome by now.
        by_now = self._reader.of_many([item.position for item, _ in doubtful])
        for item, number in doubtful:
            if all(outcome.destination != number for outcome in by_now.get(item.position, ())):
                self._vanished[number].add(item.position.offset)

    def _has_passed(self, config: DestinationConfig, item: Stored) -> bool:
        """Whether it must have an outcome by all that its position says, and one that would still be kept."""
        offset, stamp, position = item.position.offset, item.event.stamp, self._positions.get(config.id)
        if position is None or offset > position or stamp.source != config.source or stamp.is_erased:
            return False
        if self._kept_since is None or stamp.received_at < self._kept_since:
            return False
        return fate(self._spans[config.id], offset) is not Fate.never

    def _waits(self, item: Stored, destination: int) -> bool:
        """Parked, or in a detour."""
        assert self._delivery is not None  # noqa: S101 - there is a position
        if self._delivery.parked(destination, item.position) is not None:
            return True
        behind = self._delivery.behind(destination, item.position, account_of(item.event.stamp))
        return behind is None or behind < item.position.offset

    def _end(self) -> Offset:
        """Newest offset, as of now."""
        for first in reversed(list_segments(self._folder)):
            with suppress(apsw.Error), closing(open_file(path_of(self._folder, first))) as connection:
                return newest(connection, first)
        return START

    def _check_positions(self, begin: Offset | None, end: Offset, ended: Offset) -> None:
        """ended  highest offset that has an outcome"""
        if begin is None:
            begin = end + 1
        if max(self._remembered, ended) > end:
            beyond, highest = self._ended.beyond(end), max(self._remembered, ended)
            self._report.problem(
                LOG,
                f"ends at offset {end}, but delivery remembers offset {highest}, and {beyond:,} outcomes are "
                "of later events: segments are gone, or an older copy was put back",
                lost=f"events behind offset {end} that were not delivered yet; the log goes on behind them",
                count=highest - end,
                fix="Put back the whole directory from one backup, never single files; or go on.",
            )
        if self._delivery is None:
            return
        for config in self._configs:
            missed = begin - 1 - self._needed_from(config, self._positions.get(config.id), begin)
            if missed > 0:
                self._report.problem(
                    DELIVERY,
                    f"{config.name} has read to offset {begin - 1 - missed}, and the log begins at {begin}",
                    lost=f"up to {missed:,} events that it has not read",
                    count=missed,
                    fix=GONE_FIX,
                )
        oldest = self._delivery.oldest_parked(0)
        if oldest is not None and oldest < begin:
            self._report.problem(
                DELIVERY,
                f"events are parked from offset {oldest} on, and the log begins at {begin}",
                lost="those before: they end as damaged when their turn comes",
                count=None,
                fix=GONE_FIX,
            )

    @staticmethod
    def _needed_from(config: DestinationConfig, position: Offset | None, begin: Offset) -> Offset:
        """How far it has read, of what concerns it; begin - 1 if it needs nothing before."""
        taken = spans(config.changes, 0)
        if position is None or not taken or (taken[-1][1] is not None and position >= taken[-1][1]):
            return begin - 1
        return min(gap_end(taken, position), begin - 1)

    def _tell_vanished(self) -> None:
        for config in self._configs:
            found = self._vanished[config.id]
            if found.count:
                self._report.problem(
                    OUTCOMES,
                    f"{found.count:,} events have no outcome at {config.name}, which has passed them: offsets {found}",
                    lost="what became of them",
                    count=found.count,
                    fix=VANISHED_FIX,
                )


def _read(connection: apsw.Connection, first: Offset, last: Offset | None) -> Iterator[list[Stored | Damaged]]:
    """All of a segment, in slices; each in a short transaction of its own."""
    after = first - 1
    while True:
        try:
            items = read_rows(connection, after, last, AT_ONCE, BYTES_AT_ONCE)
        except UNREADABLE as error:
            if last is None:
                return
            items = all_damaged(after + 1, last, AT_ONCE, str(error))
        if not items:
            return
        yield items
        after = items[-1].position.offset
        if last is not None and after >= last:
            return
