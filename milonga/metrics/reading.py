"""Reads how things stand from the files of the data directory, beside whoever writes them."""

import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, TypeAlias

import apsw
import structlog
from cryptography import x509

from milonga.delivery.forecast import LATELY as FORECAST
from milonga.delivery.forecast import Lately, forecast
from milonga.delivery.rows import Health
from milonga.delivery.store_reader import DeliveryReader
from milonga.delivery.switching import first_offset
from milonga.eventlog.api import Position, Stored
from milonga.eventlog.counters import ACCEPTED, DISCARDED, DUPLICATE, REFUSED
from milonga.eventlog.lookup import AFTER_ALL, EventLookup
from milonga.eventlog.room import look
from milonga.metrics.figures import Collected, DeliveryFigures, DestinationFigures, Figures, SourceFigures
from milonga.metrics.running import DAY, Running
from milonga.outcomes.model import State
from milonga.outcomes.reader import OutcomeReader
from milonga.workspace.database import Token
from milonga.workspace.errors import UserError
from milonga.workspace.key_ends import ending_soon
from milonga.workspace.keys import WriteKey
from milonga.workspace.model import DestinationConfig, DestinationState, Source
from milonga.workspace.store import Workspace

_log = structlog.get_logger("milonga.metrics")

LATELY: Final = 15  #: minutes that a destination's rate of success is counted over
COUNT_AGAIN: Final = 60.0  #: seconds between two counts of dead letters: of 100,000 it takes a tenth of a second
WORTH_NOTHING: Final = "too_late"
"""The code of what expires because it was worth sending only at once (milonga.outcomes.words): no failure."""

Ended: TypeAlias = tuple[int, int, str]
"""(destination, state, code)"""


