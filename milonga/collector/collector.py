"""The tracking API, independent of any HTTP server: the parts of a request in, an answer out."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeAlias

import structlog
from msgspec import structs

from milonga.collector import answers
from milonga.collector.addresses import CHANGES, wanting
from milonga.collector.answers import NOT_FOUND, Answer, with_headers
from milonga.collector.aside import Aside, TooMany
from milonga.collector.ask import Ask, Serve
from milonga.collector.counts import What
from milonga.collector.origins import allows, preflight
from milonga.collector.pixel import Query, Unreadable
from milonga.collector.proxies import Proxies
from milonga.collector.request import Request
from milonga.collector.room import MAX_HELD, Room
from milonga.collector.routes import Kind, Route
from milonga.collector.rules import Rules
from milonga.collector.stamp import all_as, discards, stamp, with_ip
from milonga.collector.suppressed import NOBODY
from milonga.collector.trouble import trouble
from milonga.collector.turning_away import TurningAway
from milonga.collector.unpack import Broken, TooLarge, UnknownEncoding
from milonga.collector.write_key import key_in_header
from milonga.eventlog.api import Discard, Duplicate, EventLog, Ledger, LogFull, Position
from milonga.identity.new_accounts import NewAccounts
from milonga.privacy.ip import excerpt_changed, with_ip_changed
from milonga.spec.arrived import Decoded, NotJson
from milonga.spec.decode import decode, decode_mended
from milonga.spec.discards import Rejected
from milonga.spec.event import EventType
from milonga.spec.limits import MAX_EXCERPT
from milonga.spec.stored import Stamped
from milonga.workspace.model import Source

_log = structlog.get_logger("milonga.collector")

Places: TypeAlias = list[Position | Duplicate]

Begun: TypeAlias = "Answer | asyncio.Future[Places] | Coroutine[Any, Any, Answer]"
"""The answer; or an append, which `Collector.kept` turns into one; or what must be awaited for it."""


class Collector:
    """
    log, ledger     where events and discards are kept
    source_of       the source that has this write key, or None
    ended           the source that had this write key until it ended, or None
    allows_origin   whether any source takes what a page of this origin sends
    clock           unix seconds
    monotonic       seconds that never go back
    new_id          a messageId for an event that has none
    ready           whether events can be taken at all: workspace loaded, log open
    writable        whether the log could be written when that was last tried; only `/readyz` asks, as each event tries
    disk            its level (milonga.eventlog.levels), for `/readyz`
    accept_unknown  answer an unknown write key as Segment does: with 200, and keep nothing
    notice          told of everything that `counts` counts
    serve           answers what is fetched and no tracking path: scripts, settings, pages
    proxies         what is believed about the sender
    accounts        which accounts are new; by default none is
    max_held        bytes of bodies in memory at once; beyond it, for strangers beyond half of it, 503
    """

    def __init__(
        self,
        *,
        log: EventLog,
        ledger: Ledger,
        source_of: Callable[[str], Source | None],
        ended: Callable[[str], Source | None] = lambda _: None,
        allows_origin: Callable[[str], bool] = lambda _: True,
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
        new_id: Callable[[], str],
        ready: Callable[[], bool],
        writable: Callable[[], bool] = lambda: True,
        disk: Callable[[], str] = lambda: "fine",
        accept_unknown: bool = False,
        notice: Callable[[What, int], None] | None = None,
        serve: Serve = lambda _: NOT_FOUND,
        proxies: Proxies | None = None,
        accounts: NewAccounts | None = None,
        max_held: int = MAX_HELD,
    ) -> None:
        self._log = log
        self._ledger = ledger
        self._source_of = source_of
        self._allows_origin = allows_origin
        self._clock = clock
        self._new_id = new_id
        self._ready = ready
        self._writable = writable
        self._disk = disk
        self._serve = serve
        self.proxies = proxies or Proxies()
        self._rules = Rules(monotonic, accounts or NewAccounts())
        self.room = Room(max_held)
        self._aside = Aside()
        self.suppressed = NOBODY  #: to be set whenever it changes
        self.away = TurningAway(
            monotonic=monotonic, proxies=self.proxies, accept_unknown=accept_unknown, notice=notice, ended=ended
        )
        self.counts, self._count = self.away.counts, self.away.count

    async def handle(self, route: Route, request: Request) -> Answer:
        """Raises nothing of its own but what log and ledger raise beyond LogFull."""
        return await self._end(self.begin(route, request))

    def begin(self, route: Route, request: Request) -> Begun:
        """
        All of `handle` that needs no waiting, which usually is all but the log's own: a task for each single event
        would cost about as much as decoding it.
        """
        match route.kind:
            case Kind.single | Kind.batch:
                return self._take(route.type, request)
            case Kind.metrics:
                self._count("sdk_metrics")
                return answers.OK
            case Kind.preflight:
                return self._preflight(request)
            case Kind.alive:
                return answers.ALIVE
            case Kind.ready:
                tells = answers.ready if self._ready() and self._writable() else answers.not_ready
                return tells(self._disk())
            case Kind.pixel:
                return answers.PIXEL if request.bare else self._see(route, request)
            case Kind.settings:
                # Public, and fetched by scripts and phones of any site. Whatever keeps a copy must keep this with it.
                return with_headers(self._fetch(route, request), (b"access-control-allow-origin", b"*"))
            case Kind.served:
                return self._fetch(route, request)

    def _preflight(self, request: Request) -> Answer:
        """The key comes only with the event itself, so here it is enough if any source would take it."""
        origin = request.fields.get(b"origin", b"").decode("latin-1")
        if origin and not self._allows_origin(origin):
            return self.away.wrong_site(origin)
        return preflight(request.fields.get(b"access-control-request-headers", b""))

    def _fetch(self, route: Route, request: Request) -> Answer:
        front = self.proxies.front(request.fields, request.peer)
        if front is None:
            return self.away.refuse(answers.INVALID_HOST, request)
        host, secure = front
        return self._serve(
            Ask(
                path=route.path,
                host=host,
                secure=secure,
                accepts=request.fields.get(b"accept-encoding", b""),
                if_none_match=request.fields.get(b"if-none-match", b""),
                agent=request.fields.get(b"user-agent", b""),
            )
        )

    def knows(self, authorization: bytes | None) -> bool:
        """Whether this header names a key that a source has."""
        key = key_in_header(authorization)
        return key is not None and self._source_of(key) is not None

    def kept(self, append: "asyncio.Future[Places]") -> Answer:
        """The answer to an append that is done. Raises what the log raised, LogFull aside."""
        try:
            places = append.result()
        except LogFull:
            return self.away.log_full()
        duplicates = 0
        for place in places:
            if type(place) is Duplicate:
                duplicates += 1
        if duplicates:
            self._count("duplicate", duplicates)
        self._count("accepted", len(places) - duplicates)
        return answers.OK

    def tell_refused(self) -> None:
        """To be called every few seconds, and at the end: what was refused goes to the ledger and to the log."""
        self.away.tell(self._ledger, int(self._clock() * 1000))

    def _take(self, implied: EventType | None, request: Request) -> Begun:
        if not self._ready():
            return answers.NOT_READY
        key = key_in_header(request.authorization)
        # A header's key is judged before the body is read, so that strangers cost little; it goes before the body's.
        source = None if key is None else self._source_of(key)
        if key is not None and source is None:
            return self.away.unknown_key(key, request)
        if request.encoding is None:
            return self._read(implied, source, request, request.body)
        return self._unpack(implied, source, request, request.encoding)

    async def _unpack(
        self, implied: EventType | None, source: Source | None, request: Request, encoding: bytes
    ) -> Answer:
        try:
            body = await self._aside.unpacked(request.body, encoding)
        except UnknownEncoding:
            return self.away.refuse(answers.UNKNOWN_ENCODING, request)
        except Broken:
            return self.away.refuse(answers.BROKEN_GZIP, request)
        except TooLarge:
            return self.away.refuse(answers.TOO_LARGE, request)
        if not self.room.take(len(body), lambda: source is not None):
            return self.away.busy()
        try:
            return await self._end(self._read(implied, source, request, body))
        finally:
            self.room.give_back(len(body))

    def _read(self, implied: EventType | None, source: Source | None, request: Request, body: bytes) -> Begun:
        """source  None if the header names no key: then the body must"""
        decoded = decode(body, implied)
        if decoded is None:
            return self._mend(implied, source, request, body)
        return self._judge(source, request, decoded)

    async def _mend(self, implied: EventType | None, source: Source | None, request: Request, body: bytes) -> Answer:
        try:
            decoded = await self._aside.mended(body, implied, known=source is not None)
        except TooMany:
            return self.away.busy()
        except NotJson as error:
            return self.away.refuse(answers.refusal(400, "invalid_json", str(error)), request)
        return await self._end(self._judge(source, request, decoded))

    def _judge(self, source: Source | None, request: Request, decoded: Decoded, by_pixel: bool = False) -> Begun:
        if source is None:
            if decoded.write_key is None:
                return self.away.refuse(answers.NO_WRITE_KEY, request)
            source = self._source_of(decoded.write_key)
            if source is None:
                return self.away.unknown_key(decoded.write_key, request)
        settings = source.settings
        if settings.origins and not self._is_allowed(settings.origins, request):
            return self._wrong_origin(source, request, decoded)
        if not settings.enabled:
            return self._keep_none(source, all_as("source_disabled", "The source is switched off", decoded))
        if settings.rate_limit:
            too_many = self._rules.too_many(source, len(decoded.events) + len(decoded.rejected))
            if too_many is not None:
                self._count("rate_limited")
                if not by_pixel:  # nobody sends a picture's address again
                    return self.away.too_many(source, too_many)
                return self._keep_none(source, all_as("rate_limited", "The source's rate limit is reached", decoded))
        received_at = int(self._clock() * 1000)
        # From here to the append nothing may wait: accounts are resolved in the order in which events reach the log.
        stamped = stamp(decoded.events, source.id, received_at, self._new_id)
        places = wanting(decoded.events, settings.ip, by_pixel)
        if places and (ip := self.proxies.address(request.fields, request.peer)) is not None:
            for place in places:
                stamped[place] = with_ip(stamped[place], ip)
        if (change := CHANGES.get(settings.ip)) is not None:
            stamped = [with_ip_changed(event, change) for event in stamped]
        of_suppressed: list[Rejected] = []
        if self.suppressed:
            stamped, of_suppressed = self.suppressed.sieve(source.id, stamped)
        stamped, refused, new = self._rules.admit(source, stamped)
        if new:
            self._count("new_account", new)
        append = self._append(stamped)
        if not decoded.rejected and not refused and not of_suppressed:
            return append
        rejected = [*self._shown_of(source, [*decoded.rejected, *refused]), *of_suppressed]
        return self._keep_both(append, discards(rejected, source.id, received_at))

    def _shown_of(self, source: Source, rejected: list[Rejected]) -> list[Rejected]:
        """What may be kept to look at of events that are not accepted."""
        if self.suppressed:
            rejected = self.suppressed.veil(source.id, rejected)
        if (change := CHANGES.get(source.settings.ip)) is not None:
            rejected = [structs.replace(one, excerpt=excerpt_changed(one.excerpt, change)) for one in rejected]
        return rejected

    def _keep_none(self, source: Source, rejected: list[Rejected]) -> Begun:
        """Answered with 200, once it is in the books."""
        kept = self._shown_of(source, rejected)
        return self._count_discards(discards(kept, source.id, int(self._clock() * 1000)))

    async def _see(self, route: Route, request: Request) -> Answer:
        """A pixel: the picture is sent whatever happens, for nobody reads anything else."""
        try:
            answer = await self._end(self._read_pixel(route, request))
        except Exception as error:
            answer = trouble(self.away, f"/v1/pixel/{route.type}", error)
        self.away.pixel(answer)
        return answers.PIXEL

    def _read_pixel(self, route: Route, request: Request) -> Begun:
        if not self._ready():
            return answers.NOT_READY
        query = None
        try:
            query = Query(request.target)
            body = query.event()
            decoded = decode(body, route.type) or decode_mended(body, route.type)
        except (Unreadable, NotJson) as error:
            source = None if query is None else self._source_of(query.write_key or "")
            if source is None:
                return self.away.refuse(answers.NO_WRITE_KEY, request)
            excerpt = request.target[:MAX_EXCERPT]
            return self._keep_none(source, [Rejected(code="malformed_json", reason=str(error), excerpt=excerpt)])
        key = key_in_header(request.authorization) or decoded.write_key or query.write_key
        if key is None:
            return self.away.refuse(answers.NO_WRITE_KEY, request)
        source = self._source_of(key)
        if source is None:
            return self.away.unknown_key(key, request)
        return self._judge(source, request, decoded, by_pixel=True)

    @staticmethod
    def _is_allowed(origins: tuple[str, ...], request: Request) -> bool:
        """Who sends no Origin is no browser."""
        origin = request.fields.get(b"origin")
        return origin is None or allows(origins, origin.decode("latin-1"))

    async def _wrong_origin(self, source: Source, request: Request, decoded: Decoded) -> Answer:
        """In the books, for nobody else tells the owner why a site of his is silent."""
        origin = request.fields[b"origin"][:100].decode("latin-1")
        answer = self.away.wrong_site(origin, source)
        reason = f"Expected an allowed origin, got {origin!r}"
        found = self._shown_of(source, all_as("origin_not_allowed", reason, decoded))
        with suppress(LogFull):  # it is refused in any case
            await self._ledger.discard(discards(found, source.id, int(self._clock() * 1000)))
        return answer

    def _append(self, stamped: list[Stamped]) -> "Answer | asyncio.Future[Places]":
        if not stamped:
            return answers.OK
        try:
            return self._log.submit(stamped)
        except LogFull:
            return self.away.log_full()

    async def _keep_both(self, append: "Answer | asyncio.Future[Places]", found: list[Discard]) -> Answer:
        async with asyncio.TaskGroup() as group:
            counted = group.create_task(self._count_discards(found))
            answer = await self._end(append)
        return answer if answer is not answers.OK else counted.result()

    async def _end(self, begun: Begun) -> Answer:
        if isinstance(begun, Answer):
            return begun
        if not isinstance(begun, asyncio.Future):
            return await begun
        with suppress(LogFull):  # `kept` knows what to answer
            await begun
        return self.kept(begun)

    async def _count_discards(self, found: list[Discard]) -> Answer:
        try:
            await self._ledger.discard(found)
        except LogFull:
            return self.away.log_full()
        self._count("discarded", sum([discard.count for discard in found]))
        return answers.OK
