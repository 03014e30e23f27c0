"""What commands share that export events to stdout: the format, and the pages of a server elsewhere."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeAlias, cast

import typer

from milonga.api.client import Reach
from milonga.facts.exporting import AT_ONCE, MEDIA_TYPES, Format


def _format(given: str) -> str:
    if given not in MEDIA_TYPES:
        raise typer.BadParameter(f"Expected one of {', '.join(MEDIA_TYPES)}.")
    return given


FormatOption: TypeAlias = Annotated[
    str, typer.Option("--format", parser=_format, metavar="jsonl|csv", help="JSON lines, or a table.")
]


def format_of(given: str) -> Format:
    """As it was checked."""
    return cast("Format", given)


def pages(milonga: Reach, name: str, query: Mapping[str, object]) -> Iterator[list[dict[str, Any]]]:
    """Of a list whose things have their events, page by page: there may be very many."""
    cursor: str | None = None
    while True:
        answer = milonga.ask(name, query={**query, "events": True, "count": AT_ONCE, "cursor": cursor})
        yield answer.data
        cursor = answer.page["next"]
        if cursor is None:
            return
