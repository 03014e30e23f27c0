"""
Sends requests over HTTP: libcurl's multi interface, driven by the event loop. What it promises:

- `done` is called exactly once for each request, never from within `send`, always on the loop's thread.
- A request is written at most once. libcurl by itself sends a request a second time when a kept-alive connection dies
  before the first byte of the answer, and the receiver may have both: here the second writing is refused, and the end
  is a `NoAnswer(perhaps=True)` that the caller counts and decides about.
- Every address is judged when its socket is about to be opened, after all name resolution, so that neither a name that
  points inwards nor one that changes its mind between look-up and connect gets through.
- A whole head of an answer is an answer, also if its body never ends, breaks off or is too long.
- TLS 1.2 or later, verified; HTTP/1.1; redirects are answers; nothing is taken from the environment (proxies, .netrc,
  cookies).

How one request looks to libcurl is in `curlcall.py`, what can be sent at all in `sendable.py`. Why libcurl:
docs/decisions/0005-delivery-client.md.
"""

import asyncio
import select
import threading
from collections import deque
from collections.abc import Callable
from math import inf
from time import perf_counter

import certifi
import pycurl

from milonga.delivery.curlcall import Call, Done, Kept
from milonga.delivery.outgoing import NoAnswer, Outgoing, Reply
from milonga.delivery.sendable import flaw_of

AT_ONCE = 64  #: answers that are taken back in one turn of the loop: whoever comes meanwhile waits that long
SOCKETS_AT_ONCE = 64  #: that are looked after in one turn
CLOSE_WITHIN = 0.05  #: seconds to wait for libcurl's own end; only an unfinished look-up makes it take longer
STOPPED = "Milonga was stopped before the answer came."


