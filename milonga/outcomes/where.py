"""Where what a code complains of is put right: for links. Pure."""

from typing import Any, Final, Literal, TypeAlias

from milonga.filters.chain import KEPT_BACK, UNSURE
from milonga.filters.gate import NO_CONSENT, NOT_MEANT

Page: TypeAlias = Literal["settings", "delivery", "filters", "destination", "problems", "replays", "setup"]
"""
Of the destination: its own settings, how it is delivered to, its filters and consent, its state, its problems; replays
to it. Of the source: its set-up.
"""

Place: TypeAlias = tuple[Page, str]
"""(page, name of the field or filter there; "" if there is no single one)."""

FIX_AT: Final[dict[str, Place | None]] = {
    NO_CONSENT: ("filters", ""),
    NOT_MEANT: ("setup", ""),
    "disabled": ("setup", ""),
    "unsupported_type": None,
    "missing_service_id": ("settings", "serviceId"),
    "missing_url": ("settings", "url"),
    "missing_write_key": ("settings", "writeKey"),
    "missing_group_id": ("setup", ""),
    "missing_user_id": ("setup", ""),
    "missing_event": ("setup", ""),
    "id_too_long": ("setup", ""),
    "sent_by_browser": ("settings", "connectionMode"),
    "heartbeat_disabled": ("settings", "disableHeartbeat"),
    "no_page_event": ("settings", "trackNamedPages"),
    "loop": None,
    "event_too_large": ("setup", ""),
    "too_deep": ("setup", ""),
    "destination_off": ("destination", ""),
    "skipped_by_hand": ("replays", ""),
    "too_old": ("delivery", "maxAge"),
    "too_late": None,
    "tried_too_long": ("delivery", "retryWindow"),
    "log_trimmed": None,
    "cannot_park": None,
    "not_recorded": None,
    "user_deleted": None,
    "damaged_record": None,
}
"""By the code of a skip, or of the pipeline; tests/outcomes/test_where.py says that none is missing."""


def place_of(code: str) -> Place | None:
    """None if there is nothing to be put right, or no page for it."""
    for head in (KEPT_BACK, UNSURE):
        if code.startswith(head):
            return "filters", code.removeprefix(head)
    return FIX_AT.get(code)


def as_json(place: Place | None) -> dict[str, Any] | None:
    return None if place is None else {"page": place[0], "name": place[1]}
