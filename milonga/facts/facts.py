"""What is known of a data directory, read beside a running server or without one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import apsw
from msgspec import Struct

from milonga.delivery.detours import account_of
from milonga.delivery.filing import HOW
from milonga.delivery.forecast import LATELY, Forecast, Lately, forecast
from milonga.delivery.rows import DeadLetter, Health, Parked, Progress
from milonga.delivery.store_reader import DeliveryReader
from milonga.delivery.switching import Fate, fate, spans
from milonga.destinations.contract import Destination
from milonga.eventlog.api import Offset, Position, Stored
from milonga.eventlog.counters import ACCEPTED
from milonga.eventlog.lookup import AFTER_ALL, EventLookup
from milonga.eventlog.record import UnknownFormat
from milonga.facts.ahead import Ahead
from milonga.facts.directory import DELIVERY_NAME, LOG_FOLDER, OUTCOMES_FOLDER, must_exist, server_runs
from milonga.facts.formats import refuse_newer
from milonga.outcomes.explain import Edit, Filed, Standing, story
from milonga.outcomes.latency import Latencies
from milonga.outcomes.model import Outcome, State
from milonga.outcomes.reader import OutcomeReader
from milonga.outcomes.waiting import Waits
from milonga.outcomes.words import instant
from milonga.workspace.commands import milliseconds
from milonga.workspace.errors import NotThere, UserError
from milonga.workspace.model import DestinationConfig, FormerDestination, SettingsVersion
from milonga.workspace.store import Workspace

HOUR: Final = 3_600_000  #: milliseconds
MINUTE: Final = 60_000


class Place(Struct, frozen=True):
    """
    A destination that is there, or was.

    removed_at  unix milliseconds; None if it is there. Then `config.settings` have *** for secrets
    """

    config: DestinationConfig
    removed_at: int | None = None

    @property
    def called(self) -> str:
        return self.config.name if self.removed_at is None else f"{self.config.name} (removed)"


class Held(Struct, frozen=True):
    """What delivery remembers of an event. Read before its outcomes: what it lets go of has one by then."""

    letter: DeadLetter | None = None
    watermark: Offset | None = None
    parked: Parked | None = None
    progress: Progress | None = None


class NoSettings(Struct):
    """Of a removed destination whose kind is gone too."""


class Facts:
    def __init__(self, data: Path, workspace: Workspace) -> None:
        self.data = data
        self.workspace = workspace
        self.log = EventLookup(data / LOG_FOLDER)
        self.outcomes = OutcomeReader(data / OUTCOMES_FOLDER)
        self.server_runs = server_runs(data)
        self.places = [
            *(Place(config) for config in workspace.destinations()),
            *(_removed(workspace, former) for former in workspace.former_destinations()),
        ]
        self._sources = workspace.sources.names()
        try:
            self.delivery: DeliveryReader | None = DeliveryReader(data / DELIVERY_NAME)
        except apsw.CantOpenError:
            self.delivery = None  # it never ran

    @cached_property
    def _oldest(self) -> int | None:
        """Unix seconds since when outcomes are kept."""
        return self.outcomes.oldest()

    def close(self) -> None:
        if self.delivery is not None:
            self.delivery.close()

    def source(self, number: int) -> str:
        return self._sources.get(number, f"#{number}")

    def sources_called(self, name: str) -> set[int]:
        """Ids of all that have or had this name. UserError if none."""
        found = {number for number, called in self._sources.items() if called == name}
        if not found:
            raise NotThere(f"There is no source called {name}. See `milonga sources list`.")
        return found

    def destination_name(self, number: int) -> str:
        return next((place.called for place in self.places if place.config.id == number), f"#{number}")

    def health(self, number: int) -> Health | None:
        """None if delivery never ran, or is of a version that did not write it."""
        try:
            return None if self.delivery is None else self.delivery.health(number)
        except apsw.SQLError:
            return None

    @cached_property
    def _lately(self) -> tuple[float, dict[int, int], list[tuple[int, State, int]]]:
        """
        Of the last minutes: seconds, source -> accepted events, and (destination, state, how many) that ended. From
        counts alone.
        """
        now = milliseconds()
        since = now // 60_000 - LATELY
        arrived: dict[int, int] = {}
        for one in self.log.counts(since, AFTER_ALL):
            if one.name == ACCEPTED:
                arrived[one.source] = arrived.get(one.source, 0) + one.n
        counts, _ = self.outcomes.minutes(since)
        return now / 1000 - since * 60, arrived, [(number, State(state), n) for _, number, state, _, n in counts]

    def last_hour(self) -> tuple[dict[tuple[int, State], int], dict[int, Latencies]]:
        """(destination, state) -> how many ended so, and destination -> how long its deliveries took. Counts alone."""
        since = milliseconds() - HOUR + MINUTE  # with the one that goes on 60 minutes: those of the chart of an hour
        ended: dict[tuple[int, State], int] = {}
        for (number, state, _), n in self.outcomes.totals(since).items():
            ended[number, state] = ended.get((number, state), 0) + n
        return ended, self.outcomes.latencies(since)

    def forecast(self, config: DestinationConfig) -> Forecast | None:
        """When what waits will be gone; None if delivery never ran."""
        health = self.health(config.id)
        if health is None:
            return None
        seconds, arrived, ended = self._lately
        lately = Lately(
            seconds,
            arrived.get(config.source, 0),
            sum(n for number, _, n in ended if number == config.id),
            sum(n for number, state, n in ended if number == config.id and state is State.delivered),
        )
        return forecast(
            health.waiting,
            lately,
            state=config.state.value,
            breaker=health.breaker,
            rate_limit=config.delivery.rate_limit,
            server_runs=self.server_runs,
        )

    def tell(self, stored: Stored) -> dict[str, Any]:
        """The whole story of one event (milonga.outcomes.explain)."""
        outcomes = self._held_and_ended(stored)
        standings = [self._standing(stored, place, held, ended) for place, held, ended in outcomes]
        return story(stored, self.source(stored.event.stamp.source), standings)

    def _held_and_ended(self, stored: Stored) -> list[tuple[Place, Held, list[Outcome]]]:
        """At each destination of its source; at a removed one if the event was its business."""
        mine = [place for place in self.places if place.config.source == stored.event.stamp.source]
        held = [self.held(place, stored) for place in mine]
        ended = self.outcomes.of(stored.position)
        found = [(p, h, [o for o in ended if o.destination == p.config.id]) for p, h in zip(mine, held, strict=True)]
        return [(p, h, o) for p, h, o in found if o or p.removed_at is None or was_business_of(p, stored)]

    def held(self, place: Place, stored: Stored) -> Held:
        """Of a removed destination nothing, whatever a server has not thrown away yet."""
        delivery, number, position = self.delivery, place.config.id, stored.position
        if delivery is None or place.removed_at is not None:
            return Held()
        return Held(
            letter=delivery.dead(number, position),
            watermark=delivery.behind(number, position, account_of(stored.event.stamp)),
            parked=delivery.parked(number, position),
            progress=delivery.progress(number, position),
        )

    def _standing(self, stored: Stored, place: Place, held: Held, outcomes: Sequence[Outcome]) -> Standing:
        config, kind = place.config, self.workspace.kinds.get(place.config.kind)
        settings, delivery = config.settings, config.delivery
        if outcomes and (version := outcomes[0].settings_version) != config.settings_version:
            settings = self.workspace.settings_at(config.id, version)
            delivery = self.workspace.delivery_settings_at(config.id, version)
        waits, never, lost = None, "", ""
        if not outcomes or waits_again(held, outcomes):
            never = _never(config, stored) if not outcomes and held.parked is None else ""
            lost = "" if never or outcomes else self.lost(stored, place, held)
            waits = None if never or lost else self._waits(stored, place, held, kind)
        reason = held.letter.reason if held.letter is not None else held.progress.reason if held.progress else ""
        return Standing(
            config=config,
            kind=kind,
            settings=settings,
            gate=delivery.gate,
            removed_at=place.removed_at,
            outcomes=outcomes,
            tries=self.outcomes.attempts(stored.position, config.id),
            waits=waits,
            never=never,
            lost=lost,
            attempts=held.progress.attempts if held.progress is not None else 0,
            reason=reason,
            letter=held.letter is not None,
            edit=self._edit(stored.position, place, held, outcomes),
            filed=self.filed(stored.position, place, held.parked, outcomes),
        )

    def _edit(self, position: Position, place: Place, held: Held, outcomes: Sequence[Outcome]) -> Edit | None:
        """What somebody put in its place here, unless it was replayed since: that sends what arrived."""
        if self.delivery is None or place.removed_at is not None:
            return None
        found = self.delivery.edited.of(place.config.id, position)
        if found is None:
            return None
        if held.parked is not None:
            holds = held.parked.event == found.event
        else:
            holds = bool(outcomes) and outcomes[0].ended_at >= found.at and not outcomes[0].replay
        return Edit(found.at, found.by, found.event) if holds else None

    def filed(
        self, position: Position, place: Place, parked: Parked | None, outcomes: Sequence[Outcome]
    ) -> Filed | None:
        """
        Under which account a replay sends, or has sent, what names none; None if what waits or ended is not that.

        parked, outcomes  of the event at this place; outcomes newest first
        """
        if self.delivery is None or place.removed_at is not None:
            return None
        found = self.delivery.replays.filed(place.config.id, position)
        if found is None:
            return None
        if parked is not None:
            holds = parked.event is not None and parked.event.stamp.account_found == HOW
        else:
            holds = bool(outcomes) and outcomes[0].ended_at >= found.at and outcomes[0].replay in (0, found.replay)
        return Filed(found.replay, found.account) if holds else None

    def lost(self, stored: Stored, place: Place, held: Held) -> str:
        """Why there is no outcome and never will be one, although the destination took the event; "" if it waits."""
        oldest = self._oldest
        kept = "no outcomes are kept" if oldest is None else f"outcomes are kept since {instant(oldest * 1000)}"
        gone = f"What became of it is not kept any more: {kept}."
        if place.removed_at is not None:
            if oldest is not None and place.removed_at < oldest * 1000:
                return gone
            return f"The destination was removed ({instant(place.removed_at)}) while this waited: it was not sent."
        if held.parked is None and held.watermark is not None and held.watermark >= stored.position.offset:
            return gone
        return ""

    def _waits(self, stored: Stored, place: Place, held: Held, kind: Destination | None) -> Waits:
        config, progress = place.config, held.progress
        health = self.health(config.id) or Health(at=0)
        taken = spans(config.changes, stored.position.partition)
        resent, parked = held.parked is not None and held.parked.resent, held.parked is not None
        behind = None
        if kind is not None and self.delivery is not None:
            ahead = Ahead(self.log, self.outcomes, self.delivery)
            behind = ahead.of(stored, config.id, lambda event: kind.keys(event, config.settings), parked=parked)
        return Waits(
            now=milliseconds(),
            server_runs=self.server_runs,
            destination=config.name,
            change=config.changes[-1],
            ends_off=not resent and fate(taken, stored.position.offset) is Fate.switched_off,
            code=progress.code if progress is not None else "",
            reason=progress.reason if progress is not None else "",
            next_at=(progress.due_at or None) if progress is not None else None,
            breaker=health.breaker,
            breaker_until=health.breaker_until,
            failed_at=health.last_failure_at,
            failed_code=health.last_failure_code,
            behind=behind,
            parked=parked,
            resent=resent,
        )


def waits_again(held: Held, outcomes: Sequence[Outcome]) -> bool:
    """Whether it was resent after its end."""
    return held.parked is not None and held.parked.parked_at > outcomes[0].ended_at


def was_business_of(place: Place, stored: Stored) -> bool:
    """Whether the event came between the adding and the removal of a destination."""
    after = place.config.changes[0].end.get(stored.position.partition, 0)
    if place.removed_at is not None and stored.event.stamp.received_at > place.removed_at:
        return False
    return stored.position.offset > after


def is_never(config: DestinationConfig, position: Position) -> bool:
    """It came before the destination was added, or while it was off."""
    return fate(spans(config.changes, position.partition), position.offset) is Fate.never


def _never(config: DestinationConfig, stored: Stored) -> str:
    if not is_never(config, stored.position):
        return ""
    before = [
        f"switched {change.state.value} {instant(change.at)}"
        for change in config.changes
        if change.at <= stored.event.stamp.received_at
    ]
    begins = "it gets what arrives while it is on."
    if not before:
        return f"It came before the destination was added ({instant(config.changes[0].at)}): {begins}"
    return f"It came while the destination was off ({before[-1]}): {begins}"


def _removed(workspace: Workspace, former: FormerDestination) -> Place:
    versions = [one.version for one in workspace.history(former.id) if isinstance(one, SettingsVersion)]
    version = max(versions, default=1)
    try:
        settings = workspace.settings_at(former.id, version)
    except UserError:  # its kind is gone too
        settings = NoSettings()
    config = DestinationConfig(
        id=former.id,
        name=former.name,
        kind=former.kind,
        source=former.source,
        settings=settings,
        settings_version=version,
        changes=former.changes,
        delivery=workspace.delivery_settings_at(former.id, version),
    )
    return Place(config, former.removed_at)


@contextmanager
def open_facts(data: Path) -> Iterator[Facts]:
    """
    Of a data directory as it is now, for one question: nothing is remembered from one to the next. Opening it takes
    about a millisecond; from then on it belongs to the thread that opened it. UserError if there is no workspace, or a
    newer Milonga wrote what is read.
    """
    must_exist(data)
    try:
        with Workspace.open(data) as workspace:
            refuse_newer(data)
            facts = Facts(data, workspace)
            try:
                yield facts
            finally:
                facts.close()
    except UnknownFormat as error:
        raise UserError(str(error)) from error


def waiting_events(facts: Facts, config: DestinationConfig, end: dict[int, int]) -> tuple[int, bool]:
    """
    How many events wait for this destination, and whether that is exact: without a running server, or before it looked,
    those of other sources among them are counted too.

    end  of the log
    """
    health = facts.health(config.id)
    if facts.server_runs and health is not None:
        return health.waiting, True
    begun = max((after for after, _ in spans(config.changes, 0)), default=end.get(0, 0))
    if facts.delivery is None:
        return max(0, end.get(0, 0) - begun), False
    read = max(facts.delivery.position(config.id, 0) or 0, begun)
    behind = sum(row.unread for row in facts.delivery.detours(config.id, 0))
    return max(0, end.get(0, 0) - read) + behind + facts.delivery.parked_count(config.id), False
