"""
An event's `integrations`: which destinations it is meant for, and what it says to one alone.

One rule, `allowed`, is asked in three places. In delivery the gate (milonga.filters.gate) asks it before any filter and
ends the event with Segment's code. A kind's `keys` ask it because an event that will not be sent waits for nobody. A
kind's `translate` asks it for those who call a kind by itself, such as its own cases: in delivery its `disabled` is
never reached, since the gate has asked the same rule, about the same name.
"""

from msgspec.structs import replace

from milonga.filters.integrations import allowed as allowed
from milonga.spec.event import Event, JsonObject


def options(integrations: JsonObject, name: str) -> JsonObject:
    """What the call says to this destination alone; an empty object if it says nothing."""
    own = integrations.get(name)
    return own if isinstance(own, dict) else {}


def replayed(event: Event, name: str, *, relays: bool = False) -> Event:
    """
    The event as a replay sends it: meant for this destination alone, whatever it said when it came; what it said to
    this destination stays. Source: Segment, "What is Replay?".

    relays  what it says is for the receiver's own destinations too (Destination.relays): it stays as it is
    """
    if relays:
        return event
    return replace(event, integrations={"All": False, name: options(event.integrations, name) or True})
