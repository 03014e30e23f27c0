"""How a running Milonga stands at one moment: what metrics show and alerts are judged by. Plain data."""

from collections.abc import Mapping

from msgspec import Struct

from milonga.eventlog.levels import Level
from milonga.outcomes.model import State


class SourceFigures(Struct, frozen=True, kw_only=True):
    """
    enabled        by its settings
    accepted, duplicates  events since the server's start
    discarded      code -> events since the server's start
    refused        code -> requests since the server's start
    last_accepted  unix seconds, to the minute; None if none was within a day before the start, or since
    ending_keys    write keys that end soon, or have ended, although something sends with them: each in words
    """

    name: str
    enabled: bool = True
    accepted: int = 0
    duplicates: int = 0
    discarded: Mapping[str, int] = {}
    refused: Mapping[str, int] = {}
    last_accepted: float | None = None
    ending_keys: tuple[str, ...] = ()


class DeliveryFigures(Struct, frozen=True, kw_only=True):
    """
    What delivery's file says of one destination.

    waiting, oldest_waiting_at, breaker, last_delivered_at, last_failure_at  see milonga.delivery.rows.Health; times in
                  unix seconds. If delivery does not get to see what arrives, the oldest is the first unread
    unread        events in the log beyond the place up to which all is finished or parked
    parked, dead  events
    """

    waiting: int = 0
    unread: int = 0
    parked: int = 0
    dead: int = 0
    oldest_waiting_at: float | None = None
    breaker: str = "closed"
    last_delivered_at: float | None = None
    last_failure_at: float | None = None


class DestinationFigures(Struct, frozen=True, kw_only=True):
    """
    state, since, by, reason  see StateChange; since in unix seconds
    outcomes  (state, code) -> events that ended so since the server's start
    took      bucket (milonga.outcomes.latency) -> deliveries since the server's start
    lately    delivered, and refused or expired, within the last minutes (milonga.metrics.reading)
    delivery  None if its file could not be read
    drains_in seconds until nothing waits, if the last minutes go on (milonga.delivery.forecast); None if that cannot be
              said
    """

    name: str
    source: str
    state: str = "on"
    since: float = 0.0
    by: str = ""
    reason: str = ""
    outcomes: Mapping[tuple[State, str], int] = {}
    took: Mapping[int, int] = {}
    lately: tuple[int, int] = (0, 0)
    delivery: DeliveryFigures | None = None
    drains_in: float | None = None


class Collected(Struct, frozen=True, kw_only=True):
    """
    What the collector has in memory.

    counts    milonga.collector.counts.What -> since its start
    held      bytes of request bodies
    writable  whether the log takes events
    end       the log's newest offset
    """

    counts: Mapping[str, int] = {}
    held: int = 0
    writable: bool = True
    end: int = 0


class Figures(Struct, frozen=True, kw_only=True):
    """
    at, started       unix seconds: this moment, and the server's start
    nobody            discarded and refused where no source is known, as with an unknown write key
    disk_level        see milonga.eventlog.levels
    disk_free, disk_reserve  bytes of the data directory's disk, and those that the log leaves to delivery
    log_most          bytes that the log may have; None: as many as there are
    sizes             part of the data directory -> bytes
    certificate_ends  unix seconds; None without TLS, or if its file cannot be read
    unreadable        parts of the data directory that could not be read; their figures are the last known, or zero
    alerts            (alert, name) of those that are firing
    """

    at: float
    started: float = 0.0
    sources: tuple[SourceFigures, ...] = ()
    destinations: tuple[DestinationFigures, ...] = ()
    nobody: SourceFigures = SourceFigures(name="")
    collected: Collected = Collected()
    disk_level: Level = Level.fine
    disk_free: int = 0
    disk_reserve: int = 0
    log_most: int | None = None
    sizes: Mapping[str, int] = {}
    certificate_ends: float | None = None
    unreadable: frozenset[str] = frozenset()
    alerts: frozenset[tuple[str, str]] = frozenset()


PARTS = ("workspace", "log", "delivery", "outcomes")
"""Of the data directory, as `sizes` and `unreadable` name them."""
