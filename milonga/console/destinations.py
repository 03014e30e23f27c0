"""What the pages of a destination share: which one is meant, what is in its frame. No pages itself."""

from typing import Any, Final

from milonga.console.visit import Visit, address
from milonga.facts.destinations import masked
from milonga.facts.facts import Facts, Place
from milonga.facts.overview import of_destination, standings
from milonga.workspace.commands import milliseconds
from milonga.workspace.errors import NotThere
from milonga.workspace.model import DestinationConfig, DestinationState
from milonga.workspace.names import is_name

BY_ID: Final = "~"  #: before the id of one that has no address of its own by its name: no name has this sign
_ELSEWHERE: Final = frozenset({".", "..", "new"})  #: names whose address is another page's


def home(config: DestinationConfig, *, removed: bool = False) -> str:
    """The address of its pages."""
    named = not removed and is_name(config.name) and config.name not in _ELSEWHERE
    return address("/destinations/{}", [config.name if named else f"{BY_ID}{config.id}"])


def place_of(visit: Visit, facts: Facts) -> Place:
    """That the address names; NotThere."""
    name = visit.path["name"]
    for place in facts.places:
        if name == f"{BY_ID}{place.config.id}" or (name == place.config.name and place.removed_at is None):
            return place
    raise NotThere(f"There is no destination {name[:64]}. It may have been removed, or has another name now.")


def config_of(visit: Visit, facts: Facts) -> DestinationConfig:
    """The same of one that is not removed."""
    place = place_of(visit, facts)
    if place.removed_at is not None:
        raise NotThere(f"{place.config.name} was removed. Its history stays; there is nothing left to change.")
    return place.config


def frame(visit: Visit, facts: Facts, place: Place, tab: str) -> dict[str, Any]:
    """
    What the frame of its pages needs (destinations/frame.html).

    tab  the end of its address, "" for the first
    """
    config, gone = place.config, place.removed_at is not None
    now = milliseconds()
    at = home(config, removed=gone)
    kind = facts.workspace.kinds.get(config.kind)
    (one,) = standings(facts, [place], now)
    names = (("Overview", ""), ("Settings", "/settings"), ("Delivery", "/delivery"), ("Filters", "/filters"))
    tabs = (
        [(name, at + end) for name, end in names if kind is not None or end == ""] if not gone else [("Overview", at)]
    )
    tabs.append(("History", f"{at}/history"))
    if not gone:
        tabs.append(("Problems", address("/problems", destination=config.name)))
    return {
        "config": config,
        "kind": kind,
        "label": config.kind if kind is None else kind.label,
        "home": at,
        "tabs": tabs,
        "here": at + tab,
        "one": one,
        "attention": [] if gone else list(of_destination(one, now)),
        "removed_at": place.removed_at,
        "may": visit.may("editor") and not gone,
    }


def told_to_pages(facts: Facts, config: DestinationConfig) -> dict[str, Any] | None:
    """What pages of the source's web sites learn of it; None if nothing."""
    kind = facts.workspace.kinds.get(config.kind)
    if kind is None or config.state is DestinationState.off:
        return None
    says = kind.browser(masked(facts.workspace, config))
    return None if says is None else dict(says)


def in_force(facts: Facts, config: DestinationConfig) -> dict[str, Any]:
    """
    Whether a running server goes by its settings and its state already (destinations/in-force.html): `server`,
    `settings`, `state`, `since`; `browsers`, if pages are told of it.
    """
    found = None if facts.delivery is None or not facts.server_runs else facts.delivery.in_force(config.id)
    return {
        "server": facts.server_runs,
        "settings": found is not None and found.settings_version >= config.settings_version,
        "state": found is not None and found.state_at >= config.changes[-1].at,
        "since": None if found is None else found.at,
        "browsers": told_to_pages(facts, config) is not None,
    }
