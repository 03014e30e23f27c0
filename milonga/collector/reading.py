"""
Requests out of bytes. llhttp (httptools) knows HTTP; here is what it leaves open: how much of anything is taken, and
how long it may take.
"""

from collections.abc import Callable, MutableMapping
from math import inf
from typing import Final

import httptools
from msgspec import Struct

from milonga.collector import answers
from milonga.collector.answers import Answer
from milonga.collector.collector import Collector
from milonga.collector.heads import END, Heads
from milonga.collector.origins import Shared, shared_with
from milonga.collector.request import NOBODY, Request
from milonga.collector.routes import Route, is_tracking, route_to
from milonga.collector.trouble import trouble
from milonga.spec.limits import MAX_REQUEST

MAX_HEADERS: Final = 64  #: of different names
_LISTS: Final = frozenset((b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"))
MAX_HEAD: Final = 16 * 1024  #: bytes of request line and headers; also of what is between two pieces of a body


class Refused(Exception):
    """Answer this, and read no more of this connection: where its next request begins is unknown."""

    def __init__(self, answer: Answer, shared: Shared | None = None, *, bare: bool = False) -> None:
        """shared, bare  see Request"""
        super().__init__(answer.status)
        self.answer = answer
        self.shared = shared
        self.bare = bare


class _Over(Exception):
    """Nothing more is read of this connection. For the parser, which goes by its own idea of that."""


class Clock(Struct):
    """
    now   seconds of the event loop's clock, as of its last tick: exact enough for patience, and costs nothing
    date  the header of that name, as it is written
    ok    `answers.OK` as it is written with this date: by far the most answers are
    """

    now: float
    date: bytes
    ok: bytes = b""

    def __post_init__(self) -> None:
        self.at(self.now, self.date)

    def at(self, now: float, date: bytes) -> None:
        self.now, self.date = now, date
        self.ok = b"%b%b\r\n%b" % (answers.OK.head, date, answers.OK.body)


class Reader:
    """
    The reading side of one connection. Methods called `on_...` are the parser's to call.

    deadline  by `clock`: when the head must be there, or something more of the body; infinite while nothing is read
    latest    by `clock`: when the whole body must be there, however steadily it drips in
    begun     a request has begun
    in_body   its headers are there
    ended     nothing may follow what was read
    peer      whoever is at the other end, as soon as that is known
    """

    def __init__(
        self,
        collector: Collector,
        clock: Clock,
        heads: Heads,
        *,
        head_patience: float,
        body_patience: float,
        stall_patience: float,
        take: Callable[[Request], None],
        ask_on: Callable[[], None],
    ) -> None:
        """
        take    gets each request that is there as a whole
        ask_on  called for a sender that sends its body only if it is told to
        """
        self._collector = collector
        self._room = collector.room
        self._clock = clock
        self._heads = heads
        self._head_patience = head_patience
        self._body_patience = body_patience
        self._stall_patience = stall_patience
        self._take = take
        self._ask_on = ask_on
        self._parser = httptools.HttpRequestParser(self)
        self.deadline = self.latest = inf
        self.begun = self.in_body = self.ended = False
        self._unspent = 0  # bytes read since something of use came
        self._fields: MutableMapping[bytes, bytes] = {}
        self.peer = NOBODY
        self._request = Request()
        self._body: bytes | bytearray = b""
        self._size = 0  # of the head, then of the body
        self._switching = False

    def feed(self, data: bytes) -> None:
        """Refused."""
        if self.ended:
            return
        between = not self.begun
        if between and self._take_known(data):
            return
        self._unspent += len(data)
        former = self._request
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as switch:
            self._go_on(data[switch.args[0] :])
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, _Over):
                return
            self.end()
            raise self._cause(error) from None
        except httptools.HttpParserError:
            if not self.ended:  # else it is what came behind `Connection: close`
                self.end()
                raise self._refused(answers.BAD_HTTP) from None
        if self._unspent > MAX_HEAD and not self.ended:
            self.end()
            raise self._refused(answers.LARGE_HEAD)
        if between and not self.begun and self._request is not former:
            self._heads.learn(data, self._request)

    def _take_known(self, data: bytes) -> bool:
        """
        Take it if it is one whole request and nothing else, and its head was read before. The parser, which is between
        two requests, need not see it.
        """
        size = data.find(END) + len(END)
        head = self._heads.find(data[:size])
        if head is None or head.length != len(data) - size:
            return False
        self._request = Request(
            to=head.to,
            target=head.target,
            peer=self.peer,
            fields=head.fields,
            authorization=head.authorization,
            encoding=head.encoding,
            body=data[size:],
            keep=True,
            shared=head.shared,
        )
        if not self._room.take(head.length, self._is_known):
            return False
        self._unspent = 0
        try:
            self._take(self._request)
        except Refused:
            self.end()
            raise
        except Exception as error:
            self.end()
            raise Refused(self._trouble(error), head.shared) from None
        return True

    def give_up(self) -> Refused:
        """What to answer once the deadline is over."""
        in_body = self.in_body
        self.end()
        return self._refused(answers.SLOW_BODY if in_body else answers.SLOW_HEAD)

    def extend(self) -> None:
        """Nothing could be read for a while, and it was not the sender's fault."""
        now = self._clock.now
        if self.in_body:
            self.deadline, self.latest = now + self._stall_patience, now + self._body_patience
        elif self.begun:
            self.deadline = now + self._head_patience

    @property
    def held(self) -> int:
        """Bytes of the body that is being read."""
        return len(self._body)

    def end(self) -> None:
        """Read no more; forget what is half read."""
        self.ended = True
        if self._body:
            self._room.give_back(len(self._body))
            self._body = b""
        self.begun = self.in_body = False
        self.deadline = self.latest = inf

    def _refused(self, answer: Answer) -> Refused:
        return self._to_sender(self._collector.away.refuse(answer, self._request))

    def _to_sender(self, answer: Answer) -> Refused:
        """For the request that is being read: once it has a target, its method is known, too."""
        bare = self._request.target != b"" and self._parser.get_method() == b"HEAD"
        return Refused(answer, self._request.shared, bare=bare)

    def _cause(self, error: BaseException) -> Refused:
        """What was raised in one of the methods below."""
        cause = error.__context__
        if isinstance(cause, Refused):
            return cause
        fault = cause if isinstance(cause, Exception) else RuntimeError("a callback of the parser failed")
        return self._to_sender(self._trouble(fault))

    def _trouble(self, fault: Exception) -> Answer:
        return trouble(self._collector.away, self._request.target.decode("latin-1"), fault)

    def on_message_begin(self) -> None:
        if self.ended:  # also by version 1.0, of which the parser does keep connections
            raise _Over
        self.begun = True
        self.deadline = self._clock.now + self._head_patience
        self._fields = {}
        self._size = 0
        self._request = Request(peer=self.peer)

    def on_url(self, part: bytes) -> None:
        self._request.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_body:
            return  # behind the body: it must not pass for a header, and `feed` bounds how much of it there may be
        self._size += len(name) + len(value) + 4
        if self._size > MAX_HEAD:
            raise self._refused(answers.LARGE_HEAD)
        name = name.lower()
        self._fields[name] = self._with_former(name, value) if name in self._fields else value

    def _with_former(self, name: bytes, value: bytes) -> bytes:
        """
        What a header that came before is worth now: of the lists that proxies lengthen, both lines make one. By two
        hosts a cache in front and we could mean different ones. Source: RFC 9110, 5.3; RFC 9112, 3.2
        """
        if name == b"host":
            raise self._refused(answers.BAD_HTTP)
        return b"%b, %b" % (self._fields[name], value) if name in _LISTS else value

    def on_headers_complete(self) -> None:
        fields, request, parser = self._fields, self._request, self._parser
        if len(fields) > MAX_HEADERS or len(request.target) + self._size > MAX_HEAD:
            raise self._refused(answers.LARGE_HEAD)
        self.in_body = True
        now = self._clock.now
        self.deadline, self.latest = now + self._stall_patience, now + self._body_patience
        self._size = 0
        method = parser.get_method()
        request.to = route_to(method, request.target)
        request.fields = fields
        if request.to is answers.NOT_FOUND:
            self._collector.away.wrong_path(request)
        if b"origin" in fields and is_tracking(request.to):
            request.shared = shared_with(fields[b"origin"])
        if int(fields.get(b"content-length", b"0")) > MAX_REQUEST:
            raise self._too_large(request.to)
        request.bare = method == b"HEAD"
        request.authorization = fields.get(b"authorization")
        request.encoding = fields.get(b"content-encoding")
        # Version 1.0 keeps connections only by an extension, which is not worth having: they end.
        request.keep = parser.should_keep_alive() and (
            b"connection" not in fields or parser.get_http_version() != "1.0"
        )
        self._switching = parser.should_upgrade()
        if b"expect" in fields and fields[b"expect"].lower() == b"100-continue":
            if isinstance(request.to, Answer):
                raise self._to_sender(request.to)
            self._ask_on()

    def on_body(self, part: bytes) -> None:
        self._unspent = 0
        self.deadline = self._clock.now + self._stall_patience
        self._size += len(part)
        if self._size > MAX_REQUEST:
            raise self._too_large(self._request.to)
        if isinstance(self._request.to, Answer):
            return  # the rest is thrown away, so that the connection can be kept
        if not self._room.take(len(part), self._is_known):
            self._room.give_back(len(self._body))
            self._body = b""
            self._request.to = self._collector.away.busy()
        elif not self._body:
            self._body = part
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += part

    def _is_known(self) -> bool:
        return self._collector.knows(self._request.authorization)

    def on_message_complete(self) -> None:
        if self._switching:
            return
        request = self._request
        self._unspent = 0
        request.body = bytes(self._body)
        self._body = b""
        self.begun = self.in_body = False
        self.deadline = self.latest = inf
        self.ended = not request.keep
        self._take(request)

    def _too_large(self, to: Route | Answer) -> Refused:
        return self._to_sender(to) if isinstance(to, Answer) else self._refused(answers.TOO_LARGE)

    def _go_on(self, rest: bytes) -> None:
        """
        A client asks to switch to another protocol (or by CONNECT to another host), as Java's own does to HTTP/2. We
        may go on as if it had not; the parser will not. So another one reads the body, behind a head that says how
        long it is.
        """
        self._switching = False
        self._request.keep = False
        self._parser = httptools.HttpRequestParser(_BodyOnly(self))
        framing = [
            (name, self._fields[name]) for name in (b"content-length", b"transfer-encoding") if name in self._fields
        ]
        lines = b"".join(b"%b: %b\r\n" % line for line in framing)
        # It must not take what comes behind for more of this request.
        self.feed(b"POST / HTTP/1.1\r\nConnection: close\r\n%b\r\n%b" % (lines, rest))


class _BodyOnly:
    def __init__(self, reader: Reader) -> None:
        self.on_body = reader.on_body
        self.on_message_complete = reader.on_message_complete
