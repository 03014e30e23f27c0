"""One connection of a sender: whose turn it is, what is written, and when it ends."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from math import inf
from typing import Any, Final, cast

from msgspec import Struct

from milonga.collector import answers
from milonga.collector.answers import Answer
from milonga.collector.collector import Collector, Places
from milonga.collector.heads import Heads
from milonga.collector.reading import Clock, Reader, Refused
from milonga.collector.request import Request
from milonga.collector.trouble import trouble
from milonga.spec.limits import MAX_REQUEST

PIPELINE: Final = 16  #: requests that wait their turn before reading pauses
MOST_WAITING: Final = 1000  #: one read may bring as many; a sender of more is refused
MAX_UNREAD: Final = 64 * 1024 * 1024  #: bytes of answers, of all connections, that their senders do not take
TLS_BUFFER: Final = 16 * 1024  #: bytes of answers that wait for encryption; by default it would be 512 KiB for each
MAX_LINGER: Final = 2 * MAX_REQUEST  #: bytes thrown away so that a sender who still sends can read its refusal


class Patience(Struct, frozen=True):
    """
    Seconds, give or take a tick.

    head    for request line and headers to arrive, once they have begun
    stall   between two pieces of a body, and before the first
    body    for a body to arrive as a whole, over the slowest of networks
    take    for a sender to take its answers
    idle    between two requests: SDKs flush every 10 to 30 seconds
    linger  for a sender that was refused to stop sending
    tick    between two looks at all connections
    """

    head: float = 30.0
    stall: float = 10.0
    body: float = 60.0
    take: float = 30.0
    idle: float = 75.0
    linger: float = 5.0
    tick: float = 1.0


class Unread(Struct):
    """
    Answers that wait because their senders do not take them: scripts have 100 KB, and are anybody's to ask for.

    held  bytes, of connections that are not writable at the moment
    """

    held: int = 0
    limit: int = MAX_UNREAD


class Connection(asyncio.Protocol):
    """Requests are answered one after the other, in their order."""

    def __init__(
        self,
        collector: Collector,
        clock: Clock,
        heads: Heads,
        patience: Patience,
        unread: Unread,
        *,
        joined: Callable[["Connection"], Answer | None],
        left: Callable[["Connection"], None],
    ) -> None:
        """
        unread  of all connections together
        joined  what to answer if there must not be one more connection
        """
        self._collector = collector
        self._clock = clock
        self._patience = patience
        self._all_unread = unread
        self._unread = 0  # bytes, while not writable
        self._joined = joined
        self._left = left
        self._loop = asyncio.get_running_loop()
        self._reader = Reader(
            collector,
            clock,
            heads,
            head_patience=patience.head,
            body_patience=patience.body,
            stall_patience=patience.stall,
            take=self._take,
            ask_on=self._ask_on,
        )
        self._waiting: deque[Request] = deque()
        self._turn: Request | None = None  # the one that is with the collector
        self._task: asyncio.Task[None] | None = None
        self._deadline = inf  # of an idle connection, or one that does not take its answers or its refusal
        self._asking = False  # "100 Continue" is due
        self._writable = True
        self._paused = False
        self._stopping = False
        self._refused = False
        self._lingered: int | None = None  # bytes, once refused
        self._tls = False
        self._held = 0  # bytes of the bodies that wait

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        self._deadline = self._clock.now + self._patience.idle
        name = transport.get_extra_info("peername")
        self._tls = transport.get_extra_info("sslcontext") is not None
        if self._tls:
            self._transport.set_write_buffer_limits(high=TLS_BUFFER)
        self._reader.peer = self._collector.proxies.peer(name[0] if name else None, secure=self._tls)
        if (answer := self._joined(self)) is not None:
            self._reader.end()
            self._write(Request(answer), answer)

    def connection_lost(self, error: Exception | None) -> None:
        """What is with the collector stays there: its event is kept, its answer is nobody's."""
        self._reader.end()
        self._drop_waiting()
        self._asking = self._paused = False
        self._now_unread(0)
        self._left(self)

    def data_received(self, data: bytes) -> None:
        if self._lingered is not None:
            self._lingered += len(data)
            if self._lingered > MAX_LINGER:
                self._transport.abort()
            return
        try:
            self._reader.feed(data)
        except Refused as refused:
            self._refuse(refused)
        else:
            if self._held and self._is_too_much:
                self._pause()

    def eof_received(self) -> bool:
        """True keeps the connection: the sender may have ended only its own half, and wait. TLS has no halves."""
        self._reader.end()
        self._stopping = True
        return not self._tls and self._lingered is None and (self._turn is not None or bool(self._waiting))

    def pause_writing(self) -> None:
        self._writable = False
        self._deadline = self._clock.now + self._patience.take
        self._now_unread(self._transport.get_write_buffer_size())
        if self._all_unread.held > self._all_unread.limit:
            self._transport.abort()

    def resume_writing(self) -> None:
        self._writable = True
        self._now_unread(0)
        self._deadline = self._clock.now + self._patience.idle if self._turn is None else inf
        self._advance()

    def _now_unread(self, size: int) -> None:
        self._all_unread.held += size - self._unread
        self._unread = size

    # Called by the server

    def look(self) -> None:
        """Once a tick: has anything taken too long?"""
        now, reader = self._clock.now, self._reader
        ours_to_act = self._paused or self._asking  # a sender that waits for us is not slow
        if (reader.deadline <= now or reader.latest <= now) and not ours_to_act:
            refused = reader.give_up()
            self._refuse(refused)
        elif self._deadline <= now and not (reader.begun and self._writable):
            self._transport.abort()

    def finish(self) -> None:
        """Answer what is under way, then close."""
        self._stopping = True
        if self._turn is None and not self._waiting and not self._reader.in_body:
            self._transport.close()

    def give_up(self) -> None:
        """There is no more time: the sender learns that it may come again."""
        self._reader.end()
        self._asking = False
        self._drop_waiting()
        if self._turn is not None:
            self._write(self._turn, answers.STOPPING)  # what it waits for goes on: its event may be kept yet
        elif self._lingered is None:
            self._refuse(Refused(answers.STOPPING))

    def abort(self) -> None:
        self._transport.abort()

    # Requests

    def _take(self, request: Request) -> None:
        self._asking = False  # who sent the body without waiting needs not be told to go on
        if self._turn is None and self._writable and not self._waiting:
            self._begin(request)
            return
        self._waiting.append(request)
        self._held += len(request.body)
        if len(self._waiting) >= PIPELINE:
            if len(self._waiting) > MOST_WAITING:
                raise Refused(self._collector.away.busy())
            self._pause()

    @property
    def _is_too_much(self) -> bool:
        """Bodies that wait, beside the one that is being read: that one alone must be allowed to arrive."""
        return self._held > 0 and self._held + self._reader.held > MAX_REQUEST

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _advance(self) -> None:
        """Give the next one its turn, if it is anybody's."""
        while self._waiting and self._turn is None and self._writable:
            request = self._waiting.popleft()
            self._held -= len(request.body)
            self._begin(request)
        if self._paused and len(self._waiting) < PIPELINE and not self._is_too_much:
            self._paused = False
            self._reader.extend()
            self._transport.resume_reading()
        if self._asking and self._turn is None and not self._waiting:
            self._asking = False
            self._reader.extend()
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _begin(self, request: Request) -> None:
        route = request.to
        if isinstance(route, Answer):
            self._write(request, route)
            return
        self._turn, self._deadline = request, inf
        try:
            begun = self._collector.begin(route, request)
        except Exception as error:
            begun = self._trouble(error)
        if isinstance(begun, Answer):
            self._end(begun)
        elif isinstance(begun, asyncio.Future):
            begun.add_done_callback(self._kept)
        else:
            self._task = self._loop.create_task(self._finish(begun))

    def _kept(self, append: "asyncio.Future[Places]") -> None:
        try:
            answer = self._collector.kept(append)
        except (Exception, asyncio.CancelledError) as error:
            answer = self._trouble(error)
        self._end(answer)
        if self._waiting or self._asking:
            self._advance()

    async def _finish(self, begun: Coroutine[Any, Any, Answer]) -> None:
        try:
            answer = await begun
        except (Exception, asyncio.CancelledError) as error:
            answer = self._trouble(error)
        self._task = None
        self._end(answer)
        self._advance()

    def _end(self, answer: Answer) -> None:
        request = self._turn
        assert request is not None  # noqa: S101
        self._turn = None
        self._give_back(request)
        self._write(request, answer)

    def _trouble(self, error: BaseException) -> Answer:
        if isinstance(error, asyncio.CancelledError):
            return answers.STOPPING
        assert self._turn is not None  # noqa: S101
        assert isinstance(error, Exception)  # noqa: S101
        return trouble(self._collector.away, self._turn.target.decode("latin-1"), error)

    def _ask_on(self) -> None:
        self._asking = True
        self._advance()

    def _refuse(self, refused: Refused) -> None:
        """After what is under way. The reader has ended."""
        self._refused = True
        self._asking = False
        self._waiting.append(Request(refused.answer, shared=refused.shared, bare=refused.bare))
        self._advance()

    def _drop_waiting(self) -> None:
        for request in self._waiting:
            self._give_back(request)
        self._waiting.clear()
        self._held = 0

    def _give_back(self, request: Request) -> None:
        """Its room, and its body with it: the reader knows the request until the next one begins, or for ever."""
        self._collector.room.give_back(len(request.body))
        request.body = b""

    # Answers

    def _write(self, request: Request, answer: Answer) -> None:
        if self._lingered is not None or self._transport.is_closing():
            return
        over = not request.keep or (self._stopping and not self._waiting and not self._reader.in_body)
        self._deadline = self._clock.now + (self._patience.take if over else self._patience.idle)
        shared = request.shared
        if answer is answers.OK and shared is None and not over:  # what is bare gets another one
            self._transport.write(self._clock.ok)
            return
        self._transport.write(
            b"%b%b%b%b\r\n%b"
            % (
                answer.head,
                b"" if shared is None or answer is answers.ORIGIN_NOT_ALLOWED else shared.lines,
                self._clock.date,
                b"connection: close\r\n" if over else b"",
                b"" if request.bare else answer.body,
            )
        )
        if not over or self._transport.is_closing():
            return
        if self._refused:
            # Closed while data still arrive, the connection would be reset, and our answer lost on its way.
            self._lingered = 0
            self._deadline = self._clock.now + self._patience.linger
            if self._transport.can_write_eof():  # TLS cannot
                self._transport.write_eof()
        else:
            self._transport.close()