class Reading:
    """
    For one thread at a time. A part that cannot be read is said so once, and never keeps the others from being read.

    clock  unix seconds
    """

    def __init__(
        self,
        data: Path,
        log_folder: Path,
        certificate: Path | None,
        clock: Callable[[], float],
        *,
        reserve: int | None = None,
        most: int | None = None,
    ) -> None:
        """
        certificate    of the server's own TLS, PEM; None if it has none
        reserve, most  of the disk; see milonga.eventlog.levels.marks
        """
        self._reserve, self._most = reserve, most
        self._data, self._log_folder, self._certificate, self._clock = data, log_folder, certificate, clock
        self._lookup = EventLookup(log_folder)
        self._outcomes = OutcomeReader(data / "outcomes")
        self._workspace: Workspace | None = None
        self._token: Token | None = None
        self._sources: tuple[Source, ...] = ()
        self._configs: tuple[DestinationConfig, ...] = ()
        self._keys: dict[int, tuple[WriteKey, ...]] = {}
        self._dead: dict[int, tuple[float, int]] = {}
        self._ends: float | None = None
        self._cert_seen: tuple[int, int] | None = None
        self._unreadable: set[str] = set()
        self.started = clock()
        minute = int(self.started // 60)
        self._saw_day = False
        self._arrived: Running[tuple[int, str]] = Running(minute)
        self._ended: Running[Ended] = Running(minute)
        self._took: Running[tuple[int, int]] = Running(minute)

    def close(self) -> None:
        if self._workspace is not None:
            self._workspace.close()

    def begin(self) -> None:
        """Where all counting begins: to be called before events are taken. Quick."""
        self._look(int(self._clock() // 60))

    def figures(self, collected: Collected) -> Figures:
        """As of now."""
        now = self._clock()
        minute = int(now // 60)
        with self._part("workspace"):
            self._read_workspace()
        self._look(minute, 0 if self._saw_day else DAY)
        self._saw_day = True
        delivery: dict[int, DeliveryFigures] = {}
        with self._part("delivery"):
            delivery = self._read_delivery(collected.end)
        disk = look(self._log_folder, self._reserve, self._most)
        return Figures(
            at=now,
            started=self.started,
            sources=tuple(self._source(one) for one in self._sources),
            destinations=tuple(self._destination(one, minute, delivery.get(one.id)) for one in self._configs),
            nobody=SourceFigures(name="", discarded=self._by_code(0, DISCARDED), refused=self._by_code(0, REFUSED)),
            collected=collected,
            disk_level=disk.level,
            disk_free=disk.free,
            disk_reserve=disk.marks.reserve,
            log_most=self._most,
            sizes=self._sizes(),
            certificate_ends=self._certificate_ends(),
            unreadable=frozenset(self._unreadable),
        )

    def _look(self, minute: int, back: int = 0) -> None:
        """
        What was counted.

        back  minutes for which it is asked when a source last sent, if more than the others need
        """
        with self._part("log"):
            rows = self._lookup.counts(min(self._arrived.reads_from(minute), minute - back), AFTER_ALL)
            self._arrived.look(minute, ((one.minute, (one.source, one.name), one.n) for one in rows))
        with self._part("outcomes"):
            self._outcomes.unreadable.clear()
            counts, took = self._outcomes.minutes(min(self._ended.reads_from(minute), self._took.reads_from(minute)))
            self._ended.look(minute, ((at, (place, state, code), n) for at, place, state, code, n in counts))
            self._took.look(minute, ((at, (place, bucket), n) for at, place, bucket, n in took))
            for name, error in self._outcomes.unreadable.items():
                raise UserError(f"outcomes/{name}: {error}")

    @contextmanager
    def _part(self, name: str) -> Iterator[None]:
        try:
            yield
        except (UserError, OSError, apsw.Error) as error:
            if name not in self._unreadable:
                _log.error("metrics.unreadable", part=name, error=f"{type(error).__name__}: {error}")
            self._unreadable.add(name)
        else:
            self._unreadable.discard(name)

    # Sources

    def _read_workspace(self) -> None:
        if self._workspace is None:
            self._workspace = Workspace.open(self._data)
        if self._token is None or self._workspace.changed_since(self._token):
            token = self._workspace.token()
            self._sources, self._configs = self._workspace.sources.all(), self._workspace.destinations()
            self._keys = {one.id: self._workspace.write_keys.of(one.name) for one in self._sources}
            self._token = token

    def _source(self, source: Source) -> SourceFigures:
        last = self._arrived.last.get((source.id, ACCEPTED))
        return SourceFigures(
            name=source.name,
            enabled=source.settings.enabled,
            accepted=self._arrived.totals.get((source.id, ACCEPTED), 0),
            duplicates=self._arrived.totals.get((source.id, DUPLICATE), 0),
            discarded=self._by_code(source.id, DISCARDED),
            refused=self._by_code(source.id, REFUSED),
            last_accepted=None if last is None else last * 60.0,
            ending_keys=tuple(ending_soon(self._keys.get(source.id, ()), int(self._clock() * 1000))),
        )

    def _by_code(self, source: int, kind: str) -> dict[str, int]:
        totals = self._arrived.totals.items()
        return {name.removeprefix(kind): n for (of, name), n in totals if of == source and name.startswith(kind)}

    # Destinations

    def _destination(
        self, config: DestinationConfig, minute: int, delivery: DeliveryFigures | None
    ) -> DestinationFigures:
        change, number = config.changes[-1], config.id
        return DestinationFigures(
            name=config.name,
            source=next((one.name for one in self._sources if one.id == config.source), ""),
            state=config.state.value,
            since=change.at / 1000,
            by=change.by,
            reason=change.reason,
            outcomes={(State(state), code): n for (of, state, code), n in self._ended.totals.items() if of == number},
            took={bucket: n for (of, bucket), n in self._took.totals.items() if of == number},
            lately=self._lately(number, minute),
            delivery=delivery,
            drains_in=None if delivery is None else self._drains_in(config, minute, delivery),
        )

    def _drains_in(self, config: DestinationConfig, minute: int, delivery: DeliveryFigures) -> float | None:
        since = minute - FORECAST
        ended = [(state, n) for (of, state, _), n in self._ended.within(since).items() if of == config.id]
        lately = Lately(
            self._clock() - since * 60,
            self._arrived.within(since).get((config.source, ACCEPTED), 0),
            sum(n for _, n in ended),
            sum(n for state, n in ended if state == State.delivered),
        )
        found = forecast(
            delivery.waiting,
            lately,
            state=config.state.value,
            breaker=delivery.breaker,
            rate_limit=config.delivery.rate_limit,
        )
        return 0.0 if found.way == "nothing" else found.seconds

    def _lately(self, number: int, minute: int) -> tuple[int, int]:
        delivered = failed = 0
        for (of, state, code), n in self._ended.within(minute - LATELY + 1).items():
            if of == number and state == State.delivered:
                delivered += n
            elif of == number and state in (State.dead, State.expired) and code != WORTH_NOTHING:
                failed += n
        return delivered, failed

    def _read_delivery(self, end: int) -> dict[int, DeliveryFigures]:
        try:
            reader = DeliveryReader(self._data / "delivery.db")
        except apsw.CantOpenError as error:
            is_made = isinstance(error.__cause__, apsw.SQLError)  # at this moment: it has no tables yet
            if (self._data / "delivery.db").exists() and not is_made:
                raise
            return {config.id: self._one(config, None, end) for config in self._configs}  # it never ran
        with closing(reader):
            return {config.id: self._one(config, reader, end) for config in self._configs}

    def _one(self, config: DestinationConfig, reader: DeliveryReader | None, end: int) -> DeliveryFigures:
        number = config.id
        health = (None if reader is None else reader.health(number)) or Health(at=0)
        read = None if reader is None else reader.position(number, 0)
        read = first_offset(config.changes, 0) if read is None else read
        off = config.state is DestinationState.off
        oldest = _seconds(health.oldest_waiting_at)
        if oldest is None and read < end and not off:
            oldest = self._arrival(read + 1)
        return DeliveryFigures(
            waiting=health.waiting,
            unread=0 if off else max(0, end - read),
            parked=0 if reader is None else reader.parked_count(number),
            dead=0 if reader is None else self._dead_letters(number, reader),
            oldest_waiting_at=None if off else oldest,
            breaker=health.breaker,
            last_delivered_at=_seconds(health.last_delivered_at),
            last_failure_at=_seconds(health.last_failure_at),
        )

    def _dead_letters(self, number: int, reader: DeliveryReader) -> int:
        at, n = self._dead.get(number, (0.0, 0))
        now = self._clock()
        if not 0 <= now - at < COUNT_AGAIN:
            n = reader.dead_count(number)
            self._dead[number] = (now, n)
        return n

    def _arrival(self, offset: int) -> float | None:
        """When this event arrived, unix seconds; None if the log cannot say."""
        found = self._lookup.at(Position(0, offset))
        return found.event.stamp.received_at / 1000 if isinstance(found, Stored) else None

    # The machine

    def _sizes(self) -> dict[str, int]:
        sizes = {"log": _size_in(self._log_folder), "outcomes": _size_in(self._data / "outcomes")}
        for part in ("workspace", "delivery"):
            sizes[part] = sum(_size(self._data / f"{part}.db{suffix}") for suffix in ("", "-wal"))
        return sizes

    def _certificate_ends(self) -> float | None:
        """The last known if the file cannot be read any more; that TLS goes on with what it has, its own log says."""
        if self._certificate is None:
            return None
        try:
            now = self._certificate.stat()
            seen = (now.st_ino, now.st_mtime_ns)
            if seen != self._cert_seen:
                first = x509.load_pem_x509_certificates(self._certificate.read_bytes())[0]
                self._ends, self._cert_seen = first.not_valid_after_utc.timestamp(), seen
        except (OSError, ValueError):
            pass
        return self._ends


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _size(path: Path) -> int:
    """Bytes; 0 if it is no file, or not there any more."""
    try:
        found = path.stat()
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _size_in(folder: Path) -> int:
    try:
        return sum(_size(path) for path in folder.iterdir())
    except OSError:
        return 0
