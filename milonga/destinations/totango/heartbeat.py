"""The browser library's sign of life: a track call once a minute. See docs/totango.md, "Heartbeat"."""

from typing import Final

from milonga.destinations.totango.settings import Settings
from milonga.spec.event import Call, Event, Track

NAME: Final = "__heartbeat"  #: of the activity. Source: totango2.js, the ping of Totango's own collector
FRESH: Final = 120.0  #: seconds; Totango dates what arrives by its arrival, so a late one would tell of a wrong minute


def is_heartbeat(call: Call) -> bool:
    return isinstance(call, Track) and call.name == NAME


def lifetime(event: Event, settings: Settings) -> float | None:
    """Seconds after it happened for which it is worth sending."""
    return FRESH if is_heartbeat(event.call) else None
