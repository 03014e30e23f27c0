"""
What one event becomes in a replay, what of it is left out, and who was the last to set what. Pure.
The dry run and the replay itself ask the same functions, so that the one says what the other does.
"""

from collections.abc import Callable, Sequence

from milonga.delivery.superseding import set_by, without_newer
from milonga.delivery.switching import Fate
from milonga.destinations.contract import Destination, Key, Requests, Skip
from milonga.destinations.deciding import as_replayed, decide
from milonga.outcomes.model import Outcome, State
from milonga.spec.event import Event
from milonga.workspace.model import DestinationConfig

UNREADABLE = Skip("unreadable", "Please report this with the log of the server.")
TOO_LATE = Skip("too_late", "Such an event is worth sending only while it is fresh.")


def requests_of(
    config: DestinationConfig, kind: Destination, event: Event, now: int, is_newer: Callable[[Key], bool]
) -> tuple[Requests | Skip, frozenset[Key]]:
    """
    What the event becomes now, with the settings in force, and what of it is left out.

    event     as it was received
    now       unix milliseconds
    is_newer  whether an event that came later has set this
    """
    try:
        event = as_replayed(kind, event)
        seconds = kind.lifetime(event, config.settings)
        happened = min(event.timestamp or now, event.received_at or now)
        if seconds is not None and happened + seconds * 1000 < now:
            return TOO_LATE, frozenset()
        requests = decide(kind, event, config.settings, config.delivery.gate)
        if isinstance(requests, Skip):
            return requests, frozenset()
        return without_newer(kind, event, requests, is_newer)
    except Exception:
        return UNREADABLE, frozenset()


def has_set(config: DestinationConfig, kind: Destination, event: Event, outcomes: Sequence[Outcome]) -> set[Key]:
    """
    What an event has set that was delivered, or is about to, as its requests are by the settings in force.

    outcomes  those it has here
    """
    try:
        if any(outcome.replay for outcome in outcomes):
            event = as_replayed(kind, event)
        return set_by(kind, event, decide(kind, event, config.settings, config.delivery.gate))
    except Exception:
        return set()


def counts(outcomes: Sequence[Outcome], fate: Fate) -> bool:
    """Whether an event was delivered, or still may be: what it sets is not to be overwritten by an older one."""
    if outcomes:
        return any(outcome.state is State.delivered for outcome in outcomes)
    return fate is Fate.deliver
