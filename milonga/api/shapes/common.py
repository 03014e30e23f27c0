"""What answers of all kinds hold: moments, places in the log, and what was asked for."""

from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Struct

Moment: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class Position(Struct, frozen=True, kw_only=True):
    """Where an event lies in the log."""

    partition: int
    offset: int


class Removed(Struct, frozen=True, kw_only=True, rename="camel"):
    """It is gone."""

    removed: str


class AskedFor(Struct, frozen=True, kw_only=True, rename="camel"):
    """A running server does so within 5 seconds: GET /commands/{command} tells of each. asked: things."""

    asked: int
    commands: list[int]


class Command(Struct, frozen=True, kw_only=True, rename="camel"):
    """done: result says what came of it, `error` in it why nothing did."""

    command: int
    done: bool
    result: dict[str, Any] | None


class Health(Struct, frozen=True, kw_only=True, rename="camel"):
    """How the server stands."""

    version: str
    server_running: bool
    disk: dict[str, Any] | None
    kept_since: Moment | None
    waiting: int
    suppressed: int
