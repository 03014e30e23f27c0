"""`milonga destinations filters NAME`: which events a destination gets, and how much of them."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from msgspec import ValidationError, convert, to_builtins
from typer.core import TyperGroup

from milonga.cli.common import DATA, IN_FORCE, DataOption, JsonOption, an_id, fail, note
from milonga.cli.reaching import reached
from milonga.cli.terminal import Column, clean, print_json, print_table
from milonga.filters.chain import check
from milonga.filters.rule import Filter
from milonga.filters.words import deed
from milonga.identity.account import read_unstamped
from milonga.outcomes.words import why_skipped
from milonga.spec.event import Event
from milonga.spec.read import NotAnEvent
from milonga.spec.text import well_formed

LIST: Final = "list"
MOST: Final = 4 * 1024 * 1024  #: bytes of events to try


class _Named(TyperGroup):
    """The destination's name comes before the command, and a name alone lists."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        commands = self.commands
        if len(args) > 1 and args[0] in commands and args[1] == "--help":
            args = ["NAME", *args]  # whoever asks about a command need not name a destination
        elif len(args) > 1 and args[0] in commands and not args[1].startswith("-") and args[1] not in commands:
            ctx.fail(f"The destination comes first: milonga destinations filters {args[1]} {args[0]} ...")
        if args and not args[0].startswith("-") and all(word.startswith("-") for word in args[1:2]):
            args = args if "--help" in args else [args[0], LIST, *args[1:]]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_Named, no_args_is_help=True, help="Which events a destination gets, and how much of them.")

NameOfOne = Annotated[str, typer.Argument(metavar="FILTER", help="Name of the filter.")]
Fields = list[str] | None


@app.callback()
def filters(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the destination.")],
) -> None:
    """Which events a destination gets, and how much of them: NAME alone lists its filters."""
    context.obj = name


@app.command(LIST)
def list_(context: typer.Context, data: DataOption = DATA, json: JsonOption = False) -> None:
    """List the filters, in the order in which they apply."""
    with reached(data) as milonga:
        config = milonga.ask("getDestination", {"destination": context.obj}).data
    _list(config, json=json)


