"""`milonga users`: who may use the console. A password is never on a command line: a one-time link asks for it."""

from typing import Annotated, Any

import typer

from milonga.cli.common import DATA, DataOption, JsonOption, YesOption, ask, note, nothing_yet, opened
from milonga.cli.terminal import print_json, print_table
from milonga.outcomes.words import instant
from milonga.workspace.people import User
from milonga.workspace.roles import Role

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
CONSOLE = "http://127.0.0.1:8081"  #: where `milonga serve` has it unless told


@app.command("list")
def list_(data: DataOption = DATA, json: JsonOption = False) -> None:
    """List the users."""
    if nothing_yet(data):
        if json:
            print_json([])
        return
    with opened(data) as workspace:
        rows = [_row(user) for user in workspace.users.all()]
    if json:
        print_json(rows)
    elif rows:
        columns = ("name", "role", "state", "createdAt")
        print_table(columns, [[row[column] for column in columns] for row in rows])
    else:
        typer.echo("There are no users. `milonga serve` prints a link for the first one, or: milonga users add NAME")


@app.command()
def add(
    name: Name,
    role: RoleOption = Role.viewer,
    console_url: ConsoleOption = CONSOLE,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Add a user. Prints a one-time link by which that one chooses a password."""
    with opened(data, create=True) as workspace:
        user, secret = workspace.users.add(name, role)
    _tell_link(user, secret, console_url, f"Added {user.name} as {user.role}.", json=json)


@app.command()
def remove(name: Name, data: DataOption = DATA, yes: YesOption = False, json: JsonOption = False) -> None:
    """Remove a user, who is signed out at once."""
    with opened(data) as workspace:
        user = workspace.users.named(name)
        ask(f"Remove {user.name}, {user.role}?", yes=yes, for_good=True)
        workspace.users.remove(name)
    _tell({"removed": user.name}, f"Removed {user.name}.", json=json)


@app.command("role")
def set_role(name: Name, role: RoleArgument, data: DataOption = DATA, json: JsonOption = False) -> None:
    """Give a user another role. Whoever is signed in must sign in again."""
    with opened(data) as workspace:
        user = workspace.users.set_role(name, role)
    _tell(_row(user), f"{user.name} is {user.role}.", json=json)


@app.command()
def disable(name: Name, data: DataOption = DATA, json: JsonOption = False) -> None:
    """Let a user in no more, without forgetting the user."""
    with opened(data) as workspace:
        user = workspace.users.set_disabled(name, disabled=True)
    _tell(_row(user), f"{user.name} is disabled, and signed out.", json=json)


@app.command()
def enable(name: Name, data: DataOption = DATA, json: JsonOption = False) -> None:
    """Let a user in again who was disabled."""
    with opened(data) as workspace:
        user = workspace.users.set_disabled(name, disabled=False)
    _tell(_row(user), f"{user.name} may sign in again.", json=json)


@app.command()
def reset(name: Name, console_url: ConsoleOption = CONSOLE, data: DataOption = DATA, json: JsonOption = False) -> None:
    """Print a one-time link by which a user chooses another password. The present one is good until then."""
    with opened(data) as workspace:
        user, secret = workspace.users.reset(name)
    _tell_link(user, secret, console_url, f"A link for {user.name}.", json=json)


def _row(user: User) -> dict[str, Any]:
    state = "disabled" if user.disabled else "invited" if user.invited else "active"
    return {"name": user.name, "role": user.role.value, "state": state, "createdAt": instant(user.created_at)}


def _tell(row: dict[str, Any], words: str, *, json: bool) -> None:
    if json:
        print_json(row)
    else:
        typer.echo(words)


def _tell_link(user: User, secret: str, console_url: str, words: str, *, json: bool) -> None:
    link = f"{console_url.rstrip('/')}/setup/{secret}"
    if json:
        print_json(_row(user) | {"link": link})
        return
    typer.echo(words)
    typer.echo(f"  {link}")
    note("Whoever opens it first chooses the password. It is good once, for 30 minutes, while `milonga serve` runs.")
