"""`milonga check`: is everything in the data directory as it should be, and if not, what is lost and what to do."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import apsw
import msgspec
import typer

from milonga.cli.backup import key_words
from milonga.cli.check_log import LogCheck
from milonga.cli.check_wal import check_wals
from milonga.cli.checking import (
    Report,
    check_counts,
    check_delivery,
    check_outcomes,
    check_set_aside,
    check_workspace,
)
from milonga.cli.choosing import say_it_is_here
from milonga.cli.common import DATA, DataOption, JsonOption, told
from milonga.cli.terminal import clean, print_json
from milonga.delivery.store_reader import DeliveryReader
from milonga.facts.directory import exists, server_runs
from milonga.facts.formats import DELIVERY
from milonga.workspace.database import NAME, is_unfinished
from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationConfig
from milonga.workspace.store import Workspace

MB: Final = 1024 * 1024


def command(data: DataOption = DATA, json: JsonOption = False) -> None:
    """Look through every file, also beside a running server. Exit 1 if anything is damaged, missing or lost."""
    say_it_is_here("check", data)
    with told():
        if not data.is_dir() or not (exists(data) or any(data.glob("log/*.db")) or any(data.glob("*.db*"))):
            raise UserError(
                f"There is no workspace in {data.absolute()}. Is that the right directory (--data, MILONGA_DATA)?"
            )
        report, events = _checked(data)
    size = sum(file.bytes for file in report.files)
    if json:
        print_json(
            {
                "ok": not report.problems,
                "data": str(data),
                "serverRunning": server_runs(data),
                "events": events,
                "bytes": size,
                "files": msgspec.to_builtins(report.files),
                "problems": msgspec.to_builtins(report.problems),
                "notes": report.notes,
            }
        )
    else:
        typer.echo(f"{data}: {len(report.files)} files, {events:,} events, {size / MB:,.1f} MB looked through.")
        for problem in report.problems:
            typer.echo("\n" + clean(f"{problem.file}: {problem.what}"))
            typer.echo(clean(f"  lost: {problem.lost}"))
            typer.echo(clean(f"  do:   {problem.fix}"))
        for note in report.notes:
            typer.echo(f"\n{note}")
        if not report.problems:
            typer.echo("All is well.")
    if report.problems:
        raise typer.Exit(1)


def _checked(data: Path) -> tuple[Report, int]:
    """And how many events the log holds."""
    report = Report([], [], [])
    usable = True
    if exists(data):
        usable = check_workspace(report, data)
    else:
        usable = False
        report.problem(
            NAME,
            "is missing",
            lost="sources, destinations, settings: nothing is taken in or delivered",
            count=None,
            fix="Put back a copy while no server runs: every backup has one.",
        )
    if is_unfinished(data / NAME):
        return report, 0
    if not server_runs(data):
        check_wals(report, data)
    with_delivery = check_delivery(report, data)
    outcomes = check_outcomes(report, data)
    check_counts(report, data)
    check_set_aside(report, data)
    with ExitStack() as stack:
        configs: Sequence[DestinationConfig] = ()
        delivery = None
        if any(one.file == f"{NAME}-wal" for one in report.problems):
            usable = False  # whoever opens it moves the write-ahead log into it, up to the damaged place
            report.notes.append(f"Not compared with the log: {NAME}-wal is left as it is, to be looked at.")
        if usable:
            try:
                configs = stack.enter_context(Workspace.open(data)).destinations()
                key, fits = key_words(data)
                if not fits:
                    report.notes.append(key)
            except UserError as error:
                report.notes.append(f"Not compared with the log: {error}")
        if usable and with_delivery:
            try:
                delivery = DeliveryReader(data / DELIVERY)
                stack.callback(delivery.close)
            except apsw.CantOpenError:
                pass  # delivery never ran
        log = LogCheck(report, data, configs, delivery, outcomes)
        log.run()
    return report, log.events
