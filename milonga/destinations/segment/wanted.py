"""Whether a call's own `integrations` let it be forwarded. Source: docs/segment.md, "What is sent"."""

from typing import Final

from milonga.destinations.integrations import allowed
from milonga.destinations.segment.settings import Settings
from milonga.spec.event import Event

NAME: Final = "Segment.io"  #: in `integrations`, exactly: so Segment's own SDKs call their way to its API


def wanted(event: Event, settings: Settings) -> bool:
    """With `forwardAll` only its own name counts: `All` is about destinations, and those may be behind the receiver."""
    return allowed(event.integrations, NAME, heeds_all=heeds_all(settings))


def heeds_all(settings: Settings) -> bool:
    return not settings.forward_all
