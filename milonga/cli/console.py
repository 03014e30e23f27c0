"""The console's part of `milonga serve`: where it listens, what it is told, and running it."""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from milonga.collector.tls import BadCertificate, Tls
from milonga.workspace.errors import UserError
from milonga.workspace.store import Workspace

EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104
POLITE: Final = 5  #: by how much the console is nicer than the rest: pages and the index must not slow the pipeline
TURN: Final = 0.001
"""
Seconds for which a thread keeps Python's lock at most while another one wants it. Python's own 5 ms would let a page
wait so long after each of its queries while the index is made.
"""
BACKLOG: Final = 128  #: connections that wait to be taken
LOOK: Final = 30.0  #: seconds between two looks for a renewed certificate


class ConsoleOptions(Struct, frozen=True, kw_only=True):
    """
    Options of `milonga serve`.

    url  by which people reach it; None if it is as it listens
    tls  certificate and key, in PEM; None for plain HTTP
    trusted_proxies  addresses and networks whose word counts about where somebody logs in from
    """

    host: str
    port: int
    url: str | None = None
    tls: tuple[Path, Path] | None = None
    trusted_proxies: tuple[str, ...] = ()

    def check(self) -> None:
        """UserError for a URL that is none."""
        if self.url is not None:
            split = urlsplit(self.url)
            if split.scheme not in ("http", "https") or not split.hostname or split.path not in ("", "/"):
                raise UserError("--console-url has a scheme and a host alone, such as https://milonga.example.com.")

    def listen(self) -> socket.socket:
        """OSError or UnicodeError if it cannot be."""
        family, kind, _, _, where = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where)
            listener.listen(BACKLOG)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
        return listener

    def names(self) -> tuple[str, ...]:
        """Hosts that it answers to, beside addresses."""
        return tuple(_names(self.host, self.url))

    @property
    def secure(self) -> bool:
        return self.tls is not None or (self.url or "").startswith("https:")

    def address(self, listener: socket.socket) -> str:
        """Where people find it."""
        if self.url is not None:
            return self.url.rstrip("/")
        host, port = listener.getsockname()[:2]
        host = socket.gethostname() if host in EVERYWHERE else host
        return f"{'http' if self.tls is None else 'https'}://{f'[{host}]' if ':' in host else host}:{port}"


def _names(host: str, url: str | None) -> Iterator[str]:
    if url is not None and (name := urlsplit(url).hostname):
        yield name
    yield socket.gethostname().lower() if host in EVERYWHERE else host.lower()


async def console(
    data: Path,
    options: ConsoleOptions,
    listener: socket.socket,
    *,
    events_url: str,
    allow_private: bool,
    stop: asyncio.Event,
) -> None:
    """
    Show it until `stop` is set.

    events_url  where events are taken

    UserError if the certificate cannot be used.
    """
    from milonga.console.app import make_app  # 0.2 s and 8 MB that the other processes should not pay
    from milonga.console.config import Config
    from milonga.console.door import WorkspaceDoor
    from milonga.console.server import serve

    config = Config(
        data=data,
        events_url=events_url,
        names=options.names(),
        secure=options.secure,
        url=(options.url or "").rstrip("/"),
        allow_private=allow_private,
        trusted_proxies=options.trusted_proxies,
    )
    try:
        certificate = None if options.tls is None else Tls(*options.tls)
    except BadCertificate as error:
        raise UserError(str(error)) from error
    looking = None if certificate is None else asyncio.create_task(_look(certificate))
    try:
        app = make_app(config, WorkspaceDoor(data))
        await serve(app, listener, stop, None if certificate is None else certificate.context)
    finally:
        if looking is not None:
            looking.cancel()


async def _look(certificate: Tls) -> None:
    while True:
        await asyncio.sleep(LOOK)
        certificate.look()


def be_polite() -> None:
    """This process stands back behind the pipeline; and its threads, which share one lock, behind each other."""
    sys.setswitchinterval(TURN)
    with suppress(OSError):
        os.nice(POLITE)


def invitation(data: Path, address: str) -> str:
    """Where the console is; and how to begin, as long as nobody can log in."""
    with Workspace.open(data) as workspace:
        secret = workspace.users.first_link()
    if secret is None:
        return f"The console is at {address}"
    return (
        f"The console is at {address}. To begin, open this link within 30 minutes and set your password:\n"
        f"  {address}/setup/{secret}"
    )
