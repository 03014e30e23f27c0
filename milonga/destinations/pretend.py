"""
A pretend receiver: listens on a real socket, takes what a destination sends, records it, and misbehaves on demand.
For tests, the demo and the bench; each destination's `fake.py` says what is special about its own.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Generic, Literal, Protocol, Self, TypeVar
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec
from msgspec import Struct

from milonga.destinations.behavior import Behavior, Behaviors, Told
from milonga.destinations.listener import Call, Connection, HangUp, Reply, Turn, close_listener, json_reply

KEEP: Final = 100_000  #: newest requests kept
MAX_HELD: Final = 256 * 1024 * 1024  #: bytes, as received, of the requests kept
LISTED: Final = 10_000  #: requests in one answer of /_requests, unless `limit` says otherwise
_TELLING: Final = ("authorization", "content-type", "user-agent")


class Seen(Struct, kw_only=True):
    """
    One request as it arrived.

    received_at  unix seconds; no two requests have the same, so that it can be used to page
    method       of HTTP
    path         without the query
    params       as the receiver understood them
    status       of the answer; None until there is one, and for ever if the connection was lost before
    drop         where the connection was dropped on purpose
    started      seconds of the monotonic clock: read in full
    ended        the same: answered or connection lost; None while in flight
    headers      authorization, content-type and user-agent of the request
    size         bytes of query and body, and of the notes
    notes        what the receiver found out about it besides, by name, for /_requests
    """

    received_at: float
    method: str
    path: str
    params: Mapping[str, Any]
    status: int | None = None
    drop: Literal["before", "after"] | None = None
    started: float
    ended: float | None = None
    headers: Mapping[str, str] = {}
    size: int = 0
    notes: Mapping[str, Any] = {}


class Findings(Struct, frozen=True):
    """
    What a receiver makes of a request beside its parameters.

    notes    see Seen
    size     bytes of the notes, about
    refusal  its answer to a request that it does not believe
    """

    notes: Mapping[str, Any] = {}
    size: int = 0
    refusal: Reply | None = None


NOTHING: Final = Findings()


class Receiver(Protocol):
    """
    What is special about one kind of receiver.

    usual  its answer if all is well
    files  what it serves besides, by path
    """

    usual: Reply
    files: Mapping[str, Reply]

    def params(self, call: Call) -> Mapping[str, Any] | None:
        """What the sender said; None if nothing is received at this path. Never raises."""
        ...

    def examine(self, call: Call, now: float) -> Findings:
        """Look at a request whose parameters it has understood; `now` in unix seconds. Never raises."""
        ...

    def keep(self, seen: Seen) -> None:
        """Take notice of a request that was accepted."""
        ...

    def summary(self) -> dict[str, Any]:
        """Numbers, for /_summary."""
        ...

    def page(self) -> str:
        """HTML for a person who looks in, all that was received escaped."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...


R = TypeVar("R", bound=Receiver)


