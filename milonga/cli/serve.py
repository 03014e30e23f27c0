"""`milonga serve`: take events and deliver them."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import apsw
import typer
import uvloop

from milonga.cli import logs
from milonga.cli.choosing import say_it_is_here
from milonga.cli.common import DATA, DataOption, fail, told
from milonga.cli.console import ConsoleOptions
from milonga.cli.disk import an_amount
from milonga.cli.halves import Keep, Listen
from milonga.cli.serving import Role, Serving
from milonga.cli.watching import Watch
from milonga.delivery.store import NewerStore
from milonga.destinations.registry import HalfDone
from milonga.eventlog.levels import Amount
from milonga.eventlog.record import UnknownFormat
from milonga.eventlog.sqlite import LogInUse
from milonga.facts.disk import DiskOptions
from milonga.metrics.rules import Thresholds
from milonga.outcomes.writer import NewerOutcomes
from milonga.workspace.errors import UserError
from milonga.workspace.lock import DataLock

KEEP = Keep()
LIMITS = Thresholds()
SERVER = "serve"
REFUSALS = (LogInUse, UnknownFormat, NewerStore, NewerOutcomes, HalfDone, UserError, OSError, apsw.Error)
"""Ends that a person can do something about; everything else is a fault of ours and shows where."""
HANDOVER = 15.0  #: seconds to wait for the one before to end, such as a delivery process whose parent was killed


class UnknownKey(StrEnum):
    reject = "reject"
    accept = "accept"


Host = Annotated[str, typer.Option(help="Address to listen on. 0.0.0.0 opens it to others: use TLS then.")]
Port = Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one and prints it.", min=0, max=65535)]


def command(
    host: Host = "127.0.0.1",
    port: Port = 8080,
    data: DataOption = DATA,
    allow_private_destinations: Annotated[
        bool, typer.Option(help="Let destinations be on private, loopback and link-local addresses.")
    ] = False,
    tls_cert: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Speak TLS: certificate and chain, in PEM. Read again when it changes."),
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its private key, in PEM, unencrypted.")] = None,
    public_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Scheme and host by which browsers and phones reach it. Default: as each request says."
        ),
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS", help="Proxy or network of proxies that tells who sends (X-Forwarded-For); repeatable."
        ),
    ] = None,
    single: Annotated[bool, typer.Option(help="One process instead of two, for tiny machines.")] = False,
    unknown_key: Annotated[
        UnknownKey, typer.Option(help="Answer to an unknown write key: 401, or 200 as Segment does (not kept).")
    ] = UnknownKey.reject,
    keep_events: Annotated[
        float, typer.Option(metavar="DAYS", help="Keep events so long; undelivered ones up to 7 days.", min=0.01)
    ] = KEEP.events,
    keep_outcomes: Annotated[
        float, typer.Option(metavar="DAYS", help="Keep what became of them so long.", min=0.01)
    ] = KEEP.outcomes,
    keep_counts: Annotated[
        float, typer.Option(metavar="DAYS", help="Keep the counts per minute so long.", min=0.01)
    ] = KEEP.counts,
    disk_reserve: Annotated[
        Amount | None,
        typer.Option(
            parser=an_amount,
            metavar="SIZE",
            help="Leave so much of the disk free, such as 2GB or 5%; below it senders get 503 and delivery goes on. "
            "Default: 512MB, or 5% of a small disk.",
        ),
    ] = None,
    log_size: Annotated[
        Amount | None,
        typer.Option(
            parser=an_amount, metavar="SIZE", help="Let the event log take no more, such as 20GB or 50% of the disk."
        ),
    ] = None,
    keep_dead: Annotated[
        float,
        typer.Option(metavar="DAYS", help="Keep dead letters so long; 0: until resent or discarded.", min=0),
    ] = KEEP.dead,
    console_host: Annotated[
        str, typer.Option(help="Address of the console. Use TLS where others reach it.")
    ] = "127.0.0.1",
    console_port: Annotated[
        int, typer.Option(envvar="MILONGA_CONSOLE_PORT", help="Port of the console; 0 takes any.", min=0, max=65535)
    ] = 8081,
    console_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="By which people reach the console, if a proxy is in front of it."),
    ] = None,
    no_console: Annotated[
        bool, typer.Option("--no-console", envvar="MILONGA_NO_CONSOLE", help="Serve no console and no API.")
    ] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(help="Serve metrics for Prometheus on this port, at /metrics; 0 takes any.", min=0, max=65535),
    ] = None,
    metrics_host: Annotated[
        str, typer.Option(help="Address of the metrics: plain HTTP without a password, for your own network.")
    ] = "127.0.0.1",
    alert_url: Annotated[
        str | None,
        typer.Option(metavar="URL", envvar="MILONGA_ALERT_URL", help="Post alerts here, as JSON; all are logged."),
    ] = None,
    alert_no_traffic: Annotated[
        float, typer.Option(metavar="MINUTES", help="Alert when a source falls silent so long; 0: never.", min=0)
    ] = LIMITS.no_traffic,
    alert_success: Annotated[
        float, typer.Option(metavar="PERCENT", help="Alert when less is delivered; 0: never.", min=0, max=100)
    ] = LIMITS.success,
    alert_backlog: Annotated[
        float, typer.Option(metavar="MINUTES", help="Alert when an event waits so long; 0: never.", min=0)
    ] = LIMITS.backlog,
    alert_disk: Annotated[
        float,
        typer.Option(metavar="TIMES", help="Alert when less is free than so many times the reserve; 0: never.", min=0),
    ] = LIMITS.disk,
    alert_certificate: Annotated[
        float, typer.Option(metavar="DAYS", help="Alert when the certificate is valid no longer; 0: never.", min=0)
    ] = LIMITS.certificate,
    alert_every: Annotated[float, typer.Option(hidden=True, min=0.05, help="Seconds between two looks.")] = 60.0,
    role: Annotated[Role, typer.Option(hidden=True)] = Role.all,
    lock_file: Annotated[int | None, typer.Option(hidden=True)] = None,
    life: Annotated[int | None, typer.Option(hidden=True)] = None,
    console_file: Annotated[int | None, typer.Option(hidden=True)] = None,
    events_url: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Take events from SDKs and deliver them, until Ctrl-C."""
    logs.configure()
    if role is Role.all:
        say_it_is_here("serve", data)
    days = Keep(events=keep_events, outcomes=keep_outcomes, counts=keep_counts, dead=keep_dead)
    if (tls_cert is None) != (tls_key is None):
        raise typer.BadParameter("--tls-cert and --tls-key go together.")
    listen = Listen(
        host=host,
        port=port,
        tls=None if tls_cert is None or tls_key is None else (tls_cert, tls_key),
        public_url=public_url,
        trusted_proxies=tuple(trusted_proxy or ()),
    )
    shows = ConsoleOptions(
        host=console_host,
        port=console_port,
        url=console_url,
        tls=listen.tls,
        trusted_proxies=listen.trusted_proxies,
    )
    watch = Watch(
        metrics=None if metrics_port is None else (metrics_host, metrics_port),
        alert_url=alert_url or None,
        allow_private=allow_private_destinations,
        thresholds=Thresholds(
            no_traffic=alert_no_traffic,
            success=alert_success,
            backlog=alert_backlog,
            disk=alert_disk,
            certificate=alert_certificate,
        ),
        every=alert_every,
    )
    with told():
        shows.check()
        disk = DiskOptions.of(data, disk_reserve, log_size)
        serving = Serving(
            data=data,
            listen=listen,
            shows=None if no_console else shows,
            allow_private=allow_private_destinations,
            single=single,
            accept_unknown=unknown_key is UnknownKey.accept,
            role=role,
            keep=days,
            watch=watch,
            disk=disk,
            console_file=console_file,
            events_url=events_url,
        )
        lock = _locked(data, role, lock_file)
    trouble = ""
    with lock:
        try:
            uvloop.run(serving.run(lock, life))
        except* REFUSALS as errors:
            trouble = " ".join(dict.fromkeys(_words(error) for error in _each(errors)))
    if trouble and role in (Role.delivery, Role.console):
        typer.echo(trouble)  # the parent reads it, and tells it once
        raise typer.Exit(1)
    if trouble:
        fail(trouble)


def _each(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _each(error)
        else:
            yield error


def _words(error: BaseException) -> str:
    match error:
        case OSError(strerror=str(words)):
            return f"{error.filename}: {words}." if error.filename else f"{words}."
        case apsw.Error():
            return f"A file of the data directory cannot be used: {error} ({type(error).__name__})."
        case _:
            return str(error)


def _locked(data: Path, role: Role, lock_file: int | None) -> DataLock:
    """UserError if another server is at work. One that only hands over, as after a SIGKILL, is waited for."""
    if lock_file is not None:
        return DataLock.adopt(lock_file, SERVER if role is Role.all else role.value)
    return DataLock.take_over(data, SERVER, HANDOVER)
