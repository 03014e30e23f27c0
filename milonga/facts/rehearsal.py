"""
What a replay would send, counted without sending it: what became of each event the first time, what would become of it
now, and in what the requests differ. Read from the log and the outcomes alone, in memory that does not grow with the
range.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from msgspec import UNSET, Struct
from msgspec.structs import replace

from milonga.delivery.filing import HOW, filed, may_be_filed
from milonga.delivery.finding import stretch
from milonga.delivery.named import Named, NoAccount
from milonga.delivery.newest import Newest
from milonga.delivery.picking import Picker
from milonga.delivery.replay_rules import counts, has_set, requests_of
from milonga.delivery.selection import Selection
from milonga.delivery.switching import Fate, fate, spans
from milonga.destinations.contract import Destination, Key, Requests, Skip
from milonga.destinations.deciding import as_replayed, decide
from milonga.eventlog.api import Damaged, Offset, Position, Stored
from milonga.eventlog.reader import SqliteLogReader
from milonga.facts.directory import LOG_FOLDER
from milonga.facts.facts import Facts, Held, Place, waits_again
from milonga.outcomes.comparing import Change, compare
from milonga.outcomes.explain import name_of
from milonga.outcomes.model import Outcome, State
from milonga.spec.event import Event
from milonga.spec.read import read_stamped
from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationConfig

AT_ONCE: Final = 1_000  #: events in memory
MOST_NAMES: Final = 500  #: different fields that are counted one by one
OTHERS: Final = "(others)"
EXAMPLES: Final = 3  #: of each kind that are shown

Told = Callable[[str, int, int], None]
"""(what is done, events looked at, of about so many)."""


class Rehearsed:
    """
    looked   events that arrived in the range, of all sources; if only those with a code are wanted, or chosen ones, at
             the places where such lie
    types    of those that take part
    fates    (state and code the first time, what now, code) -> events. Now: one of SENT; skipped; or waiting, which is
             left alone: it has not ended yet
    fields   name -> events whose request would differ there
    left_out events of which something is left out because newer ones have set it
    requests that would be sent
    damaged  records that cannot be read
    filed    events that name no account, and would be filed under the one that their user's group calls name
    several  events of users whose events name more than one account: they stay without
    """

    def __init__(self) -> None:
        self.looked = self.left_out = self.requests = self.damaged = self.filed = self.several = 0
        self.types: Counter[str] = Counter()
        self.fates: Counter[tuple[str, str, str, str]] = Counter()
        self.fields: Counter[str] = Counter()
        self.examples: dict[str, list[dict[str, Any]]] = {}

    @property
    def events(self) -> int:
        return self.types.total()

    @property
    def sent(self) -> int:
        """Events of which something would be sent."""
        return sum(n for (_, _, now, _), n in self.fates.items() if now in SENT)

    def add_fields(self, changes: Sequence[Change]) -> None:
        for change in changes:
            known = change.field in self.fields or len(self.fields) < MOST_NAMES
            self.fields[change.field if known else OTHERS] += 1

    def add_example(self, now: str, position: Position, event: Event, changes: Sequence[Change]) -> None:
        """Of what would become of it now, as `fates` has it."""
        several = self.examples.setdefault(now, [])
        if len(several) < EXAMPLES:
            filed = event.account.id if event.account is not None and event.account.found == HOW else None
            several.append({"now": now, "position": position._asdict(), "filed": filed, **_example(event, changes)})


SENT: Final = ("same", "changed", "new", "unknown")  #: unknown: what was sent then cannot be derived any more


class First(Struct, frozen=True):
    """
    What became of an event so far: the state of its outcome; else never, waiting, or unknown.

    version  of the settings it was delivered with; 0 if it was not, or that is not known
    """

    state: str
    code: str = ""
    version: int = 0


class Rehearsal:
    def __init__(self, facts: Facts, data: Path, place: Place, kind: Destination, wanted: Selection) -> None:
        self._facts, self._folder, self._place, self._kind, self._wanted = facts, data / LOG_FOLDER, place, kind, wanted
        config = place.config
        # Both sides of the comparison have *** for secrets: those of former settings are not kept.
        self._config = replace(config, settings=facts.workspace.settings_at(config.id, config.settings_version))
        self._taken = spans(config.changes, 0)
        self._config_at = cache(self._config_then)

    async def run(self, now: int, *, overwrite: bool, tell: Told) -> Rehearsed:
        """now  unix milliseconds; overwrite: leave nothing out"""
        reader = SqliteLogReader(self._folder)
        try:
            after, upto = await stretch(reader, 0, self._wanted.since, self._wanted.until)
            after = await self._picker(reader, self._wanted).first(0, after, upto)
            end = await reader.end(0)
        finally:
            await reader.close()
        newest = None
        if self._kind.overwriting and not overwrite:
            newest = await self._look_for_newest(after, end, tell)
        named = await self._look_for_accounts(end, tell) if self._wanted.find_accounts else None
        found = Rehearsed()
        try:
            async for page in self._pages("Comparing", after, upto, tell, self._wanted):
                found.looked += sum(self._in_time(stored) for stored in page if isinstance(stored, Stored))
                found.damaged += sum(isinstance(one, Damaged) for one in page)
                wanted = [one for one in page if isinstance(one, Stored) and self._wanted.fits(one)]
                self._take(found, wanted, newest, named, now)
        finally:
            for index in (newest, named):
                if index is not None:
                    index.close()
        return found

    def _in_time(self, stored: Stored) -> bool:
        return self._wanted.since <= stored.event.stamp.received_at < self._wanted.until

    async def _pages(
        self, what: str, after: Offset, upto: Offset, tell: Told, wanted: Selection | None = None
    ) -> AsyncIterator[list[Stored | Damaged]]:
        """wanted: read only where these may lie"""
        reader = SqliteLogReader(self._folder)
        picker, at = self._picker(reader, wanted), after
        try:
            while at < upto:
                page = await picker.page(0, at, upto)
                at = page.upto
                yield page.items
                tell(what, at - after, upto - after)
        finally:
            await reader.close()

    def _picker(self, reader: SqliteLogReader, wanted: Selection | None) -> Picker:
        async def look(code: str, partition: int, after: Offset, upto: Offset, limit: int) -> list[Offset]:
            return self._facts.outcomes.places(self._config.id, code, partition, after, upto, limit)

        return Picker(reader, wanted, look, AT_ONCE)

    # Who was the last to set what

    async def _look_for_newest(self, after: Offset, end: Offset, tell: Told) -> Newest:
        newest = Newest()
        async for page in self._pages("Looking for newer attributes", after, end, tell):
            setters = [
                one
                for one in page
                if isinstance(one, Stored)
                and one.event.stamp.source == self._config.source
                and one.event.stamp.type in self._kind.overwriting
            ]
            outcomes = self._outcomes(setters)
            for one in setters:
                ended = outcomes(one)
                if (
                    counts(ended, fate(self._taken, one.position.offset))
                    and (event := self._sent(one, ended)) is not None
                ):
                    newest.note(has_set(self._config, self._kind, event, ended), one.position.offset)
        return newest

    def _sent(self, stored: Stored, outcomes: Sequence[Outcome]) -> Event | None:
        """As it was sent, if a replay filed it under an account."""
        under = None
        if may_be_filed(stored.event.stamp) and any(outcome.replay for outcome in outcomes):
            assert self._facts.delivery is not None  # noqa: S101 - there was a replay
            under = self._facts.delivery.replays.filed(self._config.id, stored.position)
        return _read(stored if under is None else Stored(stored.position, filed(stored.event, under.account)))

    # Whose users are in which accounts

    async def _look_for_accounts(self, end: Offset, tell: Told) -> Named:
        named, after = Named(), 0
        reader = SqliteLogReader(self._folder)
        try:
            after = max(0, await reader.begin(0) - 1)
        finally:
            await reader.close()
        async for page in self._pages("Looking for accounts", after, end, tell):
            named.note(
                (one.position.offset, one.event.stamp)
                for one in page
                if isinstance(one, Stored) and one.event.stamp.source == self._config.source
            )
        return named

    def _as_filed(self, found: Rehearsed, stored: Stored, named: Named | None) -> Stored:
        """As it would be sent."""
        stamp = stored.event.stamp
        if named is None or not may_be_filed(stamp):
            return stored
        account = named.of(stamp.user_id or "", stored.position.offset)
        if isinstance(account, NoAccount):
            found.several += account is NoAccount.several
            return stored
        found.filed += 1
        return Stored(stored.position, filed(stored.event, account))

    def _outcomes(self, page: Sequence[Stored]) -> Callable[[Stored], list[Outcome]]:
        found = self._facts.outcomes.of_many([one.position for one in page])
        number = self._config.id
        return lambda one: [o for o in found.get(one.position, ()) if o.destination == number]

    # One event

    def _take(
        self, found: Rehearsed, page: Sequence[Stored], newest: Newest | None, named: Named | None, now: int
    ) -> None:
        waiting = self._waiting(page)
        outcomes = self._outcomes(page)
        for one in page:
            if not self._wanted.ended_so(outcomes(one)):
                continue
            found.types[one.event.stamp.type] += 1
            first = self._first(one, waiting.get(one.position), outcomes(one))
            if first.state in (State.waiting.name, State.retrying.name):
                found.fates[first.state, first.code, "waiting", ""] += 1
                continue
            event = _read(self._as_filed(found, one, named))
            if event is None:
                found.fates[first.state, first.code, "skipped", "unreadable"] += 1
                continue

            def is_newer(what: Key, offset: int = one.position.offset) -> bool:
                return newest is not None and newest.of(what) > offset

            requests, out = requests_of(self._config, self._kind, event, now, is_newer)
            found.left_out += bool(out) and not isinstance(requests, Skip)
            self._count(found, one.position, event, first, requests)

    def _count(
        self, found: Rehearsed, position: Position, event: Event, first: First, requests: Requests | Skip
    ) -> None:
        if isinstance(requests, Skip):
            found.fates[first.state, first.code, "skipped", requests.code] += 1
            return
        found.requests += len(requests)
        if first.version == self._config.settings_version:
            found.fates[first.state, first.code, "same", ""] += 1
            return
        then = self._then(event, first.version)
        if then is None:
            known = first.state not in (State.delivered.name, "unknown")
            found.fates[first.state, first.code, "new" if known else "unknown", ""] += 1
            found.add_example("new" if known else "unknown", position, event, ())
            return
        marked = self._becomes(as_replayed(self._kind, event), self._config)
        changes = [] if isinstance(marked, Skip) else compare(then, marked)
        found.fates[first.state, first.code, "changed" if changes else "same", ""] += 1
        if changes:
            found.add_fields(changes)
            found.add_example("changed", position, event, changes)

    def _waiting(self, page: Sequence[Stored]) -> dict[Position, Held]:
        """What delivery holds of those it holds. Asked before their outcomes: what it lets go of has one by then."""
        delivery, number = self._facts.delivery, self._config.id
        if delivery is None:
            return {}
        watermark = delivery.position(number, 0) or 0
        if not delivery.parked_count(number) and not delivery.detours(number, 0):
            page = [one for one in page if one.position.offset > watermark]
        held = {one.position: self._facts.held(self._place, one) for one in page}
        return {at: one for at, one in held.items() if one.parked or one.progress or (one.watermark or 0) < at.offset}

    def _first(self, stored: Stored, held: Held | None, outcomes: Sequence[Outcome]) -> First:
        if outcomes and (held is None or not waits_again(held, outcomes)):
            delivered = next((outcome for outcome in outcomes if outcome.state is State.delivered), None)
            if delivered is None:
                return First(outcomes[0].state.name, outcomes[0].code)
            return First(delivered.state.name, version=delivered.settings_version)
        if held is not None and (held.parked is not None or held.progress is not None):
            return First(State.waiting.name)
        if fate(self._taken, stored.position.offset) is Fate.never:
            return First("never")
        return First("unknown" if held is None else State.waiting.name)

    def _then(self, event: Event, version: int) -> Requests | None:
        """With the settings it was sent with, marked as a replay marks it: the mark itself is no difference."""
        try:
            marked = self._becomes(as_replayed(self._kind, event), self._config_at(version))
        except (UserError, KeyError):
            return None
        return None if isinstance(marked, Skip) else marked

    def _config_then(self, version: int) -> DestinationConfig:
        workspace, number = self._facts.workspace, self._config.id
        return replace(
            self._config,
            settings=workspace.settings_at(number, version),
            settings_version=version,
            delivery=workspace.delivery_settings_at(number, version),
        )

    def _becomes(self, event: Event, config: DestinationConfig) -> Requests | Skip:
        return decide(self._kind, event, config.settings, config.delivery.gate)


def _read(stored: Stored) -> Event | None:
    try:
        return read_stamped(stored.event)
    except Exception:
        return None


def _example(event: Event, changes: Sequence[Change]) -> dict[str, Any]:
    return {
        "messageId": event.message_id,
        "type": event.type,
        "name": name_of(event),
        "changes": [
            {"field": change.field}
            | {name: value for name, value in (("before", change.before), ("now", change.now)) if value is not UNSET}
            for change in changes[:10]
        ],
    }


def as_json(found: Rehearsed) -> dict[str, Any]:
    return {
        "looked": found.looked,
        "events": found.events,
        "send": found.sent,
        "requests": found.requests,
        "types": dict(found.types.most_common()),
        "outcomes": [
            {"first": state, "firstCode": code, "now": now, "code": why, "events": n}
            for (state, code, now, why), n in found.fates.most_common()
        ],
        "fields": [{"field": field, "events": n} for field, n in found.fields.most_common()],
        "leftOut": found.left_out,
        "filed": found.filed,
        "several": found.several,
        "damaged": found.damaged,
        "examples": [example for examples in found.examples.values() for example in examples],
    }
