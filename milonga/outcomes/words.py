"""Codes in words: why an event went the way it did, and what to do. A destination's own fix goes before these."""

import shlex
from datetime import UTC, datetime, timedelta
from typing import Final

from milonga.filters.chain import KEPT_BACK, UNSURE
from milonga.filters.gate import NO_CONSENT, NOT_MEANT

PIPELINE: Final = {
    "destination_off": (
        "The destination was switched off while the event waited.",
        "Switch it on: it begins with what arrives from then on; `milonga replay` sends what came before.",
    ),
    "skipped_by_hand": (
        "Somebody skipped it while it was parked, so that its line could go on; the tries tell who.",
        "Nothing is wrong with it here. If the receiver should have it after all: `milonga replay`.",
    ),
    "too_old": (
        "It could not be delivered within the maximum age, and Totango dates what arrives by its arrival.",
        "Look at the tries for what stood in the way.",
    ),
    "too_late": (
        "Such an event is worth sending only while it is fresh, and the destination could not take it then.",
        "Nothing is wrong with it. If many end like this, look for what holds the destination up.",
    ),
    "tried_too_long": (
        "It failed for as long as the destination's retry window lasts, and others wait behind it.",
        "Mend what the tries say stood in the way; `milonga replay` sends it again. retryWindow: how long it is tried.",
    ),
    "log_trimmed": (
        "Its bytes had left the log before it could be delivered.",
        "Keep the log longer, or look for what held the destination up.",
    ),
    "cannot_park": (
        "It had to wait on disk, and could not be written there.",
        "Please report this with the log of the server; then `milonga dead resend` it.",
    ),
    "not_recorded": (
        "It ended, but how could not be written down.",
        "Please report this with the log of the server, which tells more.",
    ),
    "user_deleted": (
        "Its user was deleted before it could be sent: what waited of it was erased.",
        "",
    ),
    "damaged_record": (
        "Its record in the log is damaged; nothing of it was sent.",
        "Check the disk. Everything else is delivered as ever.",
    ),
}
"""(why, fix) of the codes that come from the pipeline itself rather than from a destination."""

REFUSED_ALL: Final = {
    "forbidden_address": "Restart the server with `milonga serve --allow-private-destinations`, or set a public "
    "address with `milonga destinations set {name} ...`: it goes on by itself.",
}
"""What to do where nothing can be sent, by the code of the failure; {name} is the destination's."""

OF_SETTINGS: Final = "Mend it with `milonga destinations set {name} ...`: it goes on."
"""The same for every other failure that the destination's settings are blamed for."""

SKIPPED: Final = {
    "disabled": "The sender excluded this destination in the event's `integrations`",
    "unsupported_type": "This destination has no use for this type of call",
    "missing_service_id": "The destination has no Service ID",
    "missing_url": "The destination has no URL to send to",
    "missing_group_id": "The event names no account",
    "missing_user_id": "The event names no known user",
    "missing_event": "The event does not say what was done",
    "id_too_long": "An id is longer than the destination takes",
    "sent_by_browser": "The visitor's browser has sent it to the destination itself",
    "heartbeat_disabled": "The destination's settings want no heartbeats",
    "no_page_event": "A page like this makes no activity",
    "missing_write_key": "The destination has no write key",
    "loop": "The event came back, or was forwarded often enough",
    "event_too_large": "The event is larger than the receiver takes",
    "too_deep": "The event is nested more deeply than receivers can read",
}
"""Why a destination sends nothing, by the code of its Skip; tests/outcomes/test_words.py says that none is missing."""


BY_THE_GATE: Final = {
    NO_CONSENT: "The user did not agree to what this destination is for",
    NOT_MEANT: "The sender excluded this destination in the event's `integrations`",
}
"""The same of what never comes as far as the destination's own rules (milonga.filters.gate)."""


def named(fix: str, name: str) -> str:
    """A fix with the name of the destination in the commands that it gives."""
    for command in ("set", "filters"):
        fix = fix.replace(f"destinations {command} NAME", f"destinations {command} {name}")
    return fix


def why_skipped(code: str) -> str:
    for head, why in ((KEPT_BACK, "keeps such events back"), (UNSURE, "cannot be decided for this event")):
        if code.startswith(head):
            return f"The filter {code.removeprefix(head)} {why}."
    return f"{BY_THE_GATE.get(code) or SKIPPED.get(code, 'The destination decided not to send it')}."


def sentence(text: str) -> str:
    """With a full stop, unless it ends with one already."""
    text = text.strip()
    return text if not text or text[-1] in ".!?" else f"{text}."


def person(by: str) -> str:
    """Who did something, as an audit row has it, in words: `user:ada` is ada."""
    match by.partition(":"):
        case ("cli", _, _):
            return "command line"
        case ("settings" | "probe" | "workspace", _, _):
            return "the pipeline"
        case ("stranger", _, _):
            return "somebody"
        case ("user", _, name):
            return name
        case ("token", _, name):
            return f"token {name}"
        case _:
            return by


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def instant(unix_ms: int) -> str:
    """`2024-03-05T14:22:07.123Z`; outside the years 1 to 9999, which have no such form, the number as it is."""
    try:
        time = _EPOCH + timedelta(milliseconds=unix_ms)
    except OverflowError:
        return f"{unix_ms} ms"
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def typed(text: str) -> str:
    """A stranger's text as one argument of a command that people copy: nothing in it is an option, or the shell's."""
    return f"{'-- ' if text.startswith('-') else ''}{shlex.quote(text)}"
