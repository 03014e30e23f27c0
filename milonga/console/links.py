"""Addresses of pages that other pages lead to, in one place."""

import re
from collections.abc import Mapping
from typing import Any, Final

from milonga.console.destinations import home
from milonga.console.visit import address
from milonga.eventlog.api import Position
from milonga.workspace.model import DestinationConfig

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


def to_fix(
    place: Mapping[str, Any] | None, config: DestinationConfig, source: str, position: Position | None = None
) -> tuple[str, str] | None:
    """
    (words, address) of where a reason is put right; None if there is no such page.

    place     as milonga.outcomes.where has it
    source    name of the event's
    position  of the event
    """
    if place is None:
        return None
    name, at = place["name"], home(config)
    match place["page"]:
        case "settings":
            return f"Settings of {config.name}", _field(f"{at}/settings", name)
        case "delivery":
            return f"Delivery settings of {config.name}", _field(f"{at}/delivery", name)
        case "filters":
            return f"Filters of {config.name}", f"{at}/filters"
        case "destination":
            return f"Destination {config.name}", at
        case "problems" if position is not None:
            return "The dead letter: resend, edit or discard it", to_letter(config.id, position)
        case "replays":
            return f"Replay to {config.name}", address("/replays/new", destination=config.name)
        case "setup":
            return f"Set-up of source {source}", address("/sources/{}/setup", [source])
        case _:
            return None


def to_parked(destination: int, position: Position) -> str:
    return f"/problems/parked/event/{destination}-{position.partition}-{position.offset}"


def to_letter(destination: int, position: Position) -> str:
    return f"/problems/dead/letter/{destination}-{position.partition}-{position.offset}"
