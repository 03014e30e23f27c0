"""
Settings as they are typed: KEY=VALUE, secrets from elsewhere, and what is asked of them before they are taken; and an
event that somebody has edited.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from getpass import getpass
from pathlib import Path
from typing import Any, NoReturn

import typer

from milonga.api.problem import Problem
from milonga.cli.common import fail
from milonga.cli.terminal import clean
from milonga.spec.limits import MAX_REQUEST
from milonga.workspace.errors import UserError


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


def from_elsewhere(settings: Sequence[Mapping[str, Any]], given: Mapping[str, str]) -> dict[str, object]:
    """
    For secrets, `@FILE` stands for what the file holds and `-` for a line of standard input.

    settings  of the kind, as the catalog declares them
    """
    secret = {called: one for one in settings if one["secret"] for called in (one["name"], _snake(one["name"]))}
    return {name: _secret(secret[name], value) if name in secret else value for name, value in given.items()}


def _snake(name: str) -> str:
    """A setting's other name, as it is taken everywhere: `sdrToken`, `sdr_token`."""
    return re.sub("([A-Z])", lambda sign: f"_{sign[1].lower()}", name)


def _secret(setting: Mapping[str, Any], value: str) -> str:
    if value == "-":
        if sys.stdin.isatty():
            return getpass(f"{setting['label']} ({setting['name']}), not shown: ", sys.stderr)
        return sys.stdin.readline().rstrip("\r\n")
    if not value.startswith("@"):
        return value
    path = Path(value[1:])
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise UserError(f"{setting['name']}: the file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise UserError(f"{setting['name']}: the file {path} is not text in UTF-8.") from None


def refuse_without(problem: Problem, how: str) -> NoReturn:
    """
    Every event would be skipped, and gone: better said now.

    how  to go on, with NAME for the setting
    """
    said, _, about = problem.detail.partition("\n")
    setting = problem.field.removeprefix("$.settings.")
    fail(clean(f"{said} {how.replace('NAME', setting)}") + (f"\n{clean(about)}" if about else ""))


def event_in(file: Path) -> str:
    """The text that `--file` names; - is standard input."""
    try:
        body = sys.stdin.buffer.read(MAX_REQUEST + 1) if str(file) == "-" else file.read_bytes()
        return body.decode()
    except OSError as error:
        fail(clean(f"{file} cannot be read: {error.strerror}."))
    except UnicodeDecodeError:
        fail(clean(f"{file} is not UTF-8."))
