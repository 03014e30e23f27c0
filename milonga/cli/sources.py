"""`milonga sources`: where events come from, the write keys that let them in, and what senders are set up with."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from milonga.cli import giving, keys
from milonga.cli.common import DATA, IN_FORCE, DataOption, JsonOption, YesOption, ask, fail, note, nothing_yet, opened
from milonga.cli.keys import Name, NewKey
from milonga.cli.showing import WIDTH, text
from milonga.cli.terminal import clean, print_json, print_table
from milonga.collector.cdn.assets import NotBuilt
from milonga.facts import setup
from milonga.facts.keys import key_warnings
from milonga.facts.sources import as_row
from milonga.workspace.model import Source
from milonga.workspace.settings import UNSET, fields_of

app = typer.Typer(no_args_is_help=True, help="Where events come from, and the write keys that let them in.")
app.add_typer(keys.app, name="keys")

OfKeys = Annotated[str | None, typer.Option("--write-key", metavar="KEY", help="This one of several.")]
Host = Annotated[
    str, typer.Option("--host", metavar="URL", help="Under which senders reach this Milonga, as https://HOST.")
]
LOCAL = "http://127.0.0.1:8080"  #: where `milonga serve` listens unless told


@app.command()
def add(name: Name, write_key: NewKey = None, data: DataOption = DATA, json: JsonOption = False) -> None:
    """Add a source. Prints its write key."""
    with opened(data, create=True) as workspace:
        source = workspace.add_source(name, write_key)
    if json:
        print_json(as_row(source, ()))
        return
    typer.echo(f"Added source {name}. Its write key: {source.write_keys[0]}")
    typer.echo(IN_FORCE)
    typer.echo(
        f"What to paste: `milonga sources snippet {name}` for a web site, `milonga sources setup {name}` for servers, "
        "phones and pixels."
    )


@app.command("list")
def list_(data: DataOption = DATA, json: JsonOption = False) -> None:
    """List the sources with their write keys."""
    if nothing_yet(data):
        if json:
            print_json([])
        return
    with opened(data) as workspace:
        destinations = workspace.destinations()
        sources = workspace.sources()
        warnings = [said for one in sources for said in key_warnings(one.name, workspace.write_keys.of(one.name))]
    rows = [as_row(source, destinations) for source in sources]
    if json:
        print_json(rows)
    elif rows:
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
                for one in rows
            ],
        )
    else:
        typer.echo("There are no sources. Add one: milonga sources add NAME")
    _warn(*sources)
    for said in warnings:
        note(said)


@app.command()
def show(name: Name, data: DataOption = DATA, json: JsonOption = False) -> None:
    """One source: its write keys, its destinations, its settings and what they mean."""
    with opened(data) as workspace:
        source = workspace.source(name)
        one = as_row(source, workspace.destinations())
        warnings = key_warnings(name, workspace.write_keys.of(name))
    if json:
        print_json(one)
    else:
        typer.echo(f"{name} is {'on' if source.settings.enabled else 'off'}")
        typer.echo(f"write keys    {', '.join(one['writeKeys'])}")
        typer.echo(f"destinations  {', '.join(one['destinations']) or '-'}")
        typer.echo(f"added         {one['createdAt']}")
        for field in fields_of(type(source.settings)):
            now, default = text(one["settings"][field.name]), text(msgspec.to_builtins(field.default))
            typer.echo(f"\n{field.name}: {clean(now)}")
            typer.echo(f"  {field.label} ({field.kind}; default: {default})")
            for line in textwrap.wrap(field.help, WIDTH, break_long_words=False, break_on_hyphens=False):
                typer.echo(f"  {line}")
    _warn(source)
    for said in warnings:
        note(said)


@app.command("set")
def set_(
    name: Name,
    values: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Settings to change.")] = None,
    unset: Annotated[list[str] | None, typer.Option("--unset", metavar="KEY", help="Back to its default.")] = None,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Change settings, such as which web sites may send. `milonga sources show NAME` lists them."""
    changes = giving.pairs(values or ()) | dict.fromkeys(unset or (), UNSET)
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
    with opened(data) as workspace:
        if workspace.source(name).settings.enabled:
            ask(f"Switch {name} off? What it is sent meanwhile is lost.", yes=yes)
    _change(data, name, {"enabled": False}, "{name} takes no events: they are counted as source_disabled.", json=json)