class Sender:
    """
    A pool of connections with its requests in flight. Belongs to one event loop (asyncio's or uvloop's).

    allow_private    connect to private, loopback and link-local addresses too
    ca_file          PEM file of the authorities to trust
    max_connections  requests in flight at most; the rest wait in order, their time not yet running

    Give each destination one of its own: a receiver that hangs, or whose name server does, holds up what shares its
    sender.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        allow_private: bool = False,
        ca_file: str | None = None,
        max_connections: int = 512,
    ) -> None:
        self._loop = loop
        self._allow_private = allow_private
        self._ca_file = ca_file or certifi.where()
        self._kept = Kept()
        self._idle: list[Call] = []
        self._busy: dict[pycurl.Curl, Call] = {}
        self._waiting: deque[tuple[Outgoing, Done]] = deque()
        self._empty: asyncio.Event | None = None
        self._broken_off = False
        self._multi = pycurl.CurlMulti()
        self.resize(max_connections)
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_NOTHING)
        self._wheel = _Wheel(loop, self._multi, self._collect)

    def resize(self, max_connections: int) -> None:
        """From now on. What is in flight beyond it ends as it would have; what waits may have room now."""
        self._max = max_connections
        self._kept.limit = 4 * max_connections
        self._multi.setopt(pycurl.M_MAXCONNECTS, max_connections)
        self._fill()

    def send(self, outgoing: Outgoing, done: Done) -> None:
        """Start, or queue, one request. Never raises for what is in it."""
        flaw = flaw_of(outgoing)
        if flaw is None and self._empty is not None:
            flaw = NoAnswer("connection_lost", STOPPED, perhaps=False)
        if flaw is not None:
            self._loop.call_soon(self._report, done, flaw, 0.0)
        elif len(self._busy) < self._max:
            self._start(outgoing, done)
        else:
            self._waiting.append((outgoing, done))

    async def close(self, grace: float) -> None:
        """
        Take no more, wait up to `grace` seconds for what was sent or queued, break off the rest: connections too are
        closed then. When this returns, or is cancelled, `done` has been called for all of it.
        """
        if self._empty is None:
            self._empty = asyncio.Event()
        try:
            if self._busy:
                async with asyncio.timeout(grace):
                    await self._empty.wait()
        except TimeoutError:
            pass
        finally:
            self._break_off()

    def _start(self, outgoing: Outgoing, done: Done) -> None:
        call = self._idle.pop() if self._idle else Call(self._loop, self._ca_file, self._allow_private, self._kept)
        try:
            call.begin(outgoing, done)
            self._multi.add_handle(call.easy)
        except (pycurl.error, UnicodeError, ValueError, OverflowError) as flaw:
            self._idle.append(call)
            reason = f"This request cannot be sent: {flaw}."
            self._loop.call_soon(self._report, done, NoAnswer("bad_url", reason, perhaps=False), 0.0)
        else:
            self._busy[call.easy] = call

    def _collect(self) -> None:
        """Take back calls that have ended, give their places to the next ones, tell."""
        more, good, bad = self._multi.info_read(AT_ONCE)
        for easy in good:
            self._end(easy, pycurl.E_OK, "")
        for easy, code, text in bad:
            self._end(easy, code, text)
        if more:
            self._wheel.turn_again()

    def _end(self, easy: pycurl.Curl, code: int, text: str) -> None:
        call = self._busy[easy]
        if call.stale:
            call.stale = False
            self._multi.remove_handle(easy)
            self._multi.add_handle(easy)
            return
        reply, done, seconds = call.reply(code, text), call.done, perf_counter() - call.started
        self._multi.remove_handle(easy)
        del self._busy[easy]
        self._idle.append(call)
        self._fill()
        self._report(done, reply, seconds)
        if self._empty is not None and not self._busy:
            self._empty.set()

    def _fill(self) -> None:
        while self._waiting and len(self._busy) < self._max:
            self._start(*self._waiting.popleft())

    def _break_off(self) -> None:
        if self._broken_off:
            return
        self._broken_off = True
        busy, waiting = list(self._busy.values()), list(self._waiting)
        self._busy.clear()
        self._waiting.clear()
        for call in busy:
            self._multi.remove_handle(call.easy)
        self._wheel.close()
        # libcurl waits here for look-ups, also those nobody needs any more, for as long as the resolver takes
        closing = threading.Thread(target=self._multi.close, daemon=True)
        closing.start()
        closing.join(CLOSE_WITHIN)
        if not closing.is_alive():
            for call in (*busy, *self._idle):
                call.easy.close()
        now = perf_counter()
        for call in busy:
            self._report(call.done, NoAnswer("connection_lost", STOPPED, perhaps=call.written), now - call.started)
        for _, done in waiting:
            self._report(done, NoAnswer("connection_lost", STOPPED, perhaps=False), 0.0)

    def _report(self, done: Done, reply: Reply, seconds: float) -> None:
        try:
            done(reply, seconds)
        except Exception as error:  # the caller's mistake must not cost the other requests their answers
            self._loop.call_exception_handler({"message": "A sender's callback failed", "exception": error})


class _Wheel:
    """
    Turns libcurl: watches its sockets, keeps its one timer, and calls `turned` after each turn.

    All sockets are in one epoll of our own, and the event loop watches only that: a reader and a writer of the loop for
    each request cost a third of the whole (docs/decisions/0005-delivery-client.md).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, multi: pycurl.CurlMulti, turned: Callable[[], None]) -> None:
        self._loop = loop
        self._multi = multi
        self._turned = turned
        self._due = inf  #: by the loop's clock; 0.0 is at once
        self._soon: asyncio.Handle | None = None
        self._again = False
        self._alarm: asyncio.TimerHandle | None = None
        self._watched: set[int] = set()
        self._epoll = select.epoll()
        loop.add_reader(self._epoll.fileno(), self._on_sockets)
        multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)

    def close(self) -> None:
        for handle in (self._soon, self._alarm):
            if handle is not None:
                handle.cancel()
        self._multi.setopt(pycurl.M_TIMERFUNCTION, None)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, None)
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def turn_again(self) -> None:
        """In the next turn of the loop, whatever libcurl wants."""
        self._again = True
        if self._soon is None:
            self._soon = self._loop.call_soon(self._on_soon)

    def _watch(self, what: int, fd: int, multi: object, data: object) -> None:
        if what == pycurl.POLL_REMOVE:
            self._watched.discard(fd)
            self._epoll.unregister(fd)
        elif fd in self._watched:
            self._epoll.modify(fd, _EPOLL[what])
        else:
            self._watched.add(fd)
            self._epoll.register(fd, _EPOLL[what])

    def _set_timer(self, milliseconds: int) -> None:
        """
        libcurl wants a turn in so many milliseconds, or none (-1), and says so several times for each request. So an
        alarm that has become too early stays, and is set anew when it goes off.
        """
        if milliseconds < 0:
            self._due = inf
        elif milliseconds == 0:
            self._due = 0.0
            if self._soon is None:
                self._soon = self._loop.call_soon(self._on_soon)
        else:
            self._due = self._loop.time() + milliseconds / 1000
            self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            if self._alarm.when() <= self._due:
                return
            self._alarm.cancel()
        self._alarm = self._loop.call_at(self._due, self._on_alarm)

    def _on_alarm(self) -> None:
        self._alarm = None
        if self._due <= self._loop.time():
            self._on_time()
        elif self._due < inf:
            self._set_alarm()

    def _on_soon(self) -> None:
        self._soon = None
        if self._due == 0.0 or self._again:
            self._again = False
            self._on_time()

    def _on_time(self) -> None:
        self._due = inf
        self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._turned()

    def _on_sockets(self) -> None:
        for fd, events in self._epoll.poll(0, SOCKETS_AT_ONCE):
            if fd in self._watched:
                self._multi.socket_action(fd, _CURL[events & 0x1F])
        self._turned()


_EPOLL = {
    pycurl.POLL_NONE: 0,
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}
#: by an epoll mask's low five bits
_CURL = tuple(
    (pycurl.CSELECT_IN if mask & select.EPOLLIN else 0)
    | (pycurl.CSELECT_OUT if mask & select.EPOLLOUT else 0)
    | (pycurl.CSELECT_ERR if mask & (select.EPOLLERR | select.EPOLLHUP) else 0)
    for mask in range(0x20)
)
