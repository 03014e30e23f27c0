"""Settings as they are typed: KEY=VALUE, secrets from elsewhere, and what is asked of them before they are taken."""

import re
import sys
from collections.abc import Mapping, Sequence
from getpass import getpass
from pathlib import Path

import typer

from milonga.cli.common import fail, note
from milonga.destinations.contract import Destination
from milonga.workspace.errors import UserError
from milonga.workspace.settings import UNSET, Field, fields_of


def pairs(given: Sequence[str]) -> dict[str, str]:
    """Wrong use (exit 2) unless each is KEY=VALUE and no key comes twice."""
    found: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name:
            # Not repeated: it may be a secret whose name was forgotten.
            raise typer.BadParameter("A setting is given as KEY=VALUE.")
        if name in found:
            raise typer.BadParameter(f"{name} is given twice.")
        found[name] = value
    return found


def from_elsewhere(kind: Destination | None, given: Mapping[str, str]) -> dict[str, object]:
    """For secrets, `@FILE` stands for what the file holds and `-` for a line of standard input."""
    secret = {called: field for field in _fields(kind) if field.secret for called in (field.name, field.attribute)}
    return {name: _secret(secret[name], value) if name in secret else value for name, value in given.items()}


def _secret(field: Field, value: str) -> str:
    if value == "-":
        if sys.stdin.isatty():
            return getpass(f"{field.label} ({field.name}), not shown: ", sys.stderr)
        return sys.stdin.readline().rstrip("\r\n")
    if not value.startswith("@"):
        return value
    path = Path(value[1:])
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise UserError(f"{field.name}: the file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise UserError(f"{field.name}: the file {path} is not text in UTF-8.") from None


def lacking(kind: Destination | None, given: Mapping[str, object], *, all_: bool) -> list[Field]:
    """
    Required settings that would be empty.

    all_  those not given too: they have their defaults
    """
    return [
        field
        for field in _fields(kind)
        if field.required and _is_empty(given.get(field.name, given.get(field.attribute, field.default if all_ else 0)))
    ]


def _is_empty(value: object) -> bool:
    return value is UNSET or value is None or (isinstance(value, str) and not value.strip())


def refuse_without(field: Field, how: str) -> None:
    """Every event would be skipped, and gone: better said now."""
    fail(f"Without {field.label} ({field.name}) nothing can be sent. {how}\n{field.help}".rstrip())


def warn_of_odd(kind: Destination | None, given: Mapping[str, object]) -> None:
    """Values that do not look as they usually do: taken, but told of."""
    for field in _fields(kind):
        value = given.get(field.name, given.get(field.attribute))
        if field.pattern and isinstance(value, str) and value and not re.search(field.pattern, value):
            note(f"Is this right? {field.label} ({field.name}) is {value[:100]!r}. {field.hint}")


def _fields(kind: Destination | None) -> tuple[Field, ...]:
    return () if kind is None else fields_of(kind.settings)
