"""`milonga sources`: where events come from, the write keys that let them in, and what senders are set up with."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from milonga.api.client import Answer, rows
from milonga.cli import giving, keys
from milonga.cli.common import DATA, IN_FORCE, DataOption, JsonOption, YesOption, ask, fail, note
from milonga.cli.keys import Name, NewKey
from milonga.cli.options import SettingsToChange, UnsetOption
from milonga.cli.reaching import nothing_there, reached, remote, say
from milonga.cli.showing import WIDTH, text
from milonga.cli.terminal import clean, print_json, print_table
from milonga.facts import setup
from milonga.workspace.fields import fields_of
from milonga.workspace.model import SourceSettings

ALL: Final = 100_000  #: more sources than anybody has

app = typer.Typer(no_args_is_help=True, help="Where events come from, and the write keys that let them in.")
app.add_typer(keys.app, name="keys")

OfKeys = Annotated[str | None, typer.Option("--write-key", metavar="KEY", help="This one of several.")]
Host = Annotated[
    str | None,
    typer.Option(
        "--host", metavar="URL", help="Under which senders reach this Milonga, as https://HOST; its own unless given."
    ),
]
HERE: Final = ("localhost", "127.0.0.1", "[::1]", "0.0.0.0", "[::]")  # noqa: S104 - nothing is bound to it
"""Under these a server is reached from its own machine alone."""
TLS: Final = "Serve it with `milonga serve --tls-cert FILE --tls-key FILE`, or by a proxy in front of it."


@app.command()
def add(name: Name, write_key: NewKey = None, data: DataOption = DATA, json: JsonOption = False) -> None:
    """Add a source. Prints its write key."""
    with reached(data, create=True) as milonga:
        source = milonga.ask("createSource", body={"name": name, "writeKey": write_key}).data
    if json:
        print_json(source)
        return
    typer.echo(f"Added source {name}. Its write key: {source['writeKeys'][0]}")
    typer.echo(IN_FORCE)
    typer.echo(
        f"What to paste: `milonga sources snippet {name}` for a web site, `milonga sources setup {name}` for servers, "
        "phones and pixels."
    )


@app.command("list")
def list_(data: DataOption = DATA, json: JsonOption = False) -> None:
    """List the sources with their write keys."""
    if nothing_there(data, json=json):
        return
    with reached(data) as milonga:
        answer = rows(milonga, "listSources", {}, ALL)
    if json:
        print_json(answer.data)
    elif answer.data:
        print_table(
            ("name", "state", "write key", "destinations", "added"),
            [
                (
                    one["name"],
                    "on" if one["settings"]["enabled"] else "off",
                    ", ".join(one["writeKeys"]),
                    ", ".join(one["destinations"]) or "-",
                    one["createdAt"],
                )
                for one in answer.data
            ],
        )
    else:
        typer.echo("There are no sources. Add one: milonga sources add NAME")
    say(answer)


@app.command()
def show(name: Name, data: DataOption = DATA, json: JsonOption = False) -> None:
    """One source: its write keys, its destinations, its settings and what they mean."""
    with reached(data) as milonga:
        answer = milonga.ask("getSource", {"source": name})
    one = answer.data
    if json:
        print_json(one)
    else:
        typer.echo(f"{name} is {'on' if one['settings']['enabled'] else 'off'}")
        typer.echo(f"write keys    {', '.join(one['writeKeys'])}")
        typer.echo(f"destinations  {', '.join(one['destinations']) or '-'}")
        typer.echo(f"added         {one['createdAt']}")
        for field in fields_of(SourceSettings):
            now, default = text(one["settings"][field.name]), text(msgspec.to_builtins(field.default))
            typer.echo(f"\n{field.name}: {clean(now)}")
            typer.echo(f"  {field.label} ({field.kind}; default: {default})")
            for line in textwrap.wrap(field.help, WIDTH, break_long_words=False, break_on_hyphens=False):
                typer.echo(f"  {line}")
    say(answer)


@app.command("set")
def set_(
    name: Name,
    values: SettingsToChange = None,
    unset: UnsetOption = None,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Change settings, such as which web sites may send. `milonga sources show NAME` lists them."""
    changes = giving.pairs(values or ()) | dict.fromkeys(unset or ())
    if not changes:
        raise typer.BadParameter("Name at least one setting: key=value")
    _change(data, name, changes, "Settings of {name} are changed.", json=json)


