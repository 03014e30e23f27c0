"""`milonga destinations`: where events go, with which settings, and whether they do."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final

import typer

from milonga.api.client import Answer, Reach, rows
from milonga.api.problem import Problem
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
    fail,
    note,
)
from milonga.cli.options import SettingsToChange, UnsetOption
from milonga.cli.reaching import nothing_there, reached, say
from milonga.cli.terminal import Column, clean, many, print_json, print_table
from milonga.workspace.model import DestinationState

ALL: Final = 100_000  #: more destinations than anybody has

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
    name = name or kind
    with reached(data) as milonga:
        given = giving.from_elsewhere(_declared(milonga, kind), pairs)
        body = {
            "kind": kind,
            "source": source,
            "name": name,
            "settings": given,
            "state": "off" if off else "on",
            "newKey": new_key,
        }
        try:
            answer = milonga.ask("createDestination", body=body)
        except Problem as problem:
            _lacks(problem, "Give it: --set NAME=... Or add it switched off, with --off.")
            raise
    _tell(answer, f"Added {name} for source {source}.", json=json)


@app.command("list")
def list_(
    all_: Annotated[bool, typer.Option("--all", help="Removed ones too.")] = False,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """List the destinations and how they stand."""
    if nothing_there(data, json=json):
        return
    with reached(data) as milonga:
        answer = rows(milonga, "listDestinations", {"removed": all_ or None}, ALL)
        health = milonga.ask("getHealth")
    if json:
        print_json(answer.data)
        return
    if answer.data:
        showing.print_list(answer.data)
    else:
        typer.echo("There are no destinations. Add one: milonga destinations add KIND --source NAME")
    say(answer)
    if not health.data["serverRunning"]:
        note(f"{NO_SERVER}: nothing is taken in or sent. Start it: `milonga serve`.")
    say(health)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the destination; of a removed one also its id.")],
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """One destination: its state and why, how it fares, its settings (secrets as ***), its history."""
    with reached(data) as milonga:
        answer = milonga.ask("getDestination", {"destination": name})
        one = answer.data
        settings = [] if json else _declared(milonga, one["kind"])
    if json:
        print_json(one)
    else:
        showing.print_details(one, settings)
        if not one["serverRunning"] and one["removedAt"] is None:
            note(f"{NO_SERVER}: nothing is taken in or sent. Start it: `milonga serve`.")
    say(answer)


@app.command("set")
def set_(
    name: Name,
    values: SettingsToChange = None,
    settings: Set = None,
    unset: UnsetOption = None,
    new_key: NewKey = False,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Change settings. A destination that was paused because of its settings goes on."""
    pairs = giving.pairs([*(values or ()), *(settings or ())])
    if not pairs and not unset:
        raise typer.BadParameter("Name at least one setting: --set key=value")
    with reached(data) as milonga:
        before = milonga.ask("getDestination", {"destination": name}).data
        changes = giving.from_elsewhere(_declared(milonga, before["kind"]), pairs) | dict.fromkeys(unset or ())
        try:
            body = {"settings": changes, "newKey": new_key}
            answer = milonga.ask("updateDestination", {"destination": name}, body=body)
        except Problem as problem:
            _lacks(problem, f"Switch it off first: milonga destinations disable {name}")
            raise
    what = "These are its settings already."
    if answer.data["settingsVersion"] != before["settingsVersion"]:
        what = f"Settings of {name}: version {answer.data['settingsVersion']}."
    _tell(answer, what, json=json, moved=_moved(before, answer.data))


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
    with reached(data) as milonga:
        before = milonga.ask("getDestination", {"destination": name}).data
        version = before["settingsVersion"] - 1 if to is None else to
        try:
            answer = milonga.ask("undoSettings", {"destination": name}, body={"to": to})
        except Problem as problem:
            _lacks(problem, f"Switch it off first: milonga destinations disable {name}")
            raise
    what = "These are its settings already."
    if answer.data["settingsVersion"] != before["settingsVersion"]:
        what = f"Settings of {name}: version {answer.data['settingsVersion']}, as version {version}."
    _tell(answer, what, json=json, moved=_moved(before, answer.data))


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
    with reached(data, allow_private=allow_private) as milonga:
        kind = milonga.ask("getDestination", {"destination": name}).data["kind"]
        given = giving.from_elsewhere(_declared(milonga, kind), pairs)
        found = milonga.ask("testConnection", {"destination": name}, body={"settings": given}).data
    if json:
        print_json(found)
    else:
        typer.echo(clean(" ".join(found[said] for said in ("says", "toDo", "unproven") if found[said])))
    if not found["reached"]:
        raise typer.Exit(1)


@app.command()
def enable(name: Name, data: DataOption = DATA, json: JsonOption = False) -> None:
    """Switch a destination on. From off it begins with the events that arrive from now on."""
    with reached(data) as milonga:
        try:
            _change(milonga, name, DestinationState.on, "switched on", json=json)
        except Problem as problem:
            _lacks(problem, f"Set it first: milonga destinations set {name} --set NAME=...")
            raise


