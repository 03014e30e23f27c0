"""Reads the files of outcomes, beside the process that writes them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import apsw

from milonga.eventlog.api import START, Offset, Position
from milonga.eventlog.aside import UNREADABLE
from milonga.outcomes.files import (
    counts_in,
    is_begun,
    knows_batches,
    latencies_in,
    open_to_read,
    outcome_of,
    path_of,
    reach_of,
    segments,
)
from milonga.outcomes.kept import of_whole
from milonga.outcomes.latency import Latencies
from milonga.outcomes.model import Attempt, Outcome, State
from milonga.outcomes.totals import LatencyRow, Row, rolled

_BEYOND_ALL: Final = 2**62  #: an offset

T = TypeVar("T")


def _newest(db: apsw.Connection) -> Iterator[int]:
    """When the newest row was written, unix seconds."""
    yield next(db.execute("SELECT newest_at FROM about"))[0]


class OutcomeReader:
    """
    Reads what another process writes. Every call opens and closes the files it needs: they may be dropped. What is told
    of a whole file that another one follows is remembered (milonga.outcomes.kept): no further rows come into it.

    folder      of the files
    unreadable  file name -> error, of those that a call could not read; it passes them by
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.unreadable: dict[str, str] = {}

    def of(self, position: Position) -> list[Outcome]:
        """All rows of one event, the newest first."""
        return self.of_many([position]).get(position, [])

    def of_many(self, positions: Sequence[Position]) -> dict[Position, list[Outcome]]:
        """The same of many events: each file is opened once. Those without an outcome are left out."""
        query = "SELECT * FROM outcomes WHERE partition = ? AND offset = ?"
        found: dict[Position, list[Outcome]] = {}

        def ask(db: apsw.Connection) -> Iterator[Outcome]:
            return (outcome_of(row) for position in positions for row in db.execute(query, position))

        for outcome in self.of_each(ask, self._that_reach("outcomes", positions)) if positions else ():
            found.setdefault(outcome.position, []).append(outcome)
        for outcomes in found.values():
            outcomes.sort(key=lambda o: o.ended_at, reverse=True)
        return found

    def attempts(self, position: Position, destination: int) -> list[Attempt]:
        """Oldest first."""
        where = (*position, destination)

        def ask(db: apsw.Connection) -> Iterator[tuple[Any, ...]]:
            batch = "batch" if knows_batches(db) else "1"
            return db.execute(
                f"SELECT at, part, code, reason, status, ms, perhaps, answer, {batch} FROM attempts"  # noqa: S608
                " WHERE partition = ? AND offset = ? AND destination = ?",
                where,
            )

        found = [
            Attempt(
                destination=destination,
                position=position,
                at=at,
                part=part,
                code=code,
                reason=reason,
                status=status,
                ms=ms,
                perhaps=bool(perhaps),
                answer=answer,
                batch=batch,
            )
            for at, part, code, reason, status, ms, perhaps, answer, batch in self.of_each(
                ask, self._that_reach("attempts", [position])
            )
        ]
        return sorted(found, key=lambda a: a.at)

    def finished_after(
        self, destination: int, partition: int, offset: Offset, upto: Offset = _BEYOND_ALL
    ) -> set[Offset]:
        """Offsets beyond this one, up to another, whose outcome at this destination is known."""
        query = "SELECT offset FROM outcomes WHERE partition = ? AND offset > ? AND offset <= ? AND destination = ?"
        return {row[0] for row in self.of_each(lambda db: db.execute(query, (partition, offset, upto, destination)))}

    def places(
        self, destination: int, code: str, partition: int, after: Offset, upto: Offset, limit: int
    ) -> list[Offset]:
        """
        The first so many offsets between the two, ascending, whose events have an outcome with this code (not ""). By
        the order of the rows, which is that of the log: it costs a look at every row between the two.
        """
        query = (
            "SELECT DISTINCT offset FROM outcomes WHERE partition = ? AND offset > ? AND offset <= ?"
            " AND destination = ? AND code = ? ORDER BY offset LIMIT ?"
        )
        given = (partition, after, upto, destination, code, limit)
        return sorted({row[0] for row in self.of_each(lambda db: db.execute(query, given))})[:limit]

    def last_ended(self, destination: int, positions: Iterable[Position]) -> dict[Position, int]:
        """When those of them that have an outcome at this destination ended last, unix milliseconds."""
        wanted, found = list(positions), dict[Position, int]()
        query = "SELECT max(ended_at) FROM outcomes WHERE partition = ? AND offset = ? AND destination = ?"

        def ask(db: apsw.Connection) -> Iterator[tuple[Position, int | None]]:
            return ((position, next(db.execute(query, (*position, destination)))[0]) for position in wanted)

        for position, ended_at in self.of_each(ask) if wanted else ():
            if ended_at is not None:
                found[position] = max(ended_at, found.get(position, 0))
        return found

    def end(self, partition: int) -> Offset:
        """The highest offset that has an outcome; START if there is none."""
        query = "SELECT max(offset) FROM outcomes WHERE partition = ?"
        found = [row[0] for row in self.of_each(lambda db: db.execute(query, (partition,)))]
        return max((offset for offset in found if offset is not None), default=START)

    def totals(self, since: int = 0) -> dict[tuple[int, State, str], int]:
        """(destination, state, code) -> how many, from the minute of `since` (unix milliseconds) on."""
        sums: Counter[tuple[int, State, str]] = Counter()
        for _, destination, state, code, n in self.minutes(since // 60_000)[0]:
            sums[destination, State(state), code] += n
        return dict(sums)

    def latencies(self, since: int = 0) -> dict[int, Latencies]:
        """Destination -> how long its deliveries took, from the minute of `since` (unix milliseconds) on."""
        found: dict[int, Counter[int]] = {}
        for _, destination, bucket, n in self.minutes(since // 60_000)[1]:
            found.setdefault(destination, Counter())[bucket] += n
        return {destination: Latencies(counts) for destination, counts in found.items()}

    def minutes(self, since: int) -> tuple[list[Row], list[LatencyRow]]:
        """All counts from this minute (unix seconds / 60) on. Of the files, only those that may hold any are opened."""
        gone, counts, took = rolled(self.folder, since)

        def ask(db: apsw.Connection) -> Iterator[tuple[list[Row], list[LatencyRow]]]:
            yield counts_in(db, since), latencies_in(db, since)

        for more, their in self.of_each(ask, self._since(since, gone)):
            counts += more
            took += their
        return counts, took

    def periods(self, since: int, length: int, states: Sequence[State]) -> dict[tuple[int, State, str], Counter[int]]:
        """
        (destination, state, code) -> period -> how many ended so in it.

        since   unix minutes, from the beginning of its period on
        length  of a period, minutes; its number is unix minutes / length
        """
        first = since // length
        gone, counts, _ = rolled(self.folder, first * length)
        wanted = {int(state) for state in states}
        found = defaultdict[tuple[int, int, str], Counter[int]](Counter)
        older = ((minute // length, place, state, code, n) for minute, place, state, code, n in counts)
        for period, place, state, code, n in chain(older, self._sums(counts_in, first, length, gone)):
            if period >= first and state in wanted:
                found[place, state, code][period] += n
        return {(place, State(state), code): periods for (place, state, code), periods in found.items()}

    def latency_periods(self, since: int, length: int) -> dict[tuple[int, int], Counter[int]]:
        """(destination, period) -> bucket -> deliveries (milonga.outcomes.latency). Arguments as for `periods`."""
        first = since // length
        gone, _, took = rolled(self.folder, first * length)
        found = defaultdict[tuple[int, int], Counter[int]](Counter)
        older = ((minute // length, place, bucket, n) for minute, place, bucket, n in took)
        for period, place, bucket, n in chain(older, self._sums(latencies_in, first, length, gone)):
            if period >= first:
                found[place, period][bucket] += n
        return dict(found)

    def _sums(
        self, count: Callable[[apsw.Connection, int, int], list[T]], first: int, length: int, without: Container[int]
    ) -> Iterator[T]:
        """
        What the minutes of each file add up to, at least from period `first` on.

        count  counts_in or latencies_in
        """
        last = max(segments(self.folder), default=0)
        for number in self._since(first * length, without):
            if number == last:
                yield from self.of_each(lambda db: count(db, first * length, length), [number])
            else:
                yield from self._of_whole(number, (count, length), lambda db: count(db, 0, length))

    def _of_whole(self, number: int, what: Hashable, ask: Callable[[apsw.Connection], Iterable[T]]) -> list[T]:
        """Of a file that another one follows. what: names the question"""
        return of_whole(path_of(self.folder, number), what, lambda: list(self.of_each(ask, [number])))

    def _since(self, since: int, without: Container[int]) -> list[int]:
        """The files that may have counts from this minute on, newest first."""
        found: list[int] = []
        for place, number in enumerate(reversed(segments(self.folder))):
            newest = self._of_whole(number, "newest", _newest) if place else []
            if newest and newest[0] < since * 60:
                break
            found.append(number)
        return [number for number in found if number not in without]

    def _that_reach(self, table: Literal["outcomes", "attempts"], positions: Sequence[Position]) -> list[int]:
        """The files that may tell of one of these positions, newest first."""
        found: list[int] = []
        for place, number in enumerate(reversed(segments(self.folder))):
            reach = self._of_whole(number, table, lambda db: reach_of(db, table)) if place else []
            if not reach or any(reach[0] <= position <= reach[-1] for position in positions):
                found.append(number)
        return found

    def oldest(self) -> int | None:
        """Unix seconds since when outcomes are kept; None if there are none."""
        begun = self.of_each(lambda db: db.execute("SELECT created_at FROM about"), segments(self.folder))
        return next((row[0] for row in begun), None)

    def of_each(
        self,
        ask: Callable[[apsw.Connection], Iterable[T]],
        only: Sequence[int] | None = None,
        *,
        without: Container[int] = (),
    ) -> Iterator[T]:
        """
        What every file that can be read answers, the newest first.

        only     numbers of the files to ask, in this order; None: all
        without  numbers of files to leave out
        """
        numbers = segments(self.folder)
        for number in reversed(numbers) if only is None else only:
            if number in without:
                continue
            path = path_of(self.folder, number)
            try:
                with closing(open_to_read(path)) as db:
                    if is_begun(db):
                        yield from ask(db)
                    elif number != numbers[-1]:  # the newest is being made
                        self.unreadable[path.name] = "it is empty"
            except apsw.CantOpenError as error:
                if path.exists():  # otherwise it was dropped a moment ago
                    self.unreadable[path.name] = str(error)
            except UNREADABLE as error:
                self.unreadable[path.name] = str(error)
