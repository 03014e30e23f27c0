"""The `milonga` command. One file per noun; this one only puts them together."""

from typing import Annotated

import typer

from milonga import __version__
from milonga.cli import (
    audit,
    backup,
    check,
    dead,
    demo,
    destinations,
    events,
    explain,
    fake,
    parked,
    regulations,
    replay,
    replays,
    serve,
    sources,
    tokens,
    translate,
    users,
)
from milonga.cli.reaching import ServerOption, TokenOption, choose, only_here

ONLY_HERE = ("serve", "demo", "check", "backup", "restore", "translate", "fake")
"""Commands about a data directory, or none, of this machine."""

app = typer.Typer(no_args_is_help=True)
app.command("serve")(serve.command)
app.command("demo")(demo.command)
app.add_typer(sources.app, name="sources")
app.add_typer(destinations.app, name="destinations")
app.add_typer(events.app, name="events")
app.command("explain")(explain.command)
app.add_typer(dead.app, name="dead")
app.add_typer(parked.app, name="parked")
app.command("replay")(replay.command)
app.add_typer(replays.app, name="replays")
app.add_typer(regulations.app, name="regulations")
app.add_typer(users.app, name="users")
app.add_typer(tokens.app, name="tokens")
app.command("audit")(audit.audit)
app.command("check")(check.command)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("translate")(translate.translate)
app.command("fake")(fake.fake)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"milonga {__version__}")
        raise typer.Exit


@app.callback()
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
