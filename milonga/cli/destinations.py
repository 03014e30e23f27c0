"""`milonga destinations`: where events go, with which settings, and whether they do."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from milonga.cli import filters, giving, showing
from milonga.cli.common import (
    DATA,
    IN_FORCE,
    NO_SERVER,
    DataOption,
    JsonOption,
    UnusedDataOption,
    YesOption,
    ask,
    facts_of,
    fail,
    note,
    nothing_yet,
    opened,
    told,
)
from milonga.cli.disk import tell_disk
from milonga.cli.terminal import Column, clean, many, print_json, print_table
from milonga.destinations.contract import Destination
from milonga.facts.destinations import as_row, declared, details, lacks, place_called
from milonga.facts.directory import log_end
from milonga.facts.facts import Facts, waiting_events
from milonga.facts.probing import tested
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.model import DestinationState
from milonga.workspace.rows import kind_named
from milonga.workspace.settings import UNSET, by_names, changed, fields_of, missing
from milonga.workspace.store import Workspace, registered

app = typer.Typer(no_args_is_help=True, help="Where events go, with which settings, and whether they do.")
app.add_typer(filters.app, name="filters")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the destination.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting; again for more. A secret also as KEY=@FILE or KEY=-."),
]
NewKey = Annotated[
    bool, typer.Option("--new-key", help="The key that sealed the secrets is lost for good: seal with another.")
]


@app.command()
def add(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="See `milonga destinations kinds`.")],
    source: Annotated[str, typer.Option("--source", metavar="NAME", help="Source whose events it gets.")],
    name: Annotated[str | None, typer.Option("--name", help="Its name; the kind unless given.")] = None,
    settings: Set = None,
    off: Annotated[bool, typer.Option("--off", help="Leave it switched off.")] = False,
    new_key: NewKey = False,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Add a destination and switch it on. It gets the events that arrive from now on."""
    pairs = giving.pairs(settings or ())
    state = DestinationState.off if off else DestinationState.on
    name = name or kind
    with opened(data) as workspace:
        of = workspace.kinds.get(kind)
        given = giving.from_elsewhere(of, pairs)
        if of is not None and not off and _could_be_added(workspace, of, source, name, given):
            for field in giving.lacking(of, given, all_=True):
                giving.refuse_without(field, f"Give it: --set {field.name}=... Or add it switched off, with --off.")
        workspace.add_destination(kind, source, name, given, state, log_end(data), new_key=new_key)
        giving.warn_of_odd(of, given)
        _tell(data, workspace, name, f"Added {name} for source {source}.", json=json)


