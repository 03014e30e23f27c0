"""What the filters of a destination make of an event. Sends nothing."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from milonga.destinations.contract import Destination
from milonga.filters.chain import Dropped, Seen
from milonga.filters.words import said
from milonga.identity.account import read_unstamped
from milonga.outcomes.explain import name_of
from milonga.spec.event import Event
from milonga.workspace.model import DestinationConfig


def given_event(event: Mapping[str, Any]) -> Event:
    """One that somebody wrote down, as an SDK would send it. NotAnEvent if it is none."""
    return read_unstamped(msgspec.json.encode(event))


class Tried(Struct, frozen=True):
    """
    refused  by the user or the sender, before the filters
    result   the event as it goes on, or Dropped
    """

    event: Event
    refused: Dropped | None
    seen: Sequence[Seen]
    result: Event | Dropped

    def as_json(self, destination: str) -> dict[str, Any]:
        """destination  its name"""
        dropped = self.result if isinstance(self.result, Dropped) else None
        return {
            "messageId": self.event.message_id,
            "type": self.event.type,
            "name": name_of(self.event),
            "filters": [
                {"name": one.name, "met": one.met, "why": one.why, "does": said(one, before)}
                for one, before in self.steps()
            ],
            "skip": None
            if dropped is None
            else {"code": dropped.code, "fix": dropped.fix.replace("NAME", destination)},
            "event": None if isinstance(self.result, Dropped) else self.result.received,
        }

    def steps(self) -> Iterator[tuple[Seen, Event]]:
        """Each filter with the event that it saw."""
        event = self.event
        for one in self.seen:
            yield one, event
            if isinstance(one.result, Event):
                event = one.result


def tried(event: Event, kind: Destination, config: DestinationConfig) -> Tried:
    gate = config.delivery.gate
    refused = gate.refused(event, kind.label, heeds_all=kind.heeds_all(config.settings))
    if refused is not None:
        return Tried(event, refused, (), refused)
    seen = gate.chain.trace(event) if gate.chain is not None else []
    return Tried(event, None, seen, seen[-1].result if seen else event)
