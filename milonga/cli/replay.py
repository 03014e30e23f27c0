"""`milonga replay`: events of the past to a destination once more; first, what that would send."""

import asyncio
import json as json_
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, cast

import typer

from milonga.cli.asking import answers
from milonga.cli.common import DATA, NO_SERVER, DataOption, JsonOption, YesOption, an_id, ask, facts_of, fail, note
from milonga.cli.events import Type
from milonga.cli.terminal import clean, folded, many, print_json, print_table, terminal_width
from milonga.delivery.selection import Selection
from milonga.destinations.contract import Destination
from milonga.facts import wishes
from milonga.facts.facts import Facts, Place
from milonga.facts.rehearsal import Rehearsal, Rehearsed, as_json
from milonga.facts.when import HELP, moment
from milonga.outcomes.words import instant
from milonga.spec.event import EventType
from milonga.workspace.commands import milliseconds
from milonga.workspace.model import DestinationState

TELL_EVERY: Final = 1.0  #: seconds
TELL_OFTEN: Final = 0.3  #: seconds between two lines for a program
MOST_FIELDS: Final = 20  #: that are printed; --json has more


def _moment(given: str) -> int:
    try:
        return moment(given, milliseconds())
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(str(error)) from None


From = Annotated[
    int, typer.Option("--from", parser=_moment, metavar="TIME", help=f"Events that arrived from then on. {HELP}")
]
To = Annotated[int | None, typer.Option("--to", parser=_moment, metavar="TIME", help="And before then. Default: now.")]
AccountOnly = Annotated[str | None, typer.Option("--account", parser=an_id, metavar="ID", help="Only of this account.")]
NameOnly = Annotated[str | None, typer.Option("--event", metavar="NAME", help="Only track, page, screen of this name.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Also what newer events have set since.")]


