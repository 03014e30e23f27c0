"""Everything a command needs to know of a data directory, read beside a running server or without one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw

from milonga.cli.common import LOG_FOLDER, log_end, opened, when
from milonga.delivery.store_reader import DeliveryReader
from milonga.delivery.switching import Fate, fate, spans
from milonga.destinations import registry
from milonga.eventlog.api import Position, Stored
from milonga.eventlog.lookup import EventLookup
from milonga.outcomes.explain import Standing, story
from milonga.outcomes.files import OutcomeReader
from milonga.workspace.model import DestinationConfig, DestinationState
from milonga.workspace.store import Workspace


class Facts:
    def __init__(self, data: Path, workspace: Workspace) -> None:
        self.workspace = workspace
        self.log = EventLookup(data / LOG_FOLDER)
        self.outcomes = OutcomeReader(data / "outcomes")
        self._sources = workspace.source_names()
        self._destinations = workspace.destinations()
        try:
            self.delivery: DeliveryReader | None = DeliveryReader(data / "delivery.db")
        except apsw.CantOpenError:
            self.delivery = None  # it never ran

    def close(self) -> None:
        if self.delivery is not None:
            self.delivery.close()

    def source(self, number: int) -> str:
        return self._sources.get(number, f"#{number}")

    def destination_name(self, number: int) -> str:
        return next((config.name for config in self._destinations if config.id == number), f"#{number}")

    def tell(self, stored: Stored) -> dict[str, object]:
        """The whole story of one event (milonga.outcomes.explain)."""
        mine = [config for config in self._destinations if config.source == stored.event.stamp.source]
        return story(stored, self.source(stored.event.stamp.source), [self._standing(stored, c) for c in mine])

    def _standing(self, stored: Stored, config: DestinationConfig) -> Standing:
        outcomes = [o for o in self.outcomes.of(stored.position) if o.destination == config.id]
        settings = config.settings
        if outcomes and outcomes[0].settings_version != config.settings_version:
            settings = self.workspace.settings_at(config.id, outcomes[0].settings_version)
        parked = progress = None
        if self.delivery is not None:
            parked = self.delivery.parked(config.id, stored.position)
            progress = self.delivery.progress(config.id, stored.position)
        waits = never = ""
        if parked is not None and (not outcomes or parked.parked_at > outcomes[0].ended_at):
            waits = "It was resent and waits at the end of its line." if parked.resent else PARKED
        elif not outcomes:
            never = _never(config, stored.position, stored.event.stamp.received_at)
            waits = "" if never else _waits(config)
        unfinished = bool(waits)
        return Standing(
            config=config,
            kind=registry.kind(config.kind),
            settings=settings,
            outcomes=outcomes,
            tries=self.outcomes.attempts(stored.position, config.id),
            waits=waits,
            never=never,
            retrying=unfinished and progress is not None and bool(progress.code),
            next_at=progress.next_at if unfinished and progress is not None and progress.next_at else None,
            attempts=progress.attempts if progress is not None else 0,
            code=progress.code if unfinished and progress is not None else "",
            reason=self._letter_reason(stored, config) or (progress.reason if progress is not None else ""),
        )

    def _letter_reason(self, stored: Stored, config: DestinationConfig) -> str:
        letter = None if self.delivery is None else self.delivery.dead(config.id, stored.position)
        return "" if letter is None else letter.reason


PARKED = "An event before it cannot be delivered yet; it waits its turn, parked on disk."


def _waits(config: DestinationConfig) -> str:
    if config.state is DestinationState.paused:
        return (
            f"The destination is paused since {when(config.changes[-1].at)}: {config.changes[-1].reason or 'by hand'}"
        )
    return "It waits its turn."


def _never(config: DestinationConfig, position: Position, received_at: int) -> str:
    if fate(spans(config.changes, position.partition), position.offset) is not Fate.never:
        return ""
    before: Sequence[str] = [
        f"switched {change.state.value} {when(change.at)}" for change in config.changes if change.at <= received_at
    ]
    if not before:
        return f"It came before the destination was added ({when(config.changes[0].at)}). Only a replay would bring it."
    return f"It came while the destination was off ({before[-1]}). Only a replay would bring it."


@contextmanager
def facts_of(data: Path) -> Iterator[Facts]:
    """For one command."""
    with opened(data) as workspace:
        facts = Facts(data, workspace)
        try:
            yield facts
        finally:
            facts.close()


def waiting_events(data: Path, config: DestinationConfig) -> int:
    """How many events wait for this destination; those of other sources among them are counted too."""
    end = log_end(data)[0]
    begun = max((after for after, _ in spans(config.changes, 0)), default=end)
    try:
        delivery = DeliveryReader(data / "delivery.db")
    except apsw.CantOpenError:  # it never ran
        return max(0, end - begun)
    try:
        return max(0, end - max(delivery.position(config.id, 0) or 0, begun)) + delivery.parked_count(config.id)
    finally:
        delivery.close()
