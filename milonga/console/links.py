"""Addresses of pages that other pages lead to, in one place."""

import re
from collections.abc import Mapping
from typing import Any, Final

from milonga.console.visit import address
from milonga.eventlog.api import Position

_PLACE: Final = re.compile(r"([0-9]{1,9})-([0-9]{1,18})")


def to_event(partition: int, offset: int) -> str:
    return f"/events/{partition}-{offset}"


def position_of(text: str) -> Position | None:
    """What `to_event` ends with; None if it is none."""
    found = _PLACE.fullmatch(text)
    return None if found is None else Position(int(found[1]), int(found[2]))


def to_account(id_: str) -> str:
    return address("/account", id=id_)


def _field(page: str, name: str) -> str:
    return f"{page}#s-{name}" if name else page


def to_fix(place: Mapping[str, Any] | None, destination: str, source: str) -> tuple[str, str] | None:
    """
    (words, address) of where a reason is put right; None if there is no such page.

    place  as milonga.outcomes.where has it
    """
    if place is None:
        return None
    name = place["name"]
    match place["page"]:
        case "settings":
            return f"Settings of {destination}", _field(address("/destinations/{}/settings", [destination]), name)
        case "delivery":
            return f"Delivery settings of {destination}", _field(
                address("/destinations/{}/delivery", [destination]), name
            )
        case "filters":
            return f"Filters of {destination}", address("/destinations/{}/filters", [destination])
        case "destination":
            return f"Destination {destination}", address("/destinations/{}", [destination])
        case "problems":
            return "Dead letters", address("/problems", destination=destination)
        case "replays":
            return "Replays", "/replays"
        case "setup":
            return f"Set-up of source {source}", address("/sources/{}/setup", [source])
        case _:
            return None