@app.command()
def add(
    context: typer.Context,
    name: NameOfOne,
    when: Annotated[
        str, typer.Option("--when", metavar="CONDITION", help='In CEL: event.startsWith("Test"). Unless given: all.')
    ] = "",
    drop: Annotated[bool, typer.Option("--drop", help="What meets the condition is not sent.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="What does not meet it is not sent.")] = False,
    sample: Annotated[
        str | None, typer.Option("--sample", metavar="PERCENT", help="So much of it is sent: 10% or 0.1.")
    ] = None,
    by: Annotated[str, typer.Option("--by", metavar="FIELD", help="With --sample: by this field, not by user.")] = "",
    drop_field: Annotated[Fields, typer.Option("--drop-field", metavar="FIELD", help="Sent without it.")] = None,
    keep_field: Annotated[
        Fields, typer.Option("--keep-field", metavar="FIELD", help="Sent with nothing else beside it; again for more.")
    ] = None,
    mask: Annotated[Fields, typer.Option("--mask", metavar="FIELD", help="Sent with *** for its value.")] = None,
    hash_: Annotated[Fields, typer.Option("--hash", metavar="FIELD", help="Sent with its value's SHA-256.")] = None,
    at: Annotated[
        int | None, typer.Option("--at", metavar="N", help="As the Nth filter; the last unless given.")
    ] = None,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Add a filter: a condition, and one thing to do."""
    said: dict[str, object] = {
        **({"drop": True} if drop else {}),
        **({"keep": True} if keep else {}),
        **({"sample": sample} if sample is not None else {}),
        **{do: tuple(fields) for do, fields in _fields(drop_field, keep_field, mask, hash_) if fields},
    }
    if len(said) != 1:
        raise typer.BadParameter(
            "Say one thing to do: --drop, --keep, --sample, --drop-field, --keep-field, --mask or --hash."
        )
    ((do, how),) = said.items()
    given: dict[str, object] = {"name": name, "do": do, "when": when}
    if isinstance(how, tuple):
        given["fields"] = how
    if do == "sample":
        given["share"] = _share(str(how))
    if by:
        given["by"] = by
    try:
        new = convert(given, Filter)
        check((new,))
    except (ValidationError, ValueError) as error:
        fail(str(error))

    def with_it(before: tuple[Filter, ...]) -> tuple[Filter, ...]:
        if any(one.name == name for one in before):
            fail(f"There is a filter {name} already. Remove it first, or take another name.")
        place = len(before) if at is None else _place(at, len(before) + 1)
        return (*before[:place], new, *before[place:])

    _change(context.obj, data, with_it, f"Added {name}.", json=json)


@app.command()
def remove(context: typer.Context, name: NameOfOne, data: DataOption = DATA, json: JsonOption = False) -> None:
    """Remove a filter."""

    def without_it(before: tuple[Filter, ...]) -> tuple[Filter, ...]:
        _named(before, name, context.obj)
        return tuple(one for one in before if one.name != name)

    _change(context.obj, data, without_it, f"Removed {name}.", json=json)


@app.command()
def move(
    context: typer.Context,
    name: NameOfOne,
    to: Annotated[int, typer.Argument(metavar="N", help="1: it is asked first.")],
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Make it the Nth filter."""

    def moved(before: tuple[Filter, ...]) -> tuple[Filter, ...]:
        one = _named(before, name, context.obj)
        others = [other for other in before if other is not one]
        others.insert(_place(to, len(before)), one)
        return tuple(others)

    _change(context.obj, data, moved, f"Moved {name}.", json=json)


@app.command("test")
def try_(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE|-", help="An event, or one a line; - is the standard input.")
    ] = "",
    message: Annotated[
        str | None, typer.Option("--message", parser=an_id, metavar="ID", help="An event in the log, by message id.")
    ] = None,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Show what the filters make of an event, one after the other. Sends nothing."""
    if bool(file) == (message is not None):
        raise typer.BadParameter("Name one of: FILE, - for the standard input, --message ID.")
    with reached(data) as milonga:
        milonga.ask("getDestination", {"destination": context.obj})
        given = [{"messageId": message}] if message is not None else [{"event": one.received} for one in _given(file)]
        told = [
            one for body in given for one in milonga.ask("tryFilters", {"destination": context.obj}, body=body).data
        ]
    if json:
        print_json(told)
        return
    for number, one in enumerate(told):
        if number:
            typer.echo("")
        _tell(one)


# What a change needs


def _fields(drop: Fields, keep: Fields, mask: Fields, hash_: Fields) -> tuple[tuple[str, Fields], ...]:
    return ("dropFields", drop), ("keepFields", keep), ("mask", mask), ("hash", hash_)


def _share(typed: str) -> float:
    try:
        return float(typed.removesuffix("%")) / (100 if typed.endswith("%") else 1)
    except ValueError:
        raise typer.BadParameter(f"{typed[:50]!r} is no share: 10% or 0.1.", param_hint="--sample") from None


def _place(typed: int, most: int) -> int:
    if not 1 <= typed <= most:
        fail(f"There is no place {typed}: 1 to {most}.")
    return typed - 1


def _named(filters: Sequence[Filter], name: str, destination: str) -> Filter:
    found = next((one for one in filters if one.name == name), None)
    if found is None:
        there = f"There are: {', '.join(one.name for one in filters)}." if filters else "There are none."
        fail(f"{destination} has no filter {clean(name)}. {there}")
    return found


def _change(
    destination: str, data: Path, change: Callable[[tuple[Filter, ...]], tuple[Filter, ...]], what: str, *, json: bool
) -> None:
    with reached(data) as milonga:
        before = milonga.ask("getDestination", {"destination": destination}).data
        filters = change(_filters(before))
        body = {"delivery": {"filters": to_builtins(filters)}, "ifSettingsVersion": before["settingsVersion"]}
        after = milonga.ask("updateDestination", {"destination": destination}, body=body).data
    if json:
        _list(after, json=True)
    else:
        typer.echo(f"{what} Settings of {after['name']}: version {after['settingsVersion']}.")
        typer.echo(IN_FORCE)


def _filters(config: Mapping[str, Any]) -> tuple[Filter, ...]:
    return convert(config["delivery"]["filters"], tuple[Filter, ...])


def _list(config: Mapping[str, Any], *, json: bool) -> None:
    name, filters = config["name"], _filters(config)
    if json:
        print_json([to_builtins(one) for one in filters])
        return
    if not filters:
        typer.echo(f"{name} has no filters: it gets every event of its source.")
        note(f"Add one: milonga destinations filters {name} add FILTER --when CONDITION --drop")
        return
    rows = [(str(number), one.name, one.when or "(every event)", deed(one)) for number, one in enumerate(filters, 1)]
    print_table(("", "filter", Column("when", least=20), Column("does", least=20)), rows)


# Trying


def _tell(one: Mapping[str, Any]) -> None:
    head = " ".join(
        word for word in (one["type"], "" if one["name"] is None else f'"{one["name"]}"', one["messageId"]) if word
    )
    typer.echo(clean(head))
    if one["filters"]:
        met = {True: "met", False: "not met", None: "cannot be decided"}
        rows = [(seen["name"], met[seen["met"]], seen["why"], seen["does"]) for seen in one["filters"]]
        print_table(("filter", "condition", Column("why", least=10), Column("does", least=10)), rows)
    if one["skip"] is not None:
        code = one["skip"]["code"]
        typer.echo(f"Skipped: {code}. {why_skipped(code)}")
    else:
        typer.echo("It goes on to the destination.")


def _given(file: str) -> Iterator[Event]:
    """One event, or one in each line."""
    try:
        if file == "-":
            body = sys.stdin.buffer.read(MOST + 1)
        else:
            with Path(file).open("rb") as opened_:
                body = opened_.read(MOST + 1)
    except OSError as error:
        fail(f"{clean(file)} cannot be read: {error.strerror or error}.")
    if len(body) > MOST:
        fail(f"These are more than {MOST // 1024 // 1024} MB: try some of them.")
    lines = [(number, line) for number, line in enumerate(body.splitlines(), 1) if line.strip()]
    try:
        yield read_unstamped(body)
    except NotAnEvent as whole:
        if len(lines) < 2:
            fail(f"This is no event: {well_formed(str(whole))}")
    else:
        return
    for number, line in lines:
        try:
            yield read_unstamped(line)
        except NotAnEvent as error:
            fail(f"Line {number} is no event: {well_formed(str(error))}")
