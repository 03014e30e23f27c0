"""`milonga serve`: take events and deliver them."""

import asyncio
import errno
import os
import socket
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import apsw
import typer
import uvloop
from msgspec import Struct

from milonga.cli import logs
from milonga.cli.common import DATA, DataOption, fail, told
from milonga.cli.console import ConsoleOptions, be_polite, console, invitation
from milonga.cli.disk import an_amount
from milonga.cli.halves import Keep, Listen, collect, deliver, why_not
from milonga.cli.processes import Child, keep, stop_at_end_of, stop_on_signals
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
LETS_GO = 1.0  #: seconds between the lock's end and the port's, of a process that is being ended
HANDOVER = 15.0  #: seconds to wait for the one before to end, such as a delivery process whose parent was killed


class Role(StrEnum):
    all = "all"
    collector = "collector"
    delivery = "delivery"
    console = "console"


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


class Serving(Struct, frozen=True, kw_only=True):
    """
    What one process of `milonga serve` is to do.

    shows         the console; None for none
    console_file  open file of the console's socket, in the process that shows it
    events_url    where events are taken, in the process that shows the console
    """

    data: Path
    listen: Listen
    shows: ConsoleOptions | None
    allow_private: bool
    single: bool
    accept_unknown: bool
    role: Role
    keep: Keep
    watch: Watch
    disk: DiskOptions
    console_file: int | None
    events_url: str

    async def run(self, lock: DataLock, life: int | None) -> None:
        """All parts side by side; if one fails, the others stop too and the error comes out."""
        stop = asyncio.Event()
        stop_on_signals(stop)
        if life is not None:
            stop_at_end_of(life, stop)
            if stop.is_set():
                if self.console_file is not None:
                    os.close(self.console_file)  # before the lock goes: whoever takes it wants this port
                return  # without having touched anything: the data directory may be about to go
        collected = asyncio.Event()  # delivery goes last: what was accepted a moment ago may still leave
        async with asyncio.TaskGroup() as parts:
            match self.role:
                case Role.delivery:
                    parts.create_task(_pass_on(stop, collected))
                    parts.create_task(self._deliver(collected))
                case Role.console:
                    be_polite()
                    listener = socket.socket(fileno=self.console_file)
                    parts.create_task(self._show(listener, self.events_url, stop))
                case _:
                    listening = None if self.shows is None else await self._listen(self.shows)
                    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
                    parts.create_task(self._collect(stop, collected, listening, url))
                    if self.role is Role.all:
                        parts.create_task(
                            self._deliver(collected) if self.single else self._keep_delivery(lock, collected)
                        )
                    if listening is not None:
                        parts.create_task(self._once_listening(url, lock, listening, stop))

    async def _listen(self, shows: ConsoleOptions) -> socket.socket:
        """
        Before all else, so that whoever chose a port that is taken learns it before an event is. One that a killed
        server's process of the console is just letting go of is waited for.
        """
        deadline = time.monotonic() + LETS_GO
        while True:
            try:
                return shows.listen()
            except (OSError, UnicodeError) as error:
                if getattr(error, "errno", None) != errno.EADDRINUSE or time.monotonic() >= deadline:
                    raise UserError(why_not(shows.host, shows.port, error, "--console-")) from error
            await asyncio.sleep(0.05)

    async def _deliver(self, stop: asyncio.Event) -> None:
        await deliver(self.data, allow_private=self.allow_private, keep=self.keep, reserve=self.disk.reserve, stop=stop)

    async def _keep_delivery(self, lock: DataLock, stop: asyncio.Event) -> None:
        options = [f"--keep-{n}={getattr(self.keep, n)}" for n in ("outcomes", "counts", "dead")]
        if self.disk.reserve is not None:
            options.append(f"--disk-reserve={self.disk.reserve}")
        if self.allow_private:
            options.append("--allow-private-destinations")
        await keep(
            Child(role="delivery", options=options, meanwhile="events are kept meanwhile"),
            self.data,
            lock.fileno(),
            stop,
        )

    async def _once_listening(
        self, url: "asyncio.Future[str]", lock: DataLock, listener: socket.socket, stop: asyncio.Event
    ) -> None:
        """The console comes last: what it takes to start must not keep the first event waiting."""
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((url, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not url.done():
                return
            if self.single:
                await self._show(listener, url.result(), stop)
            else:
                await self._keep_console(lock, listener, url.result(), stop)
        finally:
            stopping.cancel()
            listener.close()

    async def _show(self, listener: socket.socket, events_url: str, stop: asyncio.Event) -> None:
        assert self.shows is not None  # noqa: S101  nobody else comes here
        await console(
            self.data,
            self.shows,
            listener,
            events_url=events_url,
            allow_private=self.allow_private,
            stop=stop,
        )

    async def _keep_console(
        self, lock: DataLock, listener: socket.socket, events_url: str, stop: asyncio.Event
    ) -> None:
        assert self.shows is not None  # noqa: S101
        shows = self.shows
        options = [
            f"--console-file={listener.fileno()}",
            f"--console-host={shows.host}",
            f"--events-url={events_url}",
            *(f"--trusted-proxy={one}" for one in shows.trusted_proxies),
        ]
        if shows.url is not None:
            options.append(f"--console-url={shows.url}")
        if shows.tls is not None:
            options += [f"--tls-cert={shows.tls[0]}", f"--tls-key={shows.tls[1]}"]
        if self.allow_private:
            options.append("--allow-private-destinations")
        await keep(
            Child(
                role="console",
                options=options,
                files=(listener.fileno(),),
                meanwhile="events are taken and delivered meanwhile",
            ),
            self.data,
            lock.fileno(),
            stop,
        )

    async def _collect(
        self,
        stop: asyncio.Event,
        collected: asyncio.Event,
        listener: socket.socket | None,
        url: "asyncio.Future[str]",
    ) -> None:
        def listening(events_url: str) -> None:
            typer.echo(f"Milonga takes events at {events_url} (data: {self.data}). Ctrl-C stops it.")
            if self.shows is not None and listener is not None:
                typer.echo(invitation(self.data, self.shows.address(listener)))
            url.set_result(self.listen.public_url or events_url)

        try:
            await collect(
                self.data,
                self.listen,
                accept_unknown=self.accept_unknown,
                keep=self.keep,
                watch=self.watch,
                disk=self.disk,
                stop=stop,
                listening=listening,
            )
        finally:
            collected.set()


async def _pass_on(first: asyncio.Event, then: asyncio.Event) -> None:
    await first.wait()
    then.set()
