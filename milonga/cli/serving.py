"""What the processes of `milonga serve` do: collect, deliver, show the console; and keeping each other alive."""

import asyncio
import errno
import os
import socket
import time
from enum import StrEnum
from pathlib import Path
from typing import Final

import typer
from msgspec import Struct

from milonga.cli.console import ConsoleOptions, be_polite, console, invitation
from milonga.cli.halves import Keep, Listen, collect, deliver, why_not
from milonga.cli.processes import Child, keep, stop_at_end_of, stop_on_signals
from milonga.cli.watching import Watch
from milonga.facts.disk import DiskOptions
from milonga.workspace.errors import UserError
from milonga.workspace.lock import DataLock

LETS_GO: Final = 1.0  #: seconds between the lock's end and the port's, of a process that is being ended


class Role(StrEnum):
    all = "all"
    collector = "collector"
    delivery = "delivery"
    console = "console"


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
            typer.echo(f"Milonga takes events at {events_url} (data: {self.data.absolute()}). Ctrl-C stops it.")
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