@app.command("list")
def list_(
    all_: Annotated[bool, typer.Option("--all", help="Removed ones too.")] = False,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """List the destinations and how they stand."""
    if nothing_yet(data):
        if json:
            print_json([])
        return
    with facts_of(data) as facts:
        found = [as_row(facts, place) for place in facts.places if all_ or place.removed_at is None]
        removed = sum(place.removed_at is not None for place in facts.places)
    if json:
        print_json(found)
        return
    if found:
        showing.print_list(found)
    else:
        typer.echo("There are no destinations. Add one: milonga destinations add KIND --source NAME")
    if removed and not all_:
        note(f"{removed:,} removed: --all shows them too.")
    if not facts.server_runs:
        note(f"{NO_SERVER}: nothing is taken in or sent. Start it: `milonga serve`.")
    tell_disk(data)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the destination; of a removed one also its id.")],
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """One destination: its state and why, how it fares, its settings (secrets as ***), its history."""
    with facts_of(data) as facts:
        place = place_called(facts, name)
        told_ = details(facts, place)
    if json:
        print_json(told_)
    else:
        showing.print_details(told_, place.config.settings)
        if not facts.server_runs and place.removed_at is None:
            note(f"{NO_SERVER}: nothing is taken in or sent. Start it: `milonga serve`.")
    for other in facts.places:
        if other.removed_at is not None and other.config.name == name and other is not place:
            note(f"A destination of this name was removed: milonga destinations show {other.config.id}")


@app.command("set")
def set_(
    name: Name,
    values: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Settings to change.")] = None,
    settings: Set = None,
    unset: Annotated[list[str] | None, typer.Option("--unset", metavar="KEY", help="Back to its default.")] = None,
    new_key: NewKey = False,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Change settings. A destination that was paused because of its settings goes on."""
    pairs = giving.pairs([*(values or ()), *(settings or ())])
    if not pairs and not unset:
        raise typer.BadParameter("Name at least one setting: --set key=value")
    with opened(data) as workspace:
        before = workspace.destination(name)
        of = kind_named(workspace.kinds, before.kind, name)
        changes = giving.from_elsewhere(of, pairs) | dict.fromkeys(unset or (), UNSET)
        for field in giving.lacking(of, changes, all_=False) if before.state is not DestinationState.off else ():
            giving.refuse_without(field, f"Switch it off first: milonga destinations disable {name}")
        after = workspace.set_settings(name, changes, log_end(data), new_key=new_key)
        giving.warn_of_odd(of, changes)
        what = "These are its settings already."
        if after.settings_version != before.settings_version:
            what = f"Settings of {name}: version {after.settings_version}."
        _tell(data, workspace, name, what, json=json, moved=after != before)


@app.command()
def undo(
    name: Name,
    to: Annotated[
        int | None, typer.Option("--to", metavar="VERSION", help="An earlier version; the one before now unless given.")
    ] = None,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Go back to earlier settings, secrets included, as a new version. Said again, it takes itself back."""
    with opened(data) as workspace:
        before = workspace.destination(name)
        version = before.settings_version - 1 if to is None else to
        if before.state is not DestinationState.off and 0 < version <= before.settings_version:
            for field in missing(workspace.settings_at(before.id, version)):
                giving.refuse_without(field, f"Switch it off first: milonga destinations disable {name}")
        undone = workspace.revert_settings(name, to, log_end(data))
        after = undone.config
        what = "These are its settings already."
        if after.settings_version != before.settings_version:
            what = f"Settings of {name}: version {after.settings_version}, as version {version}."
        _tell(data, workspace, name, what, json=json, moved=after != before)
        for lost in undone.lost:
            note(
                f"{lost} of that version cannot be read any more and is as before. If it was another, give it again: "
                f"milonga destinations set {name} --set {lost}=..."
            )


@app.command("test")
def try_connection(
    name: Name,
    values: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Settings to test with; they are not stored.")
    ] = None,
    allow_private: Annotated[
        bool,
        typer.Option("--allow-private-destinations", help="As of `milonga serve`: private and loopback addresses too."),
    ] = False,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Test the connection: address, TLS, certificate. Sends nothing. Exit 1 if it cannot be reached."""
    pairs = giving.pairs(values or ())
    with opened(data) as workspace:
        config = workspace.destination(name)
        given = giving.from_elsewhere(workspace.kinds.get(config.kind), pairs)
        found = tested(workspace, config, given, allow_private=allow_private)
    if json:
        print_json(found)
    else:
        typer.echo(clean(" ".join(found[said] for said in ("says", "toDo", "unproven") if found[said])))
    if not found["reached"]:
        raise typer.Exit(1)


@app.command()
def enable(name: Name, data: DataOption = DATA, json: JsonOption = False) -> None:
    """Switch a destination on. From off it begins with the events that arrive from now on."""
    with opened(data) as workspace:
        config = workspace.destination(name)
        for field in lacks(workspace, config) if config.state is DestinationState.off else ():
            giving.refuse_without(field, f"Set it first: milonga destinations set {name} --set {field.name}=...")
    _change(data, name, DestinationState.on, "switched on", json=json)


@app.command()
def disable(name: Name, data: DataOption = DATA, yes: YesOption = False, json: JsonOption = False) -> None:
    """Switch a destination off. Events that wait for it are recorded as skipped."""
    with facts_of(data) as facts:
        config = facts.workspace.destination(name)
        if config.state is not DestinationState.off:
            if count := _waiting(data, facts, config.id):
                note(f"{count} will be recorded as skipped (destination_off).")
            ask(f"Switch {name} off?", yes=yes)
    _change(data, name, DestinationState.off, "switched off", json=json)


@app.command()
def pause(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever wonders later.")] = "paused by hand",
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Stop sending, but keep what arrives until it is resumed."""
    with opened(data) as workspace:
        if workspace.destination(name).state is DestinationState.off:
            fail(f"{name} is off, so nothing waits for it. Switch it on first: milonga destinations enable {name}")
    _change(data, name, DestinationState.paused, reason, json=json)


@app.command()
def resume(name: Name, data: DataOption = DATA, json: JsonOption = False) -> None:
    """Go on after a pause, with what has waited first."""
    with opened(data) as workspace:
        if workspace.destination(name).state is DestinationState.off:
            fail(f"{name} is off, not paused. Switch it on with: milonga destinations enable {name}")
    _change(data, name, DestinationState.on, "resumed", json=json)


@app.command()
def remove(name: Name, data: DataOption = DATA, yes: YesOption = False, json: JsonOption = False) -> None:
    """Remove a destination, its secrets and its dead letters. What waits for it is not sent."""
    with facts_of(data) as facts:
        config = facts.workspace.destination(name)
        letters = 0 if facts.delivery is None else facts.delivery.dead_count(config.id)
        if count := _waiting(data, facts, config.id):
            note(f"{count} will never be sent there.")
        if letters:
            going = "1 dead letter goes" if letters == 1 else f"{letters:,} dead letters go"
            note(f"{going} with it: `milonga dead list -d {name}` shows what that is.")
        ask(f"Remove {name}, its settings and its dead letters?", yes=yes, for_good=True)
        facts.workspace.remove_destination(config.id, log_end(data))
    if json:
        print_json({"removed": name, "id": config.id, "deadLetters": letters})
        return
    typer.echo(f"Removed {name}. What became of its events stays readable: milonga destinations show {config.id}")
    typer.echo(IN_FORCE)


@app.command()
def kinds(
    kind: Annotated[str | None, typer.Argument(metavar="KIND", help="One kind, with its settings.")] = None,
    data: UnusedDataOption = None,
    json: JsonOption = False,
) -> None:
    """The kinds of destination there are, or the settings of one."""
    with told():
        there = registered()
    if kind is None:
        if json:
            print_json([{"kind": one.kind, "label": one.label, "summary": one.summary} for one in there.values()])
        else:
            rows = [(one.kind, one.label, one.summary) for one in there.values()]
            print_table(("kind", "label", Column("what it is", least=20)), rows)
        return
    if kind not in there:
        fail(f"A kind {kind!r} does not exist. Kinds: {', '.join(there)}.")
    own, shared = fields_of(there[kind].settings), fields_of(DeliverySettings)
    if json:
        listed = [declared(field, "settings") for field in own]
        print_json([*listed, *(declared(field, "delivery") for field in shared)])
    else:
        showing.print_kind(own)
        typer.echo("\nDelivery settings, which every destination has:\n")
        showing.print_kind(shared)


def _could_be_added(
    workspace: Workspace, kind: Destination, source: str, name: str, given: Mapping[str, object]
) -> bool:
    """But for what is missing. If not, adding it says why; UserError if it is the settings."""
    own, shared = by_names(kind.settings, DeliverySettings, given, kind.label)
    changed(kind.settings(), own, kind.label)
    changed(DeliverySettings(), shared, kind.label)
    there = any(one.name == source for one in workspace.sources())
    return there and all(one.name != name for one in workspace.destinations())


def _change(data: Path, name: str, state: DestinationState, reason: str, *, json: bool) -> None:
    with opened(data) as workspace:
        moved = workspace.change_state(name, state, "cli", reason, log_end(data))
        _tell(data, workspace, name, "" if moved else "Nothing to change:", json=json, moved=moved)


def _tell(data: Path, workspace: Workspace, name: str, what: str, *, json: bool, moved: bool = True) -> None:
    """How it stands after a change, and what still keeps it from sending."""
    config = workspace.destination(name)
    if json:
        facts = Facts(data, workspace)
        try:
            print_json(details(facts, place_called(facts, name)))
        finally:
            facts.close()
    else:
        now = config.changes[-1]
        why = showing.because(now.reason) if now.state is DestinationState.paused else ""
        typer.echo(f"{what} {config.name} is {now.state}{why.rstrip('.')}.".strip())
        if moved:
            typer.echo(IN_FORCE)
    for field in lacks(workspace, config):
        note(
            f"{field.label} ({field.name}) is not set: until then nothing can be sent. "
            f"milonga destinations set {config.name} --set {field.name}=..."
        )


def _waiting(data: Path, facts: Facts, number: int) -> str:
    """`3 waiting events`; "" if there are none."""
    config = facts.workspace.destination(number)
    with told():
        count, exact = waiting_events(facts, config, log_end(data))
    waiting = many(count, "waiting event")
    return "" if not count else waiting if exact else f"Up to {waiting}"
