"""
The marks that end a circle: receivers that forward to each other, each of which takes the other's events for new ones.

Every Milonga adds its mark to `context.milonga.hops` of what it forwards. What bears its own mark has been here before.
"""

from typing import Any, Final

from milonga.spec.event import JsonObject

MAX_HOPS: Final = 3  #: an event is forwarded so many times at most, whoever forwards it

OURS: Final = "milonga"  #: key in `context`
HOPS: Final = "hops"


def hops(context: JsonObject) -> list[Any]:
    """The marks that an event came with, the first forwarder's first. What is no list counts as none."""
    ours = context.get(OURS)
    found = ours.get(HOPS) if isinstance(ours, dict) else None
    return found if isinstance(found, list) else []


def with_hop(context: JsonObject, mark: str) -> dict[str, Any]:
    """The context with one mark more; whatever else stands there stays."""
    ours = context.get(OURS)
    return {**context, OURS: {**(ours if isinstance(ours, dict) else {}), HOPS: [*hops(context), mark]}}