@app.command()
def disable(name: Name, data: DataOption = DATA, yes: YesOption = False, json: JsonOption = False) -> None:
    """Switch a destination off. Events that wait for it are recorded as skipped."""
    with reached(data) as milonga:
        if _state(milonga, name) is not DestinationState.off:
            if count := _waiting(milonga, name):
                note(f"{count} will be recorded as skipped (destination_off).")
            ask(f"Switch {name} off?", yes=yes)
        _change(milonga, name, DestinationState.off, "switched off", json=json)


@app.command()
def pause(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever wonders later.")] = "paused by hand",
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Stop sending, but keep what arrives until it is resumed."""
    with reached(data) as milonga:
        _change(milonga, name, DestinationState.paused, reason, json=json)


@app.command()
def resume(name: Name, data: DataOption = DATA, json: JsonOption = False) -> None:
    """Go on after a pause, with what has waited first."""
    with reached(data) as milonga:
        if _state(milonga, name) is DestinationState.off:
            fail(f"{name} is off, not paused. Switch it on with: milonga destinations enable {name}")
        _change(milonga, name, DestinationState.on, "resumed", json=json)


@app.command()
def remove(name: Name, data: DataOption = DATA, yes: YesOption = False, json: JsonOption = False) -> None:
    """Remove a destination, its secrets and its dead letters. What waits for it is not sent."""
    with reached(data) as milonga:
        if count := _waiting(milonga, name):
            note(f"{count} will never be sent there.")
        if letters := milonga.ask("getDestination", {"destination": name}).data["deadLetters"]:
            going = "1 dead letter goes" if letters == 1 else f"{letters:,} dead letters go"
            note(f"{going} with it: `milonga dead list -d {name}` shows what that is.")
        ask(f"Remove {name}, its settings and its dead letters?", yes=yes, for_good=True)
        gone = milonga.ask("removeDestination", {"destination": name}).data
    if json:
        print_json(gone)
        return
    typer.echo(f"Removed {name}. What became of its events stays readable: milonga destinations show {gone['id']}")
    typer.echo(IN_FORCE)


@app.command()
def kinds(
    kind: Annotated[str | None, typer.Argument(metavar="KIND", help="One kind, with its settings.")] = None,
    data: UnusedDataOption = None,
    json: JsonOption = False,
) -> None:
    """The kinds of destination there are, or the settings of one."""
    with reached(data) as milonga:
        if kind is None:
            there = rows(milonga, "listDestinationKinds", {}, ALL).data
        else:
            settings = milonga.ask("getDestinationKind", {"kind": kind}).data["settings"]
    if kind is None:
        if json:
            print_json([{name: one[name] for name in ("kind", "label", "summary")} for one in there])
        else:
            table = [(one["kind"], one["label"], one["summary"]) for one in there]
            print_table(("kind", "label", Column("what it is", least=20)), table)
    elif json:
        print_json(settings)
    else:
        showing.print_kind([one for one in settings if one["group"] == "settings"])
        typer.echo("\nDelivery settings, which every destination has:\n")
        showing.print_kind([one for one in settings if one["group"] == "delivery"])


def _declared(milonga: Reach, kind: str) -> list[dict[str, Any]]:
    """The settings of a kind; none if there is no such kind: whoever is told to use it says so."""
    try:
        found: list[dict[str, Any]] = milonga.ask("getDestinationKind", {"kind": kind}).data["settings"]
    except Problem as problem:
        if problem.status != HTTPStatus.NOT_FOUND:
            raise
        return []
    return found


def _lacks(problem: Problem, how: str) -> None:
    """how  to go on if a required setting is empty"""
    if problem.code == "missing_setting":
        giving.refuse_without(problem, how)


def _state(milonga: Reach, name: str) -> DestinationState:
    return DestinationState(milonga.ask("countWaiting", {"destination": name}).data["state"])


def _change(milonga: Reach, name: str, state: DestinationState, reason: str, *, json: bool) -> None:
    before = milonga.ask("getDestination", {"destination": name}).data
    body = {"state": state.value, "reason": reason}
    answer = milonga.ask("updateDestination", {"destination": name}, body=body)
    moved = _moved(before, answer.data)
    _tell(answer, "" if moved else "Nothing to change:", json=json, moved=moved)


def _moved(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    newest = [one["history"][-1:] for one in (before, after)]
    return newest[0] != newest[1] or len(before["history"]) != len(after["history"])


def _tell(answer: Answer, what: str, *, json: bool, moved: bool = True) -> None:
    """How it stands after a change, and what still keeps it from sending."""
    one = answer.data
    if json:
        print_json(one)
    else:
        why = showing.because(one["reason"]) if one["state"] == DestinationState.paused.value else ""
        typer.echo(f"{what} {one['name']} is {one['state']}{why.rstrip('.')}.".strip())
        if moved:
            typer.echo(IN_FORCE)
    say(answer)


def _waiting(milonga: Reach, name: str) -> str:
    """`3 waiting events`; "" if there are none."""
    found = milonga.ask("countWaiting", {"destination": name}).data
    waiting = many(found["waiting"], "waiting event")
    return "" if not found["waiting"] else waiting if found["exact"] else f"Up to {waiting}"
