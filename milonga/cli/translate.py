"""`milonga translate KIND`: what a destination would send for each event. Sends nothing."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import msgspec
import typer
from msgspec import Struct

from milonga.cli.common import UnusedDataOption
from milonga.cli.options import Kind
from milonga.destinations import signing
from milonga.destinations.contract import Destination, Form, Request, Skip
from milonga.destinations.deciding import decide
from milonga.destinations.http import shown_address
from milonga.destinations.registry import HalfDone, UnknownKind, kind
from milonga.facts.preview import notices
from milonga.filters.chain import check
from milonga.filters.gate import NOT_MEANT, Gate
from milonga.identity.account import read_unstamped
from milonga.spec.read import NotAnEvent
from milonga.spec.text import well_formed
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.errors import UserError
from milonga.workspace.settings import by_names, changed

MAX_LINE: Final = 1024 * 1024  #: bytes; far more than the pipeline takes for one event
HIDDEN: Final = "***"


def translate(
    kind_: Kind,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="One event per line; - is the standard input.")] = "-",
    settings: Annotated[
        str, typer.Option(metavar="JSON_OR_FILE", help="The destination's settings; what is absent has its default.")
    ] = "{}",
    full: Annotated[bool, typer.Option("--full", help="Also part, method and URL of each request.")] = False,
    with_notices: Annotated[
        bool, typer.Option("--notices", help="Also what is left out, cut or filled in on the way.")
    ] = False,
    data: UnusedDataOption = None,
) -> None:
    """Show what a destination would send for each event, one line out for each line in. Sends nothing."""
    try:
        destination = kind(kind_)
        chosen, delivery = _settings(destination, settings)
        source = nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb")  # noqa: SIM115 - see below
    except (UnknownKind, _BadSettings, OSError, HalfDone) as error:
        typer.echo(f"milonga: {error}", err=True)
        raise typer.Exit(1 if isinstance(error, HalfDone) else 2) from None
    with source as lines:
        good = _run(lines, destination, chosen, delivery.gate, full=full, with_notices=with_notices)
    if not good:
        raise typer.Exit(1)


class _BadSettings(ValueError):
    """The settings cannot be read, or the destination does not take them."""


def _settings(destination: Destination, typed: str) -> tuple[Struct, DeliverySettings]:
    text = typed
    if not typed.lstrip().startswith("{"):
        try:
            text = Path(typed).read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            raise _BadSettings(f"The settings are neither a JSON object nor a file that can be read: {error}") from None
    try:
        given = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise _BadSettings(f"The settings are no JSON object: {error}") from None
    try:
        own, shared = by_names(destination.settings, DeliverySettings, given, destination.label)
        delivery = changed(DeliverySettings(), shared, destination.label)
        assert isinstance(delivery, DeliverySettings)  # noqa: S101  changed keeps the type
        check(delivery.filters)
        return changed(destination.settings(), own, destination.label), delivery
    except (UserError, ValueError) as error:
        raise _BadSettings(str(error)) from None


def _run(
    lines: BinaryIO, destination: Destination, settings: Struct, gate: Gate, *, full: bool, with_notices: bool
) -> bool:
    """Whether every line was good."""
    good = True
    try:
        for number, line in _numbered(lines):
            if line is None:
                answer: dict[str, Any] = {"line": number, "error": f"Longer than {MAX_LINE:,} bytes"}
                good = False
            else:
                try:
                    answer = translated(line, destination, settings, gate, full=full, with_notices=with_notices)
                except NotAnEvent as error:
                    answer = {"line": number, "error": well_formed(str(error))}
                    good = False
            sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
            sys.stdout.buffer.flush()  # at once: the lines may come from a program that is still running
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return good


def _numbered(lines: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Every line that is not blank, with its number from 1; None for one that is too long to be held in memory."""
    number = 0
    while line := lines.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            while not line.endswith(b"\n") and (line := lines.readline(MAX_LINE)):
                pass
            yield number, None
        elif line.strip():
            yield number, line


def translated(
    line: bytes, destination: Destination, settings: Struct, gate: Gate, *, full: bool, with_notices: bool = False
) -> dict[str, Any]:
    """The answer to one line. NotAnEvent if it holds none."""
    event = read_unstamped(line)
    result = decide(destination, event, settings, gate)
    if isinstance(result, Skip) and result.code == NOT_MEANT:
        result = destination.translate(event, settings)  # in its own words: its table of cases has them
    skip = result if isinstance(result, Skip) else None
    requests = [] if isinstance(result, Skip) else [_shown(request, full=full) for request in result]
    told = {
        "messageId": None if event.message_id is None else well_formed(event.message_id),
        "requests": requests,
        "skip": None if skip is None else {"code": skip.code, "fix": skip.fix},
    }
    if with_notices:
        told["notices"] = notices(destination, event, settings, gate)
    return told


def _shown(request: Request, *, full: bool) -> Any:
    if isinstance(request.body, Form):
        name, body = "params", _without_secrets(request.body.params, request.secrets)
    else:
        name, body = "json", request.body.value
    if not full:
        return body
    shown: dict[str, Any] = {"part": request.part, "method": request.method, "url": shown_address(request.url)}
    if request.headers or request.sign is not None:
        shown["headers"] = _without_secrets(request.headers, request.secrets) | signing.shown(request.sign)
    return {**shown, name: body}


def _without_secrets(values: Mapping[str, str], secrets: frozenset[str]) -> dict[str, str]:
    return {name: HIDDEN if name in secrets else value for name, value in values.items()}
