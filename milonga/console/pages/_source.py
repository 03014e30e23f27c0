"""What the pages of one source share: its head, its tabs."""

from typing import Any, Final

from milonga.console.visit import Visit, address
from milonga.workspace.model import Source

TABS: Final = (
    ("Overview", ""),
    ("Set-up", "/setup"),
    ("Live", "/live"),
    ("Discarded", "/discarded"),
    ("Write keys", "/keys"),
    ("Settings", "/settings"),
)


def at(name: str, tab: str = "", **query: object) -> str:
    """Address of a source's page. tab: such as `/live`"""
    return address("/sources/{}" + tab, [name], **query)


def frame(source: Source, tab: str = "") -> dict[str, Any]:
    """What `sources/frame.html` reads."""
    return {"source": source, "tabs": [(name, at(source.name, to)) for name, to in TABS], "tab": at(source.name, tab)}


def name_of(visit: Visit) -> str:
    return visit.path["name"]