def command(
    destination: Annotated[str, typer.Argument(metavar="DESTINATION", help="Name of the destination.")],
    since: From,
    until: To = None,
    type_: Type = None,
    account: AccountOnly = None,
    name: NameOnly = None,
    overwrite: Overwrite = False,
    rate: Annotated[float, typer.Option("--rate", min=0.1, max=10_000, help="Events a second, at most.")] = wishes.RATE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing: say what would be sent.")] = False,
    progress: Annotated[bool, typer.Option("--progress", hidden=True)] = False,
    data: DataOption = DATA,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """
    Send events that arrived earlier to a destination once more, as its settings are now.

    A running server does so, behind what arrives meanwhile. Before it asks, it says what would be sent, as --dry-run
    does; --yes leaves that out.
    """
    now = milliseconds()
    until = now if until is None else until
    if since >= until:
        raise typer.BadParameter(f"--from {instant(since)} is not before --to {instant(until)}.")
    with facts_of(data) as facts:
        place, kind = _found(facts, destination)
        wanted = Selection(
            source=place.config.source,
            since=since,
            until=until,
            type=cast("EventType | None", type_),
            account=account,
            name=name,
        )
        if not dry_run and place.config.state is DestinationState.off:
            fail(f"{destination} is off: `milonga destinations enable {destination}`, or pause it, first.")
        kept = facts.log.since()
        about_it = about(place, wanted, kept)
        if dry_run or not yes:
            found = rehearse(facts, data, place, kind, wanted, now, overwrite=overwrite, lines=progress)
            if not json:
                tell(found, wanted)
            elif dry_run:
                print_json(about_it | as_json(found))
            say_if_gone(wanted, kept)
            if not dry_run and not found.sent:
                fail("Nothing would be sent.")
            if not dry_run:
                note(f"At {rate:g} events a second that takes {_long(found.sent / rate)} at least.")
        if dry_run:
            return
        if kind.before_replay:
            note(kind.before_replay)
        ask(f"Send them to {destination}?", yes=yes, for_good=True)
        number = wishes.replay(facts, place, wanted, rate=rate, overwrite=overwrite, by="cli")
        begun = answers(facts, [number]) is not None
        if json:
            print_json(about_it | {"replay": number, "begun": begun})
        else:
            typer.echo(f"Replay {number}. `milonga replays show {number}` says how far it is.")
        if not begun:
            note(later(facts))


def _found(facts: Facts, name: str) -> tuple[Place, Destination]:
    config = facts.workspace.destination(name)
    kind = facts.workspace.kinds.get(config.kind)
    if kind is None:
        fail(f"{name} is of kind {config.kind}, which this Milonga does not have.")
    return Place(config), kind


def rehearse(
    facts: Facts,
    data: Path,
    place: Place,
    kind: Destination,
    wanted: Selection,
    now: int,
    *,
    overwrite: bool,
    lines: bool = False,
) -> Rehearsed:
    """lines: tell on stderr how far it is, for a program (milonga.console.dry_runs): [what, looked, of]"""
    with_progress = _progress_lines() if lines else _progress()
    try:
        return asyncio.run(
            Rehearsal(facts, data, place, kind, wanted).run(now, overwrite=overwrite, tell=with_progress)
        )
    finally:
        if sys.stderr.isatty():
            typer.echo("\r\x1b[K", nl=False, err=True)


def _progress() -> Callable[[str, int, int], None]:
    """On a terminal, what is being done, now and then; else nothing."""
    told = time.monotonic()

    def tell_(what: str, looked: int, of: int) -> None:
        nonlocal told
        if sys.stderr.isatty() and time.monotonic() - told >= TELL_EVERY:
            told = time.monotonic()
            typer.echo(f"\r\x1b[K{what}: {looked:,} of {of:,} events", nl=False, err=True)

    return tell_


def _progress_lines() -> Callable[[str, int, int], None]:
    """As JSON lines; if nobody reads them any more, nobody wants to know the end."""
    told = 0.0

    def tell_(what: str, looked: int, of: int) -> None:
        nonlocal told
        if time.monotonic() - told >= TELL_OFTEN:
            told = time.monotonic()
            sys.stderr.write(f"{json_.dumps([what, looked, of])}\n")
            sys.stderr.flush()

    return tell_


def about(place: Place, wanted: Selection, kept: int | None) -> dict[str, Any]:
    return {
        "destination": place.config.name,
        "from": instant(wanted.since),
        "to": instant(wanted.until),
        "keptSince": None if kept is None else instant(kept),
    }


def later(facts: Facts) -> str:
    """What to say of a command that nobody has taken yet."""
    if facts.server_runs:
        return "Asked for; the server is busy, and does so soon."
    return f"{NO_SERVER}: it is done when `milonga serve` runs."


def say_if_gone(wanted: Selection, kept: int | None) -> None:
    if kept is None:
        note("The log is empty.")
    elif wanted.since < kept:
        note(f"The log keeps events since {instant(kept)}: what may have arrived earlier is gone.")


def tell(found: Rehearsed, wanted: Selection) -> None:
    types = ", ".join(f"{n:,} {type_}" for type_, n in found.types.most_common())
    arrived = f"arrived from {instant(wanted.since)} to {instant(wanted.until)}"
    _say(f"{many(found.events, 'event')} {arrived}{f': {types}' if types else ''}.")
    if found.damaged:
        note(f"{found.damaged:,} records of the log cannot be read: see `milonga check`.")
    if not found.events:
        return
    typer.echo("")
    rows = [
        [f"{state} {code}".strip(), f"{now} {why}".strip(), f"{n:,}"]
        for (state, code, now, why), n in found.fates.most_common()
    ]
    print_table(("first", "now", "events"), rows)
    if found.fields:
        typer.echo("\nChanged requests differ from those first sent in:")
        for field, n in found.fields.most_common(MOST_FIELDS):
            typer.echo(f"  {clean(field, 200)}  ({n:,})")
        if len(found.fields) > MOST_FIELDS:
            typer.echo(f"  and {len(found.fields) - MOST_FIELDS:,} more: --json")
    for example in found.examples.get("changed", []):
        typer.echo("\n" + clean(f"For example {example['messageId']} ({example['type']}):"))
        for change in example["changes"]:
            typer.echo(f"  {clean(change['field'], 200)}: {_value(change, 'before')} -> {_value(change, 'now')}")
    if found.left_out:
        less = many(found.left_out, "event")
        _say(f"\n{less} would be sent without what newer ones have set since; --overwrite sends all.")
    _say(f"\n{many(found.sent, 'event')}, {many(found.requests, 'request')}, would be sent.")


def _long(seconds: float) -> str:
    return "a second or so" if seconds < 2 else f"{timedelta(seconds=round(seconds))} (h:mm:ss)"


def _say(text: str) -> None:
    for line in folded(text, terminal_width()):
        typer.echo(line)


def _value(change: dict[str, Any], side: str) -> str:
    return clean(str(change[side]), 100) if side in change else "(nothing)"
