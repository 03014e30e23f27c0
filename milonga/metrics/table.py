"""
Every metric, declared once: its name, what it is, and where its value comes from. docs/metrics.md shows this table, and
a test says that it does. Labels have few values: names of sources and destinations, codes, states; never an account, a
user or an address.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final, Literal, TypeAlias, TypeVar

from msgspec import Struct

from milonga import __version__
from milonga.collector.counts import What
from milonga.delivery.breaker import State as Breaker
from milonga.eventlog.levels import Level
from milonga.metrics.figures import PARTS, DeliveryFigures, Figures, SourceFigures
from milonga.outcomes.latency import bounds
from milonga.outcomes.model import State
from milonga.workspace.model import DestinationState

MOST_CODES: Final = 50  #: of one source or destination; a receiver that answers with ever new ones fills OTHER
OTHER: Final = "(other)"
UNKNOWN: Final = "(unknown)"  #: the source where none is known, as with an unknown write key
STEPS: Final = tuple(2**exponent / 1000 for exponent in (*range(2, 17), 18, 20, 22, 24, 26))
"""Seconds: 4 ms to about 19 hours. Powers of two, for the counts on disk have their bounds there."""

REASONS: Final[tuple[What, ...]] = (
    "unknown_write_key",
    "origin_not_allowed",
    "rate_limited",
    "refused",
    "busy",
    "log_full",
    "trouble",
)
ELSEWHERE: Final[frozenset[What]] = frozenset({"accepted", "duplicate", "discarded"})
"""What is counted on disk, by source, is not shown a second time from memory."""


class Histogram(Struct, frozen=True):
    """
    up_to  of each of STEPS, how many took no longer
    count  how many there were
    total  of the seconds they took, about
    """

    up_to: tuple[int, ...]
    count: int
    total: float


Values: TypeAlias = Iterable[tuple[tuple[str, ...], float | Histogram]]
"""(values of the labels, value)"""


class Metric(Struct, frozen=True):
    """
    kind    as Prometheus has them. Counters count from the server's start
    help    what it is, with its unit
    labels  names
    values  from the figures of one moment
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...]
    values: Callable[[Figures], Values]


def _delivering(figures: Figures) -> Iterator[tuple[str, DeliveryFigures]]:
    """Name of the destination, and what delivery says of it: where that is known."""
    return ((one.name, one.delivery) for one in figures.destinations if one.delivery is not None)


def _of_each(value: Callable[[DeliveryFigures], float | None]) -> Callable[[Figures], Values]:
    """One value of each destination; None where there is none."""

    def values(figures: Figures) -> Values:
        found = ((name, value(one)) for name, one in _delivering(figures))
        return (((name,), number) for name, number in found if number is not None)

    return values


def _states(destination: str, state: str, states: Iterable[str]) -> Values:
    """1 for the state it is in, 0 for every other."""
    return (((destination, name), float(state == name)) for name in states)


C = TypeVar("C")


def _few(counts: Mapping[C, int], most: int, other: Callable[[C], C]) -> dict[C, int]:
    """The first of them as they are, the others together: which came first does not change, so counters only grow."""
    few = dict(islice(counts.items(), most))
    for code, n in islice(counts.items(), most, None):
        few[other(code)] = few.get(other(code), 0) + n
    return few


def _by_code(codes: Callable[[SourceFigures], Mapping[str, int]]) -> Callable[[Figures], Values]:
    """Of each source, and of none."""

    def values(figures: Figures) -> Values:
        for one in (figures.nobody, *figures.sources):
            for code, n in _few(codes(one), MOST_CODES, lambda _: OTHER).items():
                yield (one.name or UNKNOWN, code), n

    return values


def _outcomes(figures: Figures) -> Values:
    for one in figures.destinations:
        counts = {(State.delivered, ""): 0, **one.outcomes}
        for (state, code), n in _few(counts, MOST_CODES, lambda key: (key[0], OTHER)).items():
            yield (one.name, state.name, code), n


def _took(figures: Figures) -> Values:
    return (((one.name,), histogram(one.took)) for one in figures.destinations)


def histogram(took: Mapping[int, int]) -> Histogram:
    """took  bucket (milonga.outcomes.latency) -> deliveries"""
    ends = [(bounds(bucket), n) for bucket, n in took.items()]
    up_to = tuple(sum(n for (_, below), n in ends if below <= round(step * 1000)) for step in STEPS)
    seconds = sum((low + below - 1) / 2000 * n for (low, below), n in ends)
    return Histogram(up_to, sum(took.values()), round(seconds, 3))


