"""
The `milonga` command. One file per noun; this one only puts them together, and reads of them what is asked for: a
command, and each process of `milonga serve`, should not wait for what the others need.
"""

from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from milonga import __version__
from milonga.cli.choosing import ServerOption, TokenOption, choose, only_here

COMMANDS: Final = {
    "serve": "serve.command",
    "demo": "demo.command",
    "sources": "sources.app",
    "destinations": "destinations.app",
    "events": "events.app",
    "explain": "explain.command",
    "dead": "dead.app",
    "parked": "parked.app",
    "replay": "replay.command",
    "replays": "replays.app",
    "regulations": "regulations.app",
    "users": "users.app",
    "tokens": "tokens.app",
    "audit": "audit.audit",
    "check": "check.command",
    "backup": "backup.backup",
    "restore": "backup.restore",
    "translate": "translate.translate",
    "fake": "fake.fake",
}
"""Name -> module here, and what it has for it."""
ONLY_HERE: Final = ("serve", "demo", "check", "backup", "restore", "translate", "fake")
"""Commands about a data directory, or none, of this machine."""


class Commands(TyperGroup):
    """Whatever the command, what an older server does not answer ends it in words, not in a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (LookupError, TypeError, AttributeError) as error:
            from milonga.cli.reaching import missed  # not before it is needed

            missed(error)


def made_for(words: Sequence[str]) -> typer.Typer:
    """words: of the command line. All commands, unless they begin with one"""
    return made(words[:1] if words and words[0] in COMMANDS else COMMANDS)


def made(names: Iterable[str]) -> typer.Typer:
    """`milonga` with these commands."""
    app = typer.Typer(no_args_is_help=True, cls=Commands)
    app.callback()(milonga)
    for name in names:
        module, _, attribute = COMMANDS[name].partition(".")
        found = getattr(import_module(f"milonga.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"milonga {__version__}")
        raise typer.Exit


def milonga(
    context: typer.Context,
    server: ServerOption = "",
    token_file: TokenOption = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """Segment's SDKs in, Totango out: events kept, put in order, delivered, explained."""
    choose(context, server, token_file)
    if context.invoked_subcommand in ONLY_HERE:
        only_here(context.invoked_subcommand)