class Pretend(Generic[R]):
    """
    A receiver at work between `async with` and its end.

    requests   the newest `keep` of them (fewer if they are huge), oldest first
    received   how many there have been; those that are no longer in `requests` were forgotten
    in_flight  how many have neither been answered nor dropped yet
    """

    def __init__(self, receiver: R, *, host: str = "127.0.0.1", port: int = 0, keep: int = KEEP) -> None:
        self.receiver = receiver
        self.requests: deque[Seen] = deque()
        self._keep, self._held = keep, 0
        self.received = self.in_flight = 0
        self._elsewhere = 0
        self._statuses: dict[str, int] = {}
        self._behaviors = Behaviors()
        self._host, self._port = host, port
        self._connections: set[Connection] = set()
        self._last_received_at = 0.0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._take, self._connections), self._host, self._port
        )
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await close_listener(self._server)
        for connection in list(self._connections):
            connection.abort()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def forgotten(self) -> int:
        return self.received - len(self.requests)

    def behave(self, **behavior: Any) -> None:
        """Misbehave from now on, as Behavior says. msgspec.ValidationError if it cannot be understood."""
        self._behaviors.add(msgspec.convert(behavior, Behavior))

    def behave_well(self) -> None:
        """Answer as usual from now on."""
        self._behaviors.clear()

    def clear(self) -> None:
        """Forget all requests, and what was learned from them. Behaviours stay."""
        self.requests.clear()
        self._held = 0
        self._statuses.clear()
        self.received = self._elsewhere = 0
        self.receiver.clear()

    def _take(self, call: Call) -> Turn:
        params = self.receiver.params(call)
        if params is None:
            reply = self._control(call)
            return Turn(0.0, lambda gone: reply)
        self._last_received_at = max(time.time(), self._last_received_at + 1e-6)
        found = self.receiver.examine(call, self._last_received_at)
        told = self._behaviors.decide(params)
        seen = Seen(
            received_at=self._last_received_at,
            method=call.method,
            path=call.path,
            params=params,
            drop=told.drop,
            started=time.monotonic(),
            headers={name: call.headers[name] for name in _TELLING if name in call.headers},
            size=len(call.query) + len(call.body) + found.size,
            notes=found.notes,
        )
        self.requests.append(seen)
        self._held += seen.size
        while len(self.requests) > self._keep or self._held > MAX_HELD:
            self._held -= self.requests.popleft().size
        self.received += 1
        self.in_flight += 1
        return Turn(told.delay, lambda gone: self._end(seen, told, found.refusal, gone))

    def _end(self, seen: Seen, told: Told, refusal: Reply | None, gone: bool) -> Reply | HangUp:
        good = 200 <= told.status < 300
        if not good:
            refusal = None  # it was told to fail in another way
        if good and refusal is None and told.drop != "before":
            self.receiver.keep(seen)
        if told.drop is None and not gone:
            seen.status = told.status if refusal is None else refusal.status
        seen.ended = time.monotonic()
        self.in_flight -= 1
        name = "none" if seen.status is None else str(seen.status)
        self._statuses[name] = self._statuses.get(name, 0) + 1
        if told.drop is not None:
            return "reset" if told.drop == "before" else "close"
        if refusal is not None:
            return refusal
        usual = self.receiver.usual
        if told.status == usual.status and not told.headers:
            return usual
        return Reply(told.status, usual.content_type, usual.body if good else b"", told.headers)

    def _control(self, call: Call) -> Reply:
        """What is not part of the receiver's own manners."""
        match call.method, call.path:
            case "GET", "/":
                page = self.receiver.page().encode("utf-8", "replace")
                return Reply(200, "text/html; charset=utf-8", page, _PAGE_HEADERS)
            case "GET", "/_requests":
                return self._listed(call.query)
            case "DELETE", "/_requests":
                self.clear()
                return json_reply({"ok": True})
            case "GET", "/_summary":
                return json_reply(self._summary())
            case "POST", "/_behavior":
                return self._told(call.body)
            case "GET", "/_behavior":
                return json_reply(self._behaviors.active())
            case "DELETE", "/_behavior":
                self.behave_well()
                return json_reply({"ok": True})
        if call.method == "GET" and (file := self.receiver.files.get(call.path)) is not None:
            return file
        self._elsewhere += 1
        return json_reply({"error": f"Nothing answers {call.method} {call.path} here"}, 404)

    def _told(self, body: bytes) -> Reply:
        try:
            self._behaviors.add(msgspec.json.decode(body, type=Behavior))
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            return json_reply({"error": str(error)}, 400)
        return json_reply({"ok": True})

    def _listed(self, query: bytes) -> Reply:
        asked = dict(parse_qsl(query.decode("latin-1")))
        try:
            since, limit = float(asked.get("since", "0")), int(asked.get("limit", str(LISTED)))
        except ValueError:
            return json_reply({"error": "since is a number of unix seconds, limit a whole number"}, 400)
        later: list[Seen] = []
        for seen in reversed(self.requests):
            if seen.received_at <= since:
                break
            later.append(seen)
        later.reverse()
        return json_reply([_shown(seen) for seen in later[: max(0, limit)]])

    def _summary(self) -> dict[str, Any]:
        """
        statuses   how often each was answered; "none" for connections lost
        elsewhere  requests to paths where nothing is
        """
        return {
            "requests": self.received,
            "kept": len(self.requests),
            "forgotten": self.forgotten,
            "in_flight": self.in_flight,
            "elsewhere": self._elsewhere,
            "statuses": self._statuses,
            **self.receiver.summary(),
        }


_PAGE_HEADERS: Final = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}


def _shown(seen: Seen) -> dict[str, Any]:
    return {
        "received_at": seen.received_at,
        "method": seen.method,
        "path": seen.path,
        "params": seen.params,
        "status": seen.status,
        "drop": seen.drop,
        "started": seen.started,
        "ended": seen.ended,
        **seen.notes,
    }


def form(encoded: bytes) -> dict[str, str]:
    """
    A query string or form body. Quicker than urllib for the plain text most of it is; of a repeated name the last
    counts; what is not UTF-8 is replaced by U+FFFD.
    """
    found: dict[str, str] = {}
    for pair in encoded.replace(b"+", b" ").decode("latin-1").split("&"):
        name, _, value = pair.partition("=")
        if name or value:
            found[_unquoted(name)] = _unquoted(value)
    return found


def _unquoted(text: str) -> str:
    if "%" not in text and text.isascii():
        return text
    return unquote_to_bytes(text.encode("latin-1")).decode("utf-8", "replace")