def _since_oldest(figures: Figures) -> Iterator[tuple[tuple[str, ...], float]]:
    for name, one in _delivering(figures):
        waits = 0.0 if one.oldest_waiting_at is None else figures.at - one.oldest_waiting_at
        yield (name,), max(0.0, waits)


def _count(what: What) -> Callable[[Figures], Values]:
    return lambda figures: [((), figures.collected.counts.get(what, 0))]


def _one(value: Callable[[Figures], float | None]) -> Callable[[Figures], Values]:
    def values(figures: Figures) -> Values:
        number = value(figures)
        return [] if number is None else [((), number)]

    return values


METRICS: Final = (
    Metric(
        "milonga_events_accepted_total",
        "counter",
        "Events taken in and durably kept.",
        ("source",),
        lambda f: (((one.name,), one.accepted) for one in f.sources),
    ),
    Metric(
        "milonga_events_duplicate_total",
        "counter",
        "Events whose first copy was kept within the last 24 hours; not kept again.",
        ("source",),
        lambda f: (((one.name,), one.duplicates) for one in f.sources),
    ),
    Metric(
        "milonga_events_discarded_total",
        "counter",
        "Events read and not kept, by the code of why. Where no source is known, it is (unknown).",
        ("source", "code"),
        _by_code(lambda one: one.discarded),
    ),
    Metric(
        "milonga_source_last_accepted_timestamp_seconds",
        "gauge",
        "When an event was last accepted, unix time, to the minute. Absent if none was since a day before the start.",
        ("source",),
        lambda f: (((one.name,), one.last_accepted) for one in f.sources if one.last_accepted is not None),
    ),
    Metric(
        "milonga_source_enabled",
        "gauge",
        "1 if the source is switched on, else 0.",
        ("source",),
        lambda f: (((one.name,), float(one.enabled)) for one in f.sources),
    ),
    Metric(
        "milonga_requests_refused_total",
        "counter",
        "Requests not answered well, by reason: unknown_write_key, origin_not_allowed, rate_limited, refused (another "
        "error of the sender's), busy, log_full, trouble (a fault of ours); the last three were answered 503.",
        ("reason",),
        lambda f: (((reason,), f.collected.counts.get(reason, 0)) for reason in REASONS),
    ),
    Metric(
        "milonga_source_refused_total",
        "counter",
        "Of these requests, those that somebody can do something about, by source and the code of the answer; some "
        "seconds later. Where no source is known, it is (unknown).",
        ("source", "code"),
        _by_code(lambda one: one.refused),
    ),
    Metric(
        "milonga_accounts_new_total",
        "counter",
        "Accounts that a source named for the first time.",
        (),
        _count("new_account"),
    ),
    Metric(
        "milonga_pixels_lost_total",
        "counter",
        "Pixels answered with their picture although their event could be neither kept nor counted.",
        (),
        _count("pixel_lost"),
    ),
    Metric(
        "milonga_sdk_metrics_requests_total",
        "counter",
        "Requests with which SDKs report their own metrics (/v1/m); nothing of them is kept.",
        (),
        _count("sdk_metrics"),
    ),
    Metric(
        "milonga_collector_held_bytes",
        "gauge",
        "Bytes of request bodies in memory.",
        (),
        _one(lambda f: f.collected.held),
    ),
    Metric(
        "milonga_log_writable",
        "gauge",
        "1 if the log takes events, 0 if senders get 503 log_full.",
        (),
        _one(lambda f: float(f.collected.writable)),
    ),
    Metric(
        "milonga_log_end_offset",
        "gauge",
        "Offset of the newest event in the log: how many there ever were, about.",
        (),
        _one(lambda f: f.collected.end),
    ),
    Metric(
        "milonga_outcomes_total",
        "counter",
        "Events that came to their end at a destination: state is delivered, skipped, dead or expired; code says why, "
        "and is empty if delivered, or replayed if a replay did so.",
        ("destination", "state", "code"),
        _outcomes,
    ),
    Metric(
        "milonga_delivery_seconds",
        "histogram",
        "Seconds from an event's arrival to its delivery. Counted in steps of at most a quarter, so the sum is about "
        "right.",
        ("destination",),
        _took,
    ),
    Metric(
        "milonga_destination_state",
        "gauge",
        "1 for the state the destination is in (on, off, paused), 0 for the others.",
        ("destination", "state"),
        lambda f: (value for one in f.destinations for value in _states(one.name, one.state, DestinationState)),
    ),
    Metric(
        "milonga_breaker_state",
        "gauge",
        "1 for the state of the destination's circuit breaker (closed, open, half_open), 0 for the others.",
        ("destination", "state"),
        lambda f: (value for name, one in _delivering(f) for value in _states(name, one.breaker, Breaker)),
    ),
    Metric(
        "milonga_waiting_events",
        "gauge",
        "Events without an end yet, as delivery last wrote it down.",
        ("destination",),
        _of_each(lambda one: one.waiting),
    ),
    Metric(
        "milonga_oldest_waiting_seconds",
        "gauge",
        "Age of the oldest event that waits, since its arrival; 0 if none does.",
        ("destination",),
        _since_oldest,
    ),
    Metric(
        "milonga_drain_seconds",
        "gauge",
        "Seconds until nothing waits, if the last minutes go on; 0 if nothing waits. Absent if that cannot be said: "
        "more arrives than ends, it is paused, off or does not answer.",
        ("destination",),
        lambda f: (((one.name,), one.drains_in) for one in f.destinations if one.drains_in is not None),
    ),
    Metric(
        "milonga_unread_events",
        "gauge",
        "Events in the log beyond the place up to which all is finished or parked; those of other sources among them.",
        ("destination",),
        _of_each(lambda one: one.unread),
    ),
    Metric(
        "milonga_parked_events",
        "gauge",
        "Events that wait on disk because their line does not move.",
        ("destination",),
        _of_each(lambda one: one.parked),
    ),
    Metric(
        "milonga_dead_letters",
        "gauge",
        "Events refused for good, kept until somebody resends or discards them. Counted once a minute.",
        ("destination",),
        _of_each(lambda one: one.dead),
    ),
    Metric(
        "milonga_last_delivered_timestamp_seconds",
        "gauge",
        "When a request was last answered well, unix time. Absent if none ever was.",
        ("destination",),
        _of_each(lambda one: one.last_delivered_at),
    ),
    Metric(
        "milonga_last_failure_timestamp_seconds",
        "gauge",
        "When a request last had an answer that was no delivery, or none, unix time. Absent if that never was.",
        ("destination",),
        _of_each(lambda one: one.last_failure_at),
    ),
    Metric(
        "milonga_disk_free_bytes",
        "gauge",
        "Free bytes of the disk that holds the data directory.",
        (),
        _one(lambda f: f.disk_free),
    ),
    Metric(
        "milonga_disk_reserve_bytes",
        "gauge",
        "Free bytes below which senders get 503 log_full, so that delivery can go on.",
        (),
        _one(lambda f: f.disk_reserve),
    ),
    Metric(
        "milonga_disk_level",
        "gauge",
        "1 for the level the disk is at (fine, low, high_water, used_up), 0 for the others.",
        ("level",),
        lambda f: (((level.value,), float(level is f.disk_level)) for level in Level),
    ),
    Metric(
        "milonga_log_most_bytes",
        "gauge",
        "Bytes that the log may have, as --log-size says. Absent without it.",
        (),
        lambda f: () if f.log_most is None else [((), float(f.log_most))],
    ),
    Metric(
        "milonga_data_bytes",
        "gauge",
        "Size of each part of the data directory: workspace, log, delivery, outcomes.",
        ("part",),
        lambda f: (((part,), f.sizes.get(part, 0)) for part in PARTS),
    ),
    Metric(
        "milonga_data_readable",
        "gauge",
        "1 if that part of the data directory could be read; if 0, figures of it are the last known, or absent.",
        ("part",),
        lambda f: (((part,), float(part not in f.unreadable)) for part in PARTS),
    ),
    Metric(
        "milonga_certificate_expiry_timestamp_seconds",
        "gauge",
        "When the TLS certificate expires, unix time. Absent without TLS.",
        (),
        _one(lambda f: f.certificate_ends),
    ),
    Metric(
        "milonga_alert_firing",
        "gauge",
        "1 for each alert that fires; name is of its source or destination, or empty. Absent otherwise.",
        ("alert", "name"),
        lambda f: ((about, 1.0) for about in sorted(f.alerts)),
    ),
    Metric(
        "milonga_build_info",
        "gauge",
        "Always 1; says which version runs.",
        ("version",),
        lambda _: [((__version__,), 1.0)],
    ),
)
