"""`milonga tokens`: what programs come in with at the API."""

from typing import Annotated, Any

import typer

from milonga.cli.common import DATA, DataOption, JsonOption, YesOption, ask, note, nothing_yet, opened
from milonga.cli.terminal import print_json, print_table
from milonga.outcomes.words import instant
from milonga.workspace.people import Token
from milonga.workspace.roles import Role

app = typer.Typer(no_args_is_help=True, help="API tokens: what programs come in with.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the token: what uses it, such as ci.")]


@app.command("list")
def list_(data: DataOption = DATA, json: JsonOption = False) -> None:
    """List the tokens: who may what, and what was not used for long. What they are is not kept."""
    if nothing_yet(data):
        if json:
            print_json([])
        return
    with opened(data) as workspace:
        rows = [_row(token) for token in workspace.tokens.all()]
    if json:
        print_json(rows)
    elif rows:
        columns = ("name", "role", "begins", "createdAt", "createdBy", "endsAt", "usedAt")
        print_table(columns, [[row[column] or "-" for column in columns] for row in rows])
    else:
        typer.echo("There are no tokens. Create one: milonga tokens create NAME")


@app.command()
def create(
    name: Name,
    role: Annotated[
        Role, typer.Option("--role", metavar="ROLE", help="viewer, editor or administrator: no more than it needs.")
    ] = Role.viewer,
    days: Annotated[
        int | None, typer.Option("--days", metavar="DAYS", help="How long it lasts. Default: until it is revoked.")
    ] = None,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Create a token and print it, once. Programs send it as `Authorization: Bearer TOKEN`."""
    with opened(data, create=True) as workspace:
        token, shows = workspace.tokens.create(name, role, days)
    if json:
        print_json(_row(token) | {"token": shows})
        return
    typer.echo(shows)
    ends = "until it is revoked" if token.ends_at is None else f"until {instant(token.ends_at)}"
    note(f"Created {token.name}, {token.role}, {ends}. This is the only time it is shown.")


@app.command()
def revoke(name: Name, data: DataOption = DATA, yes: YesOption = False, json: JsonOption = False) -> None:
    """Revoke a token: it lets nobody in any more."""
    with opened(data) as workspace:
        if any(one.name.casefold() == name.casefold() for one in workspace.tokens.all()):
            ask(f"Revoke {name}? What uses it is refused.", yes=yes, for_good=True)
        workspace.tokens.revoke(name)
    if json:
        print_json({"revoked": name})
        return
    typer.echo(f"Revoked {name}.")


def _row(token: Token) -> dict[str, Any]:
    return {
        "name": token.name,
        "role": token.role.value,
        "begins": token.begins,
        "createdAt": instant(token.created_at),
        "createdBy": token.created_by,
        "endsAt": None if token.ends_at is None else instant(token.ends_at),
        "usedAt": None if token.used_at is None else instant(token.used_at),
    }
