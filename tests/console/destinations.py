"""Destinations whose pages are tested: made from the command line, changed by their forms."""

from typing import Any

from milonga.workspace.model import DestinationConfig, DestinationState
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.console.harness import Answer, Console
from tests.console.reading import form
from tests.running import eventually

HUSH = "hush-hush-4711"
ON, OFF = DestinationState.on, DestinationState.off


def added(console: Console, name: str, state: DestinationState = OFF, **settings: Any) -> str:
    """A Totango of this name for the source `web`; the address of its pages."""
    with Workspace.open(console.data) as workspace:
        workspace.add_destination("totango", "web", name, {"serviceId": "SP-1-01", **settings}, state, {0: 0})
    return f"/destinations/{name}"


def config(console: Console, name: str) -> DestinationConfig:
    with Workspace.open(console.data) as workspace:
        return workspace.destination(name)


def setting(console: Console, name: str, which: str) -> Any:
    return getattr(config(console, name).settings, which)


def saved(console: Console, at: str, tab: str, **typed: Any) -> Answer:
    """The form of this tab, with these fields typed over."""
    return console.post(at + tab, {**form(console.get(at + tab, Role.editor).text, at + tab), **typed})


def in_force(console: Console, at: str) -> str:
    """What the page says once its settings and its state are."""

    def told() -> str:
        return console.get(f"{at}/in-force", headers={"HX-Request": "true"}).text

    eventually(lambda: "In force since" in told(), "it is in force")
    return told()
