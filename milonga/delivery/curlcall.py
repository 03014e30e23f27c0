"""
One request as libcurl carries it: a reusable easy handle, its options, its callbacks, and how its end is to be read.

No callback here may raise: libcurl's caller would only print it.
"""

import asyncio
import select
import socket
from collections.abc import Callable
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import pycurl

from milonga import __version__
from milonga.delivery.opening import allowed_socket
from milonga.delivery.outgoing import NoAnswer, Outgoing, Reply
from milonga.destinations.contract import Answer

Done = Callable[[Reply, float], None]
"""(how it ended, seconds from the start of the transfer to the end)"""

Ends = tuple[str | int, ...]
"""A connection, as libcurl's pre-request callback names it: remote address, local address, remote port, local port."""

CONNECT_TIMEOUT = 10.0  #: seconds at most for name resolution, TCP and TLS together
KEPT_BODY = 1_000  #: bytes of an answer's body
MAX_BODY = 64 * 1024  #: bytes; a longer answer is cut off, with its connection
MAX_HEAD = 64 * 1024  #: bytes of all header lines; a longer head is a bad answer
MAX_IDLE = 30  #: seconds a connection may wait for its next use; many servers close at 60, some at 5
MAX_AGE = 600  #: seconds after which a connection is not used again, so that a name's new addresses get their turn

#: what is kept of an answer's header lines: what a judge or the reader of a failed attempt can use
KEPT_HEADERS = (
    "content-type",
    "date",
    "location",
    "ratelimit-reset",
    "retry-after",
    "server",
    "www-authenticate",
    "x-ratelimit-reset",
    "x-request-id",
)
_KEPT = {name.encode(): name for name in KEPT_HEADERS}


class Kept:
    """
    The connections that may be used again, to ask each whether its receiver has closed it meanwhile.

    libcurl asks only after a second of idleness. Without asking, every connection of a receiver that restarts, or
    closes after each answer without saying so, would cost a request that was "perhaps delivered".
    """

    def __init__(self) -> None:
        self.limit = 0  #: a connection that is forgotten is merely not asked
        self._polls: dict[Ends, select.poll] = {}

    def add(self, ends: Ends, fd: int) -> None:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        self._polls.pop(ends, None)
        self._polls[ends] = poll
        while len(self._polls) > self.limit:
            del self._polls[next(iter(self._polls))]

    def is_dead(self, ends: Ends) -> bool:
        """Closed, or unasked for bytes have come: nothing of use can be between two requests."""
        poll = self._polls.get(ends)
        return poll is not None and bool(poll.poll(0))


class Call:
    """
    One easy handle, used again and again, and the request it carries now.

    written  the request has begun to be written: the receiver may have it
    stale    libcurl chose a kept connection that was dead, so that nothing was written: add the handle again
    """

    __slots__ = (
        "_allow_private",
        "_answered",
        "_body",
        "_body_size",
        "_ends",
        "_head_size",
        "_headers",
        "_kept",
        "_loop",
        "_opened",
        "_outgoing",
        "_refused",
        "_shape",
        "_status",
        "done",
        "easy",
        "stale",
        "started",
        "written",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, ca_file: str, allow_private: bool, kept: Kept) -> None:
        self._loop = loop
        self._kept = kept
        self._allow_private = allow_private
        self._shape: Any = None
        self.easy = easy = pycurl.Curl()
        for option, value in OPTIONS:
            easy.setopt(option, value)
        easy.setopt(pycurl.CAINFO, ca_file)
        easy.setopt(pycurl.OPENSOCKETFUNCTION, self._open_socket)
        easy.setopt(pycurl.PREREQFUNCTION, self._may_write)
        easy.setopt(pycurl.HEADERFUNCTION, self._on_header)
        easy.setopt(pycurl.WRITEFUNCTION, self._on_body)

    def begin(self, outgoing: Outgoing, done: Done) -> None:
        self.done = done
        self.written = False
        self.stale = False
        self._outgoing = outgoing
        self._ends: Ends = ()
        self._answered = False
        self._status = 0
        self._headers: dict[str, str] = {}
        self._head_size = 0
        self._body = b""
        self._body_size = 0
        self._refused = ""
        self._opened = False
        easy = self.easy
        plain_get = outgoing.method == "GET" and not outgoing.body
        shape = (outgoing.method, plain_get, outgoing.url, outgoing.headers, outgoing.timeout)
        if shape != self._shape:  # most requests are as the one before but for the body
            self._shape = None
            easy.setopt(pycurl.URL, outgoing.url)
            easy.setopt(pycurl.HTTPHEADER, _lines(outgoing.headers))
            easy.setopt(pycurl.HTTPGET if plain_get else pycurl.POST, 1)
            easy.setopt(pycurl.CUSTOMREQUEST, outgoing.method)
            easy.setopt(pycurl.TIMEOUT_MS, max(1, int(outgoing.timeout * 1000)))
            easy.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, int(min(outgoing.timeout, CONNECT_TIMEOUT) * 1000)))
            self._shape = shape
        if not plain_get:
            easy.setopt(pycurl.POSTFIELDS, outgoing.body)
        self.started = perf_counter()

    def _open_socket(self, purpose: int, address: Any) -> socket.socket | int:
        """Judge the address that is about to be connected to. libcurl duplicates the socket: ours is closed soon."""
        found = allowed_socket(address, allow_private=self._allow_private)
        if isinstance(found, str):
            self._refused = found
            return int(pycurl.SOCKET_BAD)
        self._opened = True
        self._loop.call_soon(found.close)
        return found

    def _may_write(self, *ends: str | int) -> int:
        """Called when a connection stands ready, before each writing of the request: the second is a silent resend."""
        if self.written:
            return int(pycurl.PREREQFUNC_ABORT)
        if not self._opened and self._kept.is_dead(ends):
            self.stale = True
            return int(pycurl.PREREQFUNC_ABORT)
        self._ends = ends
        self.written = True
        return int(pycurl.PREREQFUNC_OK)

    def _on_header(self, line: bytes) -> int | None:
        self._head_size += len(line)
        if self._head_size > MAX_HEAD:
            return 0
        if self._answered:  # a trailer
            return None
        if line.startswith(b"HTTP/"):
            status = line.split(maxsplit=2)[1:2]  # libcurl has checked that it is three digits
            self._status = int(status[0]) if status and status[0].isdigit() else 0
            self._headers.clear()
        elif line in (b"\r\n", b"\n"):
            self._answered = self._status >= 200
        else:
            name, _, value = line.partition(b":")
            kept = _KEPT.get(name.lower())
            if kept is not None:
                self._headers[kept] = value.strip()[:1_000].decode("latin-1")
        return None

    def _on_body(self, chunk: bytes) -> int | None:
        if len(self._body) < KEPT_BODY:
            self._body += chunk[: KEPT_BODY - len(self._body)]
        self._body_size += len(chunk)
        return 0 if self._body_size > MAX_BODY else None

    def reply(self, code: int, text: str) -> Reply:
        """How it ended. `code` and `text` are libcurl's. To be called before the handle is removed."""
        if self._opened and code == pycurl.E_OK:
            fd = self.easy.getinfo(pycurl.ACTIVESOCKET)
            if fd >= 0:
                self._kept.add(self._ends, fd)
        if self._answered:
            return Answer(self._status, self._headers, self._body)
        return self._no_answer(code, text[:200])

    def _no_answer(self, code: int, text: str) -> NoAnswer:
        where, limit = place_of(self._outgoing.url), self._outgoing.timeout
        if code == pycurl.E_OPERATION_TIMEDOUT:
            if self.written:
                return NoAnswer("timeout", f"{where} did not answer within {limit:g} s.", True)
            return NoAnswer("timeout", f"No connection to {where} within {min(limit, CONNECT_TIMEOUT):g} s.", False)
        if self.written:
            if code in _LOST and not self._head_size:
                return NoAnswer("connection_lost", f"{where} closed the connection before it answered ({text}).", True)
            return NoAnswer("bad_answer", f"{where} answered, but not a whole answer of HTTP ({text}).", True)
        if self._refused and not self._opened:
            return NoAnswer("forbidden_address", refusal(where, self._refused), False)
        name, words = UNSENT.get(code, ("no_connection", "could not be reached"))
        return NoAnswer(name, f"{where} {words} ({text}).", False)


