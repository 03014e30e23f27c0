"""`milonga fake KIND`: a pretend receiver to send to, for trying things out."""

import asyncio
import errno
import signal
from collections.abc import Callable
from importlib import import_module
from inspect import signature
from typing import Annotated, Any

import typer
import uvloop

from milonga.cli.common import UnusedDataOption, fail
from milonga.cli.options import Kind
from milonga.destinations.pretend import Pretend
from milonga.destinations.registry import HalfDone, UnknownKind, kind

Start = Callable[..., Pretend[Any]]


def fake(
    kind_: Kind,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.", min=0, max=65535)] = 8090,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            help="Believe only what is signed with this (webhook), or names this write key (segment); again for more.",
            metavar="TEXT",
        ),
    ] = None,
    data: UnusedDataOption = None,
) -> None:
    """Run a pretend receiver: it answers as the real one would, shows what it would hold, and misbehaves on demand."""
    try:
        label = kind(kind_).label
        pretend = _starter(kind_, picky=bool(secret))(host=host, port=port, **({"secrets": secret} if secret else {}))
    except (UnknownKind, LookupError, HalfDone, ValueError) as error:
        typer.echo(f"milonga: {error}", err=True)
        raise typer.Exit(1 if isinstance(error, HalfDone) else 2) from None
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(label, pretend))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            fail(f"Port {port} is in use. Choose another with --port.")
        fail(f"Cannot listen on {host}:{port}: {error.strerror or error}. Choose others with --host and --port.")


def _starter(name: str, *, picky: bool) -> Start:
    """The `pretend` of the destination's fake.py. LookupError in words if it has none, or `picky` and no `secrets`."""
    module = f"milonga.destinations.{name}.fake"
    try:
        start: Start = import_module(module).pretend
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise LookupError(f"{name} has no pretend receiver.") from None
    if picky and "secrets" not in signature(start).parameters:
        raise LookupError(f"{name} believes everybody: leave out --secret.")
    return start


async def _run(label: str, pretend: Pretend[Any]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with pretend:
        typer.echo(f"Pretend {label} listens on {pretend.url} (what it holds: {pretend.url}/). Ctrl-C ends it.")
        await stop.wait()
