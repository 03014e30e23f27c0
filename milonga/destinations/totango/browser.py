"""What our browser library must know of Totango. See docs/totango.md, "Connection mode"."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from milonga.destinations.totango.gate import NAME
from milonga.destinations.totango.settings import COLLECTOR, Settings
from milonga.destinations.totango.wire import address

_DIGITS: Final = 4
"""
Hex digits of a fingerprint: one change in 65,536 goes unnoticed. No more, since every visitor can read it, and there
are but ten million Service IDs to try: so over a hundred of them fit, and it does not tell which.
"""


def browser(settings: Settings) -> Mapping[str, Any] | None:
    """
    None while nothing could be sent. Only in device mode does the page learn the Service ID; the token it never learns.

    fingerprint  changes with the service: what a page has told the one before, this one has not heard
    region       as Totango's own script wants it: us or eu1
    """
    if not settings.service_id.strip():
        return None
    told = {
        "name": NAME,
        "heartbeat": not settings.disable_heartbeat,
        "mode": settings.connection_mode,
        "fingerprint": _fingerprint(settings),
    }
    if settings.connection_mode == "cloud":
        return told
    return told | {
        "serviceId": settings.service_id,
        "region": "eu1" if settings.region in ("eu", "eu1") else "us",
        "collector": settings.collector or COLLECTOR,
        "trackNamedPages": settings.track_named_pages,
        "trackCategorizedPages": settings.track_categorized_pages,
        "disableHeartbeat": settings.disable_heartbeat,
        "moduleFromUrl": settings.module_from_url,
        "defaultModule": settings.default_module,
    }


def _fingerprint(settings: Settings) -> str:
    """Of the Service ID and the address it is at, without the query: what stands there is a secret, and no place."""
    place = address(settings.endpoint, settings.region).partition("?")[0]
    return sha256(f"{settings.service_id}\n{place}".encode()).hexdigest()[:_DIGITS]