@app.command()
def enable(name: Name, data: DataOption = DATA, json: JsonOption = False) -> None:
    """Take events again."""
    _change(data, name, {"enabled": True}, "{name} takes events.", json=json)


@app.command()
def disable(name: Name, data: DataOption = DATA, yes: YesOption = False, json: JsonOption = False) -> None:
    """Take no events: senders hear that all is well, and what they send is counted, not kept."""
    with reached(data) as milonga:
        if milonga.ask("getSource", {"source": name}).data["settings"]["enabled"]:
            ask(f"Switch {name} off? What it is sent meanwhile is lost.", yes=yes)
    _change(data, name, {"enabled": False}, "{name} takes no events: they are counted as source_disabled.", json=json)


@app.command()
def remove(name: Name, data: DataOption = DATA, yes: YesOption = False, json: JsonOption = False) -> None:
    """Remove a source: its write keys let nobody in any more. Events that arrived stay."""
    with reached(data) as milonga:
        if not milonga.ask("getSource", {"source": name}).data["destinations"]:
            ask(f"Remove source {name} and its write keys?", yes=yes, for_good=True)
        milonga.ask("removeSource", {"source": name})
    if json:
        print_json({"removed": name})
        return
    typer.echo(f"Removed source {name}. Calls with its write keys are refused. {IN_FORCE}")


@app.command()
def snippet(
    name: Name,
    host: Host = None,
    npm: Annotated[bool, typer.Option("--npm", help="For a site that bundles the SDK from npm.")] = False,
    write_key: OfKeys = None,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Print what a web site needs: Segment's own snippet with this host, for the head of every page."""
    found = _set_up(data, name, host, write_key)
    what = "npm" if npm else "snippet"
    if found.data[what] is None:
        fail(" ".join(found.notes))
    if json:
        print_json({one: found.data[one] for one in ("source", "writeKey", "host", what)})
    else:
        typer.echo(found.data[what])
    if host is None and _is_here(found):
        where = "on this machine" if remote() is None else "on the machine of the server"
        note(f"For a browser {where}. For others: milonga sources snippet {name} --host https://YOUR_HOST")
    elif not _is_secure(found):
        note(
            "Segment's snippet loads by https only; this one says http in its place. Pages that are served by https "
            f"themselves load nothing by http, so a site in use needs TLS. {TLS}"
        )


@app.command("setup")
def setup_(
    name: Name, host: Host = None, write_key: OfKeys = None, data: DataOption = DATA, json: JsonOption = False
) -> None:
    """Print how servers, phones and pixels are set up: Segment's SDKs, with this host."""
    found = _set_up(data, name, host, write_key)
    secure = _is_secure(found)
    if json:
        print_json(found.data["sdks"])
        return
    for one in found.data["sdks"]:
        typer.echo(f"{one['sdk']}{' (https only)' if one['httpsOnly'] and not secure else ''}\n  {one['text']}\n")
    typer.echo(f"Browsers: milonga sources snippet {name} --host {found.data['host']}\n")
    if host is None and remote() is not None and _is_here(found):
        note(
            f"That is where the server listens. Do senders reach it elsewhere? milonga sources setup {name} --host URL"
        )
    if not secure:
        note(f"Most phones, Ruby and PHP speak https only. {TLS}")
    typer.echo(setup.ACCOUNT)


def _change(data: Path, name: str, changes: Mapping[str, object], what: str, *, json: bool) -> None:
    with reached(data) as milonga:
        before = milonga.ask("getSource", {"source": name}).data
        after = milonga.ask("updateSource", {"source": name}, body={"settings": dict(changes)}).data
    if json:
        print_json(after)
    elif after == before:
        typer.echo(f"Nothing to change: these are the settings of {name} already.")
    else:
        typer.echo(f"{what.format(name=name)} {IN_FORCE}")


def _set_up(data: Path, name: str, host: str | None, write_key: str | None) -> Answer:
    with reached(data) as milonga:
        return milonga.ask("getSourceSetup", {"source": name}, {"host": host, "writeKey": write_key})


def _is_here(set_up: Answer) -> bool:
    host = str(set_up.data["host"]).partition("://")[2]
    return any(host == one or host.startswith(f"{one}:") for one in HERE)


def _is_secure(set_up: Answer) -> bool:
    return str(set_up.data["host"]).startswith("https://")
