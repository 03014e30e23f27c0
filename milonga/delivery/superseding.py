"""What a replay leaves out of a request, lest it overwrites what a newer event has set. Pure."""

from collections.abc import Callable, Collection
from typing import Final

from msgspec.structs import replace

from milonga.destinations.contract import Destination, Form, Key, Request, Requests, Skip
from milonga.spec.event import Event

SUPERSEDED: Final = Skip(
    "superseded",
    "Nothing is to be done: newer events have set all that this one would set. To send it all the same, and overwrite "
    "them: `milonga replay --overwrite`.",
)


def set_by(kind: Destination, event: Event, requests: Requests | Skip) -> set[Key]:
    """What these requests of the event overwrite."""
    if isinstance(requests, Skip) or event.type not in kind.overwriting:
        return set()
    return {what for request in requests for what in kind.sets(request).values()}


def without_newer(
    kind: Destination, event: Event, requests: Requests, is_newer: Callable[[Key], bool]
) -> tuple[Requests | Skip, frozenset[Key]]:
    """
    The requests without what a newer event has set, or the skip if nothing is left; and what was left out.

    is_newer  whether an event that came later has set this
    """
    if event.type not in kind.overwriting:
        return requests, frozenset()
    left: list[Request] = []
    out: set[Key] = set()
    for request in requests:
        sets = kind.sets(request)
        drop = {name for name, what in sets.items() if is_newer(what)}
        out |= {sets[name] for name in drop}
        if len(drop) < len(sets) or not sets:
            left.append(_without(request, drop))
    return (left or SUPERSEDED), frozenset(out)


def _without(request: Request, drop: Collection[str]) -> Request:
    if not drop or not isinstance(request.body, Form):
        return request
    return replace(request, body=Form({name: value for name, value in request.body.params.items() if name not in drop}))
