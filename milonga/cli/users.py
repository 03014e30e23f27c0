"""`milonga users`: who may use the console. A password is never on a command line: a one-time link asks for it."""

from typing import Annotated, Any

import typer

from milonga.api.client import rows
from milonga.cli.common import DATA, DataOption, JsonOption, YesOption, ask, note
from milonga.cli.reaching import nothing_there, reached, remote
from milonga.cli.terminal import print_json, print_rows
from milonga.workspace.roles import Role
from milonga.workspace.users import MOST_USERS

app = typer.Typer(no_args_is_help=True, help="Who may use the console.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user; an e-mail address will do.")]
RoleArgument = Annotated[Role, typer.Argument(metavar="ROLE", help="viewer, editor or administrator.")]
RoleOption = Annotated[
    Role, typer.Option("--role", metavar="ROLE", help="viewer sees, editor changes, administrator also lets people in.")
]
ConsoleOption = Annotated[
    str,
    typer.Option(
        "--console-url", envvar="MILONGA_CONSOLE_URL", metavar="URL", help="Under which people reach the console."
    ),
]
NOBODY = "There are no users. `milonga serve` prints a link for the first one, or: milonga users add NAME"
CONSOLE = "http://127.0.0.1:8081"  #: where `milonga serve` has it unless told


@app.command("list")
def list_(data: DataOption = DATA, json: JsonOption = False) -> None:
    """List the users."""
    if nothing_there(data, json=json):
        return
    with reached(data) as milonga:
        found = rows(milonga, "listUsers", {}, MOST_USERS).data
    found.sort(key=lambda row: str(row["name"]).lower())
    print_rows(("name", "role", "state", "createdAt"), found, NOBODY, json=json)


@app.command()
def add(
    name: Name,
    role: RoleOption = Role.viewer,
    console_url: ConsoleOption = CONSOLE,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Add a user. Prints a one-time link by which that one chooses a password."""
    with reached(data, create=True) as milonga:
        user = milonga.ask("createUser", body={"name": name, "role": role.value}).data
    _tell_link(user, console_url, f"Added {user['name']} as {user['role']}.", json=json)


@app.command()
def remove(name: Name, data: DataOption = DATA, yes: YesOption = False, json: JsonOption = False) -> None:
    """Remove a user, who is logged out at once."""
    with reached(data) as milonga:
        user = milonga.ask("getUser", {"user": name}).data
        ask(f"Remove {user['name']}, {user['role']}?", yes=yes, for_good=True)
        milonga.ask("removeUser", {"user": name})
    _tell({"removed": user["name"]}, f"Removed {user['name']}.", json=json)


@app.command("role")
def set_role(name: Name, role: RoleArgument, data: DataOption = DATA, json: JsonOption = False) -> None:
    """Give a user another role. Whoever is logged in must log in again."""
    with reached(data) as milonga:
        user = milonga.ask("updateUser", {"user": name}, body={"role": role.value}).data
    _tell(user, f"{user['name']} is {user['role']}.", json=json)


@app.command()
def disable(name: Name, data: DataOption = DATA, json: JsonOption = False) -> None:
    """Let a user in no more, without forgetting the user."""
    with reached(data) as milonga:
        user = milonga.ask("updateUser", {"user": name}, body={"disabled": True}).data
    _tell(user, f"{user['name']} is disabled, and logged out.", json=json)


@app.command()
def enable(name: Name, data: DataOption = DATA, json: JsonOption = False) -> None:
    """Let a user in again who was disabled."""
    with reached(data) as milonga:
        user = milonga.ask("updateUser", {"user": name}, body={"disabled": False}).data
    _tell(user, f"{user['name']} may log in again.", json=json)


@app.command()
def reset(name: Name, console_url: ConsoleOption = CONSOLE, data: DataOption = DATA, json: JsonOption = False) -> None:
    """Print a one-time link by which a user chooses another password. The present one is good until then."""
    with reached(data) as milonga:
        user = milonga.ask("createUserLink", {"user": name}).data
    _tell_link(user, console_url, f"A link for {user['name']}.", json=json)


def _tell(row: dict[str, Any], words: str, *, json: bool) -> None:
    if json:
        print_json(row)
    else:
        typer.echo(words)


def _tell_link(user: dict[str, Any], console_url: str, words: str, *, json: bool) -> None:
    server = remote()
    at = server.url if server is not None and console_url == CONSOLE else console_url.rstrip("/")
    link = f"{at}{user['path']}"
    if json:
        print_json({name: user[name] for name in ("name", "role", "state", "createdAt")} | {"link": link})
        return
    typer.echo(words)
    typer.echo(f"  {link}")
    note(
        f"Whoever opens it first chooses the password. It is good once, for {user['minutes']} minutes, while "
        "`milonga serve` runs."
    )
