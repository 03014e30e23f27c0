"""The one way from an event to what a destination sends: its gate first, then its kind. Pure."""

from collections.abc import Callable
from typing import Any

from milonga.destinations.contract import Destination, Requests, Skip
from milonga.destinations.integrations import replayed
from milonga.filters.chain import Dropped
from milonga.filters.gate import Gate
from milonga.spec.event import Event


def decide(
    kind: Destination, event: Event, settings: Any, gate: Gate, unsure: Callable[[str, str], None] | None = None
) -> Requests | Skip:
    """
    Raises what `kind.translate` raises.

    gate    of the destination's delivery settings (milonga.filters.gate)
    unsure  see milonga.filters.chain
    """
    if gate.is_open and not event.integrations:
        return kind.translate(event, settings)
    passed = gate.admit(event, kind.label, unsure, heeds_all=kind.heeds_all(settings))
    if isinstance(passed, Dropped):
        return Skip(passed.code, passed.fix)
    return kind.translate(passed, settings)


def as_replayed(kind: Destination, event: Event) -> Event:
    """The event as a replay sends it to this kind."""
    return replayed(event, kind.label, relays=kind.relays)
