"""`milonga destinations`: where events go, with which settings, and whether they do."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from msgspec import Struct

from milonga.cli.common import (
    DATA,
    IN_FORCE,
    DataOption,
    JsonOption,
    YesOption,
    ask,
    exists,
    fail,
    log_end,
    note,
    opened,
    print_json,
    print_table,
    told,
    when,
)
from milonga.cli.facts import waiting_events
from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationConfig, DestinationState, StateChange
from milonga.workspace.settings import UNSET, Field, fields_of, missing, shown
from milonga.workspace.store import Workspace, registered

app = typer.Typer(no_args_is_help=True, help="Where events go, with which settings, and whether they do.")

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
    pairs = _pairs(settings or ())
    state = DestinationState.off if off else DestinationState.on
    with opened(data) as workspace:
        fields = fields_of(workspace.kinds[kind].settings) if kind in workspace.kinds else ()
        changes = _from_files(fields, pairs)
        config = workspace.add_destination(kind, source, name or kind, changes, state, log_end(data), new_key=new_key)
        _tell(workspace, config, f"Added {config.name} for source {source}.", json=json)


@app.command("list")
def list_(data: DataOption = DATA, json: JsonOption = False) -> None:
    """List the destinations and how they stand."""
    if not exists(data):
        note(f"There is no workspace in {data} yet. Make one with: milonga sources add NAME")
        if json:
            print_json([])
        return
    with opened(data) as workspace:
        found = [_summary(workspace, config) for config in workspace.destinations()]
    if json:
        print_json(found)
        return
    print_table(
        ("name", "kind", "source", "state", "since", "reason"),
        [(one["name"], one["kind"], one["source"], one["state"], when(one["since"]), one["reason"]) for one in found],
    )


@app.command()
def show(name: Name, data: DataOption = DATA, json: JsonOption = False) -> None:
    """One destination: its state and why, its settings (secrets as ***), its history."""
    with opened(data) as workspace:
        config = workspace.destination(name)
        details = _details(workspace, config)
        fields = fields_of(type(config.settings))
    if json:
        print_json(details)
        return
    typer.echo(f"{config.name} ({config.kind}, id {config.id}) for source {details['source']}")
    typer.echo(f"{details['state']} since {when(details['since'])}, by {details['by']}{_because(details['reason'])}\n")
    typer.echo(f"Settings, version {config.settings_version}")
    print_table(
        ("setting", "value", "default", "what it is"),
        [(field.name, _text(details["settings"][field.name]), _text(field.default), _about(field)) for field in fields],
    )
    typer.echo("\nHistory")
    print_table(("when", "by", "what"), [(when(one["at"]), one["by"], _event(one)) for one in details["history"]])


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
    pairs = _pairs([*(values or ()), *(settings or ())])
    if not pairs and not unset:
        raise typer.BadParameter("Name at least one setting: --set key=value")
    with opened(data) as workspace:
        before = workspace.destination(name)
        changes = _from_files(fields_of(type(before.settings)), pairs) | dict.fromkeys(unset or (), UNSET)
        after = workspace.set_settings(name, changes, log_end(data), new_key=new_key)
        changed = after.settings_version != before.settings_version
        what = (
            f"Settings of {name}: version {after.settings_version}." if changed else "These are its settings already."
        )
        _tell(workspace, after, what, json=json)


@app.command()
def enable(name: Name, data: DataOption = DATA, json: JsonOption = False) -> None:
    """Switch a destination on. From off it begins with the events that arrive from now on."""
    _change(data, name, DestinationState.on, "switched on", json=json)


@app.command()
def disable(name: Name, data: DataOption = DATA, yes: YesOption = False, json: JsonOption = False) -> None:
    """Switch a destination off. Events that wait for it are recorded as skipped."""
    with opened(data) as workspace:
        config = workspace.destination(name)
    if config.state is not DestinationState.off:
        _agree(data, config, f"Switch {name} off?", yes=yes)
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
def remove(name: Name, data: DataOption = DATA, yes: YesOption = False) -> None:
    """Remove a destination and its secrets. Events that wait for it are recorded as skipped."""
    with opened(data) as workspace:
        config = workspace.destination(name)
    _agree(data, config, f"Remove {name} and its settings?", yes=yes)
    with opened(data) as workspace:
        workspace.remove_destination(config.id, log_end(data))
    typer.echo(f"Removed {name}. What became of its events stays readable. {IN_FORCE}")


@app.command()
def kinds(
    kind: Annotated[str | None, typer.Argument(metavar="KIND", help="One kind, with its settings.")] = None,
    json: JsonOption = False,
) -> None:
    """The kinds of destination there are, or the settings of one."""
    with told():
        there = registered()
    if kind is None:
        if json:
            print_json([{"kind": one.kind, "label": one.label, "summary": one.summary} for one in there.values()])
        else:
            print_table(("kind", "label", "what it is"), [(one.kind, one.label, one.summary) for one in there.values()])
        return
    if kind not in there:
        fail(f"A kind {kind!r} does not exist. Kinds: {', '.join(there)}.")
    fields = fields_of(there[kind].settings)
    if json:
        print_json([_declared(field) for field in fields])
    else:
        print_table(
            ("setting", "default", "what it is"), [(one.name, _text(one.default), _about(one)) for one in fields]
        )


# -- changing


def _change(data: Path, name: str, state: DestinationState, reason: str, *, json: bool) -> None:
    with opened(data) as workspace:
        changed = workspace.change_state(name, state, "cli", reason, log_end(data))
        config = workspace.destination(name)
        _tell(workspace, config, "" if changed else "Nothing to change:", json=json, changed=changed)


def _tell(workspace: Workspace, config: DestinationConfig, what: str, *, json: bool, changed: bool = True) -> None:
    """How it stands after a change, and what still keeps it from sending."""
    if json:
        print_json(_details(workspace, config))
    else:
        now = config.changes[-1]
        why = _because(now.reason) if now.state is DestinationState.paused else ""
        typer.echo(f"{what} {config.name} is {now.state}{why.rstrip('.')}.".strip())
        if changed:
            typer.echo(IN_FORCE)
    for field in missing(_masked(workspace, config)) if config.state is DestinationState.on else ():
        note(
            f"{field.label} ({field.name}) is not set: until then nothing can be sent. "
            f"milonga destinations set {config.name} --set {field.name}=..."
        )


def _agree(data: Path, config: DestinationConfig, question: str, *, yes: bool) -> None:
    """Tell how many events wait, in any case, and ask where somebody can answer."""
    if config.state is not DestinationState.off:
        with told():
            count = waiting_events(data, config)
        if count:
            note(f"Up to {count:,} waiting events will be recorded as skipped (destination_off).")
    ask(question, yes=yes)


def _pairs(given: Sequence[str]) -> dict[str, str]:
    """Wrong use (exit 2) unless each is KEY=VALUE and no key comes twice."""
    pairs: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name:
            # Not repeated: it may be a secret whose name was forgotten.
            raise typer.BadParameter("A setting is given as KEY=VALUE.")
        if name in pairs:
            raise typer.BadParameter(f"{name} is given twice.")
        pairs[name] = value
    return pairs


def _from_files(fields: Sequence[Field], pairs: Mapping[str, str]) -> dict[str, object]:
    """For secrets, `@FILE` stands for what the file holds and `-` for a line of standard input."""
    secret = {name for field in fields if field.secret for name in (field.name, field.attribute)}
    return {name: _secret(name, value) if name in secret else value for name, value in pairs.items()}


def _secret(name: str, value: str) -> str:
    if value == "-":
        return sys.stdin.readline().rstrip("\r\n")
    if not value.startswith("@"):
        return value
    path = Path(value[1:])
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise UserError(f"{name}: the file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise UserError(f"{name}: the file {path} is not text in UTF-8.") from None


# -- showing


def _masked(workspace: Workspace, config: DestinationConfig) -> Struct:
    """With *** for secrets, also for those that cannot be read now."""
    return workspace.settings_at(config.id, config.settings_version)


def _summary(workspace: Workspace, config: DestinationConfig) -> dict[str, Any]:
    now = config.changes[-1]
    return {
        "id": config.id,
        "name": config.name,
        "kind": config.kind,
        "source": workspace.source_names()[config.source],
        "state": now.state.value,
        "since": now.at,
        "by": now.by,
        "reason": now.reason,
        "settings_version": config.settings_version,
    }


def _details(workspace: Workspace, config: DestinationConfig) -> dict[str, Any]:
    settings = _masked(workspace, config)
    return {
        **_summary(workspace, config),
        "settings": shown(settings),
        "missing": [field.name for field in missing(settings)],
        "history": [
            {"at": entry.at, "by": entry.by, "what": "state", "state": entry.state.value, "reason": entry.reason}
            if isinstance(entry, StateChange)
            else {
                "at": entry.at,
                "by": entry.by,
                "what": "settings",
                "version": entry.version,
                "changed": list(entry.changed),
            }
            for entry in workspace.history(config.id)
        ],
    }


def _event(entry: Mapping[str, Any]) -> str:
    if entry["what"] == "state":
        return f"{entry['state']}{_because(entry['reason'])}"
    return f"settings version {entry['version']}: {', '.join(entry['changed']) or 'all defaults'}"


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def _text(value: object) -> str:
    match value:
        case str():
            return value
        case bool():
            return "yes" if value else "no"
        case None:
            return ""
        case _:
            return msgspec.json.encode(value).decode()


def _about(field: Field) -> str:
    marks = [field.kind, *(["required"] if field.required else []), *(["secret"] if field.secret else [])]
    return f"{field.label} ({', '.join(marks)}){f'. {field.help}' if field.help else ''}"


def _declared(field: Field) -> dict[str, Any]:
    return {
        "name": field.name,
        "label": field.label,
        "help": field.help,
        "type": field.kind,
        "default": msgspec.to_builtins(field.default),
        "secret": field.secret,
        "required": field.required,
    }
