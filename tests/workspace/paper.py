"""A small destination to configure, and a workspace that knows it."""

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from milonga.destinations.contract import Answer, Delivered, Destination, Ending, Key, Skip
from milonga.spec.event import Event
from milonga.workspace.secrets import KeyProvider
from milonga.workspace.store import Workspace


class Settings(Struct, frozen=True, kw_only=True, rename="camel"):
    post_to: Annotated[
        str, Meta(title="Post to", description="Where it goes.", extra={"required": True, "address": True})
    ] = ""
    token: Annotated[str, Meta(title="Token", max_length=100, extra={"secret": True})] = ""
    pin: Annotated[str, Meta(title="Pin", extra={"secret": True})] = ""
    size: Annotated[Literal["A4", "A5"], Meta(title="Size")] = "A4"
    colour: Annotated[bool, Meta(title="Colour")] = False
    copies: Annotated[int, Meta(title="Copies", ge=1, le=9)] = 1
    folds: tuple[int, ...] = ()
    note: str | None = None

    def __post_init__(self) -> None:
        if self.size == "A5" and self.copies > 2:
            raise ValueError("copies: of A5 there are two at most.")


def no_keys(_event: Event, _settings: object) -> tuple[Key, ...]:
    return ()


def skip_all(_event: Event, _settings: Any) -> Skip:
    return Skip("paper", "It is only paper.")


def all_well(_answer: Answer, _now: float) -> Ending:
    return Delivered()


PAPER = Destination(
    kind="paper",
    label="Paper",
    summary="Prints events.",
    settings=Settings,
    keys=no_keys,
    translate=skip_all,
    judge=all_well,
)
KINDS = {"paper": PAPER}

KEY_A = base64.b64encode(b"a" * 32).decode()
KEY_B = base64.b64encode(b"b" * 32).decode()


class Clock:
    """One millisecond later at each look, so that everything has its own time."""

    def __init__(self) -> None:
        self.at = 1_700_000_000_000

    def __call__(self) -> int:
        self.at += 1
        return self.at


def open_paper(
    data: Path, env: Mapping[str, str] = MappingProxyType({}), now: Callable[[], int] | None = None
) -> Workspace:
    """With the key file beside `data`, unless MILONGA_KEY or MILONGA_KEY_FILE is given."""
    return Workspace.open(data, KeyProvider(data, env), KINDS, now or Clock())
