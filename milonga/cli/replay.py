"""`milonga replay`: events of the past to a destination once more; first, what that would send."""

import json as json_
import re
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, Final

import typer

from milonga.api.client import Reach
from milonga.cli.asking import answers, runs
from milonga.cli.common import DATA, NO_SERVER, DataOption, JsonOption, YesOption, an_id, ask, fail, note
from milonga.cli.options import AccountOption, Destination, TypeOption, UserOption
from milonga.cli.reaching import reached
from milonga.cli.terminal import clean, folded, many, print_json, print_table, terminal_width
from milonga.facts import wishes
from milonga.facts.when import HELP, moment
from milonga.outcomes.words import instant
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


def _place(given: str) -> dict[str, int]:
    found = re.fullmatch(r"(\d{1,9})-(\d{1,15})", given, re.ASCII)
    if found is None:
        raise typer.BadParameter(f"Expected a place of the log, such as 0-17, got {given!r:.60}.", param_hint="--at")
    return {"partition": int(found[1]), "offset": int(found[2])}


From = Annotated[
    int, typer.Option("--from", parser=_moment, metavar="TIME", help=f"Events that arrived from then on. {HELP}")
]
To = Annotated[int | None, typer.Option("--to", parser=_moment, metavar="TIME", help="And before then. Default: now.")]
NameOnly = Annotated[str | None, typer.Option("--event", metavar="NAME", help="Only track, page, screen of this name.")]
CodeOnly = Annotated[
    str | None,
    typer.Option(
        "--code",
        parser=an_id,
        metavar="CODE",
        help="Only what ended with this code, such as missing_group_id, and was not delivered since.",
    ),
]
At = Annotated[
    list[str] | None,
    typer.Option("--at", metavar="POSITION", help="Only the event at this place of the log, such as 0-17; repeatable."),
]
FindAccounts = Annotated[
    bool,
    typer.Option(
        "--find-accounts",
        help="File what names no account under the one that earlier group calls of its user name, if just one.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Also what newer events have set since.")]


def command(
    destination: Destination,
    since: From,
    until: To = None,
    type_: TypeOption = None,
    account: AccountOption = None,
    user: UserOption = None,
    name: NameOnly = None,
    code: CodeOnly = None,
    at: At = None,
    find_accounts: FindAccounts = False,
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
    wanted: dict[str, object] = {
        "destination": destination,
        "from": instant(since),
        "to": instant(until),
        "type": type_,
        "account": account,
        "user": user,
        "event": name,
        "code": code,
        "positions": [_place(one) for one in at] if at else None,
        "findAccounts": find_accounts,
        "overwrite": overwrite,
        "rate": rate,
    }
    with reached(data, tell=_progress_lines() if progress else _progress()) as milonga:
        there = milonga.ask("getDestination", {"destination": destination}).data
        if not dry_run and there["state"] == DestinationState.off.value:
            fail(f"{destination} is off: `milonga destinations enable {destination}`, or pause it, first.")
        kind = milonga.ask("getDestinationKind", {"kind": there["kind"]}).data
        if dry_run or not yes:
            found = rehearse(milonga, wanted)
            if not json:
                tell(found)
            elif dry_run:
                print_json(found)
            say_if_gone(found)
            if not dry_run and not found["send"]:
                fail("Nothing would be sent.")
            if not dry_run:
                note(f"At {rate:g} events a second that takes {_long(found['send'] / rate)} at least.")
        if dry_run:
            return
        if kind["beforeReplay"]:
            note(kind["beforeReplay"])
        if there["state"] == DestinationState.paused.value:
            note(f"{destination} is paused: the replay waits until it goes on.")
        ask(f"Send them to {destination}?", yes=yes, for_good=True)
        asked = milonga.ask("startReplay", body=wanted).data
        number = asked["replay"]
        begun = answers(milonga, asked["commands"]) is not None
        if json:
            about = {one: asked[one] for one in ("destination", "from", "to", "keptSince")}
            print_json(about | {"replay": number, "begun": begun})
        else:
            typer.echo(f"Replay {number}. `milonga replays show {number}` says how far it is.")
        if not begun:
            note(later(milonga))


def rehearse(milonga: Reach, wanted: dict[str, object]) -> dict[str, Any]:
    try:
        found: dict[str, Any] = milonga.ask("rehearseReplay", body=wanted).data
        return found
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
    """
    On stderr as JSON lines, for a program (milonga.console.dry_runs): [what, looked, of]. If nobody reads them any
    more, nobody wants to know the end.
    """
    told = 0.0

    def tell_(what: str, looked: int, of: int) -> None:
        nonlocal told
        if time.monotonic() - told >= TELL_OFTEN:
            told = time.monotonic()
            sys.stderr.write(f"{json_.dumps([what, looked, of])}\n")
            sys.stderr.flush()

    return tell_


def later(milonga: Reach) -> str:
    """What to say of a command that nobody has taken yet."""
    if runs(milonga):
        return "Asked for; the server is busy, and does so soon."
    return f"{NO_SERVER}: it is done when `milonga serve` runs."


def say_if_gone(found: dict[str, Any]) -> None:
    if found["keptSince"] is None:
        note("The log is empty.")
    elif found["from"] < found["keptSince"]:
        note(f"The log keeps events since {found['keptSince']}: what may have arrived earlier is gone.")


def tell(found: dict[str, Any]) -> None:
    types = ", ".join(f"{n:,} {type_}" for type_, n in found["types"].items())
    arrived = f"arrived from {found['from']} to {found['to']}"
    _say(f"{many(found['events'], 'event')} {arrived}{f': {types}' if types else ''}.")
    if found["damaged"]:
        note(f"{found['damaged']:,} records of the log cannot be read: see `milonga check`.")
    if not found["events"]:
        return
    typer.echo("")
    rows = [
        [f"{one['first']} {one['firstCode']}".strip(), f"{one['now']} {one['code']}".strip(), f"{one['events']:,}"]
        for one in found["outcomes"]
    ]
    print_table(("first", "now", "events"), rows)
    if fields := found["fields"]:
        typer.echo("\nChanged requests differ from those first sent in:")
        for one in fields[:MOST_FIELDS]:
            typer.echo(f"  {clean(one['field'], 200)}  ({one['events']:,})")
        if len(fields) > MOST_FIELDS:
            typer.echo(f"  and {len(fields) - MOST_FIELDS:,} more: --json")
    for example in (one for one in found["examples"] if one["now"] == "changed"):
        typer.echo("\n" + clean(f"For example {example['messageId']} ({example['type']}):"))
        for change in example["changes"]:
            typer.echo(f"  {clean(change['field'], 200)}: {_value(change, 'before')} -> {_value(change, 'now')}")
    if found["filed"]:
        filed = many(found["filed"], "event")
        _say(f"\n{filed} would be filed under the account that group calls of the same user name.")
    if found["several"]:
        _say(f"\n{many(found['several'], 'event')} would not: the user's events name more than one account.")
    if found["leftOut"]:
        less = many(found["leftOut"], "event")
        _say(f"\n{less} would be sent without what newer ones have set since; --overwrite sends all.")
    _say(f"\n{many(found['send'], 'event')}, {many(found['requests'], 'request')}, would be sent.")


def _long(seconds: float) -> str:
    return "a second or so" if seconds < 2 else f"{timedelta(seconds=round(seconds))} (h:mm:ss)"


def _say(text: str) -> None:
    for line in folded(text, terminal_width()):
        typer.echo(line)


def _value(change: dict[str, Any], side: str) -> str:
    return clean(str(change[side]), 100) if side in change else "(nothing)"
