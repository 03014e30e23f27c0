"""
What people ask of parked keys (`milonga parked`): to try the first event of a line now, to skip it or all of the line,
to forget how often it failed. A slice at a time, so that many keys hold up nobody.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

import structlog
from msgspec import Struct
from msgspec.structs import replace

from milonga.delivery.ending import SKIPPED_BY_HAND, skip_row
from milonga.delivery.entry import UNDER_WAY, Entry, Stage
from milonga.delivery.parked_list import last_places
from milonga.delivery.parking import Parking
from milonga.delivery.recorder import Record
from milonga.delivery.rows import NEVER, Parked, Progress, key_of, key_text
from milonga.delivery.store import DeliveryStore
from milonga.delivery.work import Work
from milonga.destinations.contract import Key
from milonga.eventlog.api import Position
from milonga.outcomes.model import Attempt, State
from milonga.workspace.model import DestinationState

log = structlog.get_logger("milonga.delivery")

AT_ONCE: Final = 100  #: lines, or events of one line, that are looked at in one turn of the loop

RETRY, SKIP, RELEASE = "parked_retry", "parked_skip", "parked_release"  #: kinds of commands
KINDS: Final = (RETRY, SKIP, RELEASE)


class Wish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    The arguments of a command.

    destination  its id
    lines        key as text, and the first event of its line as whoever asks saw it: another one was not meant
    whole        skip all of the line that was parked by `asked_at`, rather than the first event
    by           who asks
    """

    destination: int
    lines: list[tuple[str, int, int]]
    whole: bool = False
    by: str = ""


class Done(Struct):
    """
    done       lines that were hurried or released; events that were skipped
    under_way  events whose request is out: if it does not deliver them, they are skipped
    """

    done: int = 0
    under_way: int = 0


EndParked = Callable[[Parked, State, str, Sequence[Attempt]], None]
"""Ends a parked event that is on disk (milonga.delivery.upkeep)."""


class ByHand:
    def __init__(self, work: Work, parking: Parking, end_parked: EndParked, wake: Callable[[], None]) -> None:
        self._work, self._parking, self._end_parked, self._wake = work, parking, end_parked, wake

    def carry_out(self, kind: str, wish: Wish, asked_at: int, done: Done) -> Iterator[None]:
        """Step by step, counting what is done; asked_at in unix milliseconds. ValueError for what is no key."""
        for number, (text, partition, offset) in enumerate(wish.lines, start=1):
            key, first = key_of(text), Position(partition, offset)
            if self._work.stopping or self._work.config.state is DestinationState.off:
                return
            match kind:
                case "parked_retry":
                    done.done += self._hurry(key, forget=False)
                case "parked_release":
                    done.done += self._hurry(key, forget=True)
                case _ if wish.whole:
                    yield from self._skip_line(key, asked_at, wish.by, done)
                case _:
                    if self._work.tools.reader.head(self._work.config.id, key) == first:
                        self._skip(first, asked_at, wish.by, done)
            if number % AT_ONCE == 0:
                yield

    # To try now

    def _hurry(self, key: Key, *, forget: bool) -> bool:
        """Forget our own waits; with `forget` also what the receiver asked for, and how often it was tried."""
        work, number, now = self._work, self._work.config.id, self._work.now_ms()
        standing = [entry for entry in work.line_up.lanes.standing(key) if entry.parked]
        if not standing and work.tools.reader.head(number, key) is None:
            return False
        for entry in standing:
            if forget:
                entry.progress = _fresh(entry)
                entry.trying_since = 0.0
            if entry.stage is Stage.delayed:
                work.line_up.delay(entry, entry.progress.not_before / 1000)
        work.tools.recorder.record(
            Record(before=partial(_hurry, number, key_text(key), now, forget), then=self._parking.lines.look_at_due)
        )
        self._wake()
        return True

    # To skip

    def _skip_line(self, key: Key, asked_at: int, by: str, done: Done) -> Iterator[None]:
        """From its end, or what comes next would be sent between two slices."""
        place = NEVER
        while found := last_places(self._work.tools.reader, self._work.config.id, key, place, AT_ONCE):
            for place, position in found:  # noqa: B007 - the last one is where the next slice begins
                self._skip(position, asked_at, by, done)
            yield

    def _skip(self, position: Position, asked_at: int, by: str, done: Done) -> None:
        work = self._work
        parked = work.tools.reader.parked(work.config.id, position)
        if parked is None or parked.parked_at > asked_at:
            return
        entry = next((one for one in work.line_up.lanes.standing(parked.keys[0]) if one.position == position), None)
        if entry is None:
            if position not in self._parking.lines.in_hand:
                self._end_parked(parked, State.skipped, SKIPPED_BY_HAND, [skip_row(work, position, by)])
                done.done += 1
        elif entry.stage in UNDER_WAY:
            entry.skipped_by = by
            done.under_way += 1
        else:
            self._parking.endings.end(entry, State.skipped, SKIPPED_BY_HAND, [skip_row(work, position, by)])
            done.done += 1


def _fresh(entry: Entry) -> Progress:
    return replace(entry.progress, attempts=0, next_at=0, not_before=0, code="", reason="", failing_since=0)


def _hurry(destination: int, key: str, now: int, forget: bool, store: DeliveryStore) -> None:
    fresh = "next_at = 0, not_before = 0, attempts = 0, code = '', reason = ''" if forget else "next_at = not_before"
    execute = store.transaction().execute
    execute(
        f"UPDATE progress SET {fresh} WHERE destination = ?1 AND (partition, offset) IN"  # noqa: S608
        " (SELECT partition, offset FROM parked_lines WHERE destination = ?1 AND key = ?2)",
        (destination, key),
    )
    if forget:
        execute(
            "DELETE FROM failing WHERE destination = ?1 AND (partition, offset) IN"
            " (SELECT partition, offset FROM parked_lines WHERE destination = ?1 AND key = ?2)",
            (destination, key),
        )
    execute(
        "UPDATE parked_due SET due_at = ? WHERE destination = ? AND key = ? AND due_at < ?",
        (now, destination, key, NEVER),
    )
