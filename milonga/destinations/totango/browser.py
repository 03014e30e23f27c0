"""What our browser library must know of Totango. See docs/totango.md, "Connection mode"."""

from collections.abc import Mapping
from typing import Any

from milonga.destinations.totango.gate import NAME
from milonga.destinations.totango.settings import COLLECTOR, Settings


def browser(settings: Settings) -> Mapping[str, Any] | None:
    """
    None while nothing could be sent. Only in device mode does the page learn the Service ID; the token it never learns.

    region  as Totango's own script wants it: us or eu1
    """
    if not settings.service_id.strip():
        return None
    told = {
        "name": NAME,
        "heartbeat": not settings.disable_heartbeat,
        "mode": settings.connection_mode,
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
