"""Counts over time, and how everything stands."""

from typing import Literal

from msgspec import Struct

from milonga.api.shapes.common import Moment
from milonga.api.shapes.destinations import Destination
from milonga.api.shapes.events import OutcomeCount
from milonga.workspace.model import SourceSettings

# Over time. A period in which there was nothing is left out


class VolumeAt(Struct, frozen=True, kw_only=True, rename="camel"):
    """Of one period, from `time` on. Refused are requests, all others events."""

    time: Moment
    accepted: int
    duplicates: int
    discarded: int
    refused: int


class Volume(Struct, frozen=True, kw_only=True, rename="camel"):
    """What one source sent. null: its write key is not known. Refused are requests, all others events."""

    source: str | None
    accepted: int
    duplicates: int
    discarded: int
    discarded_by_code: dict[str, int]
    refused: int
    refused_by_code: dict[str, int]
    series: list[VolumeAt]


class CountAt(Struct, frozen=True, kw_only=True, rename="camel"):
    """Events of one period, from `time` on."""

    time: Moment
    count: int


class Dataset(Struct, frozen=True, kw_only=True, rename="camel"):
    """
    Events that got to one step of the road. source, destination, discardReason: null unless they are told apart by it;
    a source is null, too, where its write key is not known.
    """

    source: str | None
    destination: str | None
    discard_reason: str | None
    total: int
    series: list[CountAt]


class MetricsAt(Struct, frozen=True, kw_only=True, rename="camel"):
    """Of one period, from `time` on."""

    time: Moment
    delivered: int
    not_delivered: list[OutcomeCount]
    p50_ms: float | None
    p99_ms: float | None


class DeliveryMetrics(Struct, frozen=True, kw_only=True, rename="camel"):
    """
    How a destination was delivered to: how many, what was not and why, and how long after their arrival half of the
    delivered came, and 99 of 100. waiting, retrying, parked: now.
    """

    destination: str
    source: str
    start_time: Moment
    end_time: Moment
    granularity: str
    waiting: int | None
    retrying: int
    parked: int
    delivered: int
    not_delivered: list[OutcomeCount]
    p50_ms: float | None
    p99_ms: float | None
    series: list[MetricsAt]


class WaitedAt(Struct, frozen=True, kw_only=True, rename="camel"):
    """The most of one period, from `time` on."""

    time: Moment
    waited: int
    oldest_ms: int


class Backlog(Struct, frozen=True, kw_only=True, rename="camel"):
    """
    How many events waited for a destination, and how old the oldest of them was: the most at any moment. A period that
    is left out is one in which no delivery ran, or not kept any more; null if all are.
    """

    destination: str
    source: str
    start_time: Moment
    end_time: Moment
    granularity: str
    waited: int | None
    oldest_ms: int | None
    series: list[WaitedAt]


# How everything stands


class Trouble(Struct, frozen=True, kw_only=True):
    """Of a source. page: of the console, where it is mended."""

    severity: Literal["bad", "warn"]
    title: str
    words: str
    page: str


class SourceStanding(Struct, frozen=True, kw_only=True, rename="camel"):
    """
    A source and its last hour. last: when its newest event came, to two minutes within the hour, to ten within a day,
    null before; spark: accepted events of every two minutes, the oldest first.
    """

    id: int
    name: str
    write_keys: list[str]
    created_at: Moment
    destinations: list[str]
    settings: SourceSettings
    enabled: bool
    accepted: int
    duplicates: int
    discarded: int
    discarded_by_code: dict[str, int]
    refused: int
    refused_by_code: dict[str, int]
    spark: list[int]
    last: Moment | None
    troubles: list[Trouble]


class DestinationHour(Struct, frozen=True, kw_only=True, rename="camel"):
    """How many ended in which way within an hour, and how long deliveries took. without_account: of the skipped."""

    delivered: int
    skipped: int
    without_account: int
    dead: int
    expired: int
    p50_ms: float | None
    p99_ms: float | None


class DestinationStanding(Destination, frozen=True, kw_only=True, rename="camel"):
    """A destination and its last hour. retrying, parked: events, now."""

    hour: DestinationHour
    retrying: int
    parked: int


class Overview(Struct, frozen=True, kw_only=True, rename="camel"):
    """refused: requests of the last hour that were refused and counted to no source."""

    at: Moment
    server_running: bool
    sources: list[SourceStanding]
    destinations: list[DestinationStanding]
    refused: int
    refused_by_code: dict[str, int]