@app.command()
def remove(name: Name, data: DataOption = DATA, yes: YesOption = False, json: JsonOption = False) -> None:
    """Remove a source: its write keys let nobody in any more. Events that arrived stay."""
    with opened(data) as workspace:
        source = next((one for one in workspace.sources() if one.name == name), None)
        if source is not None and not any(one.source == source.id for one in workspace.destinations()):
            ask(f"Remove source {name} and its write keys?", yes=yes, for_good=True)
        workspace.remove_source(name)
    if json:
        print_json({"removed": name})
        return
    typer.echo(f"Removed source {name}. Calls with its write keys are refused. {IN_FORCE}")


@app.command()
def snippet(
    name: Name,
    host: Host = LOCAL,
    npm: Annotated[bool, typer.Option("--npm", help="For a site that bundles the SDK from npm.")] = False,
    write_key: OfKeys = None,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Print what a web site needs: Segment's own snippet with this host, for the head of every page."""
    with opened(data) as workspace:
        key = _chosen(workspace.source(name), write_key)
        at = setup.address_of(host)
        try:
            text = setup.npm(key, at) if npm else setup.snippet(key, at)
        except NotBuilt as error:
            fail(str(error))
    if json:
        print_json({"source": name, "writeKey": key, "host": at.url, "npm" if npm else "snippet": text})
    else:
        typer.echo(text)
    if host == LOCAL:
        note(f"For a browser on this machine. For others: milonga sources snippet {name} --host https://YOUR_HOST")
    elif not at.secure:
        note(
            "Segment's snippet loads by https only; this one says http in its place. Pages that are served by https "
            "themselves load nothing by http, so a site in use needs TLS: docs/operate.md."
        )


@app.command("setup")
def setup_(
    name: Name, host: Host = LOCAL, write_key: OfKeys = None, data: DataOption = DATA, json: JsonOption = False
) -> None:
    """Print how servers, phones and pixels are set up: Segment's SDKs, with this host."""
    with opened(data) as workspace:
        key = _chosen(workspace.source(name), write_key)
        at = setup.address_of(host)
    found = setup.sdks(key, at)
    if json:
        print_json([{"sdk": one.sdk, "text": one.text, "httpsOnly": one.tls} for one in found])
        return
    for one in found:
        typer.echo(f"{one.sdk}{' (https only)' if one.tls and not at.secure else ''}\n  {one.text}\n")
    typer.echo(f"Browsers: milonga sources snippet {name} --host {at.url}\n")
    if not at.secure:
        note("Most phones, Ruby and PHP speak https only: docs/operate.md says how to serve it.")
    typer.echo(setup.ACCOUNT)


def _change(data: Path, name: str, changes: Mapping[str, object], what: str, *, json: bool) -> None:
    with opened(data) as workspace:
        before = workspace.source(name)
        after = workspace.set_source(name, changes)
        destinations = workspace.destinations()
    if json:
        print_json(as_row(after, destinations))
    elif after == before:
        typer.echo(f"Nothing to change: these are the settings of {name} already.")
    else:
        typer.echo(f"{what.format(name=name)} {IN_FORCE}")


def _chosen(source: Source, write_key: str | None) -> str:
    """The newest, unless one is named: the older ones are those to be given up."""
    if write_key is not None and write_key not in source.write_keys:
        fail(f"Source {source.name} has no such write key. See `milonga sources show {source.name}`.")
    if not source.write_keys:
        fail(f"Source {source.name} has no write key. Add one: milonga sources keys add {source.name}")
    key = write_key or source.write_keys[-1]
    setup.check_key(key)
    return key


def _warn(*sources: Source) -> None:
    for one in sources:
        if one.trouble:
            note(clean(f"{one.trouble} To mend it, set anything: milonga sources set {one.name} KEY=VALUE"))