def refusal(where: str, address: str) -> str:
    """address  numeric, and why it is forbidden"""
    return (
        f"{where} leads to {address}. Milonga connects only to public addresses unless it was started "
        "with `milonga serve --allow-private-destinations`."
    )


def _lines(headers: tuple[tuple[str, str], ...]) -> list[bytes]:
    """As libcurl wants them: `Name;` sends an empty value, `Name:` nothing, not even what it would add by itself."""
    lines = [f"{name}: {value}" if value.strip() else f"{name};" for name, value in headers]
    names = {name.lower() for name, _ in headers}
    lines += [f"{name}:" for name in ("Expect", "Content-Type") if name.lower() not in names]
    return [line.encode() for line in lines]


def place_of(url: str) -> str:
    """Host and port, for a reason: without the user, path and query, which may hold secrets."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or {'http': 80, 'https': 443}[parts.scheme]}"


OPTIONS = (
    (pycurl.NOSIGNAL, 1),
    (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
    (pycurl.FOLLOWLOCATION, 0),
    (pycurl.PROXY, ""),  # the empty text switches the environment's proxies off too
    (pycurl.NETRC, pycurl.NETRC_IGNORED),
    (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
    (pycurl.HTTP_CONTENT_DECODING, 0),
    (pycurl.PATH_AS_IS, 1),
    (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
    (pycurl.SSL_VERIFYPEER, 1),
    (pycurl.SSL_VERIFYHOST, 2),
    (pycurl.MAXAGE_CONN, MAX_IDLE),
    (pycurl.MAXLIFETIME_CONN, MAX_AGE),
    (pycurl.TCP_KEEPALIVE, 1),
    (pycurl.USERAGENT, f"milonga/{__version__}"),
)

_TLS = frozenset(
    {
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_SSL_CACERT_BADFILE,
        pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_SSL_CIPHER,
        pycurl.E_SSL_CONNECT_ERROR,
        pycurl.E_SSL_INVALIDCERTSTATUS,
        pycurl.E_SSL_ISSUER_ERROR,
    }
)
#: ends after the request was written, of which nothing of an answer can be said
_LOST = _TLS | {  # TLS, connect and look-up: while libcurl was about to write it a second time
    pycurl.E_ABORTED_BY_CALLBACK,  # our refusal of that
    pycurl.E_COULDNT_CONNECT,
    pycurl.E_COULDNT_RESOLVE_HOST,
    pycurl.E_GOT_NOTHING,
    pycurl.E_RECV_ERROR,
    pycurl.E_SEND_ERROR,
}
#: ends before anything was written; what is not here is no_connection
UNSENT: dict[int, tuple[str, str]] = dict.fromkeys(_TLS, ("tls", "did not offer acceptable TLS")) | {
    pycurl.E_COULDNT_RESOLVE_HOST: ("no_address", "has no address: looking up its name failed"),
    pycurl.E_UNSUPPORTED_PROTOCOL: ("bad_url", "stands in a URL that is neither http nor https"),
    pycurl.E_URL_MALFORMAT: ("bad_url", "stands in a URL that libcurl cannot read"),
}
