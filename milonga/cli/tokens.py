"""`milonga tokens`: what programs come in with at the API."""

from typing import Annotated

import typer

from milonga.api.client import rows
from milonga.cli.common import DATA, DataOption, JsonOption, YesOption, ask, note
from milonga.cli.reaching import nothing_there, reached
from milonga.cli.terminal import print_json, print_rows
from milonga.workspace.roles import Role
from milonga.workspace.tokens import MOST_TOKENS

app = typer.Typer(no_args_is_help=True, help="API tokens: what programs come in with.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the token: what uses it, such as ci.")]


@app.command("list")
def list_(data: DataOption = DATA, json: JsonOption = False) -> None:
    """List the tokens: who may what, and what was not used for long. What they are is not kept."""
    if nothing_there(data, json=json):
        return
    with reached(data) as milonga:
        found = rows(milonga, "listTokens", {}, MOST_TOKENS).data
    found.sort(key=lambda row: str(row["name"]).lower())
    columns = ("name", "role", "begins", "createdAt", "createdBy", "endsAt", "usedAt")
    print_rows(columns, found, "There are no tokens. Create one: milonga tokens create NAME", json=json)


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
    with reached(data, create=True) as milonga:
        token = milonga.ask("createToken", body={"name": name, "role": role.value, "days": days}).data
    if json:
        print_json(token)
        return
    typer.echo(token["token"])
    ends = "until it is revoked" if token["endsAt"] is None else f"until {token['endsAt']}"
    note(f"Created {token['name']}, {token['role']}, {ends}. This is the only time it is shown.")


@app.command()
def revoke(name: Name, data: DataOption = DATA, yes: YesOption = False, json: JsonOption = False) -> None:
    """Revoke a token: it lets nobody in any more."""
    with reached(data) as milonga:
        there = rows(milonga, "listTokens", {}, MOST_TOKENS).data
        if any(one["name"].casefold() == name.casefold() for one in there):
            ask(f"Revoke {name}? What uses it is refused.", yes=yes, for_good=True)
        milonga.ask("revokeToken", {"token": name})
    if json:
        print_json({"revoked": name})
        return
    typer.echo(f"Revoked {name}.")
