"""Options and arguments of several nouns: of which destination, and which events, a command is."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from milonga.cli.common import an_id
from milonga.spec.read import EVENT_TYPES


def _event_type(given: str) -> str:
    if given not in EVENT_TYPES:
        raise typer.BadParameter(f"Expected one of {', '.join(sorted(EVENT_TYPES))}.")
    return given


Destination: TypeAlias = Annotated[str, typer.Argument(metavar="DESTINATION", help="Name of the destination.")]
Kind: TypeAlias = Annotated[str, typer.Argument(metavar="KIND", help="The kind of destination, such as totango.")]
DestinationOption: TypeAlias = Annotated[
    str | None, typer.Option("--destination", "-d", metavar="NAME", help="Only of this one.")
]
TypeOption: TypeAlias = Annotated[
    str | None, typer.Option("--type", parser=_event_type, metavar="TYPE", help="Such as track.")
]
UserOption: TypeAlias = Annotated[
    str | None, typer.Option("--user", parser=an_id, metavar="ID", help="Only of this user.")
]
AccountOption: TypeAlias = Annotated[
    str | None, typer.Option("--account", parser=an_id, metavar="ID", help="Only of this account.")
]
EventFile: TypeAlias = Annotated[
    Path, typer.Option("--file", metavar="FILE", help="The event as it is to go out, as JSON; - : stdin.")
]
UnsetOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--unset", metavar="KEY", help="Back to its default.")
]
SettingsToChange: TypeAlias = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Settings to change.")
]
