"""Counts over time, as charts draw them: one number for each period, from the counts per minute alone."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from milonga.eventlog.counters import ACCEPTED, DISCARDED, DUPLICATE
from milonga.facts.facts import Facts
from milonga.outcomes.latency import Latencies
from milonga.outcomes.model import State

Of: TypeAlias = Literal["counts", "most", "percentile"]
SpanName: TypeAlias = Literal["1h", "24h", "14d"]


class Span(Struct, frozen=True):
    """minutes: in all; length: of one period"""

    minutes: int
    length: int
    says: str

    def since(self, now: int) -> int:
        """The first minute, given unix milliseconds: at the beginning of a period."""
        minute = now // 60_000
        return (minute - self.minutes) // self.length * self.length + self.length

    def periods(self, now: int) -> range:
        return range(self.since(now) // self.length, now // 60_000 // self.length + 1)


SPANS: Final[Mapping[str, Span]] = {
    "1h": Span(60, 1, "1 hour"),
    "24h": Span(1_440, 15, "24 hours"),
    "14d": Span(20_160, 180, "14 days"),
}


def span_named(name: str) -> Span:
    """The shortest if there is none of this name."""
    return SPANS.get(name, SPANS["1h"])


def line(
    name: str, tone: str, span: Span, now: int, counts: Mapping[int, float | None], unit: str | None = None
) -> dict[str, Any]:
    """One line of a chart; where nothing was counted there was nothing. unit: if it is not the chart's"""
    found = {"name": name, "tone": tone, "values": [counts.get(period, 0) for period in span.periods(now)]}
    return found if unit is None else found | {"unit": unit}


def chart(span: Span, now: int, lines: Iterable[dict[str, Any]], unit: str = "", of: Of = "counts") -> dict[str, Any]:
    """
    As web/src/figures.ts reads it.

    unit  "" for events, "ms" for how long something took
    of    what each value is of its period: a count, the most, or a percentile
    """
    return {
        "of": of,
        "times": [period * span.length * 60 for period in span.periods(now)],
        "unit": unit,
        "every": span.length,
        "series": list(lines),
    }


def arrivals(facts: Facts, span: Span, now: int, sources: frozenset[int] | None = None) -> dict[str, Any]:
    """
    Events that were accepted, discarded, and named as duplicates.

    sources  ids; None: of all
    """
    sums: dict[str, dict[int, float | None]] = {"accepted": {}, "discarded": {}, "duplicates": {}}
    for (source, name), periods in facts.log.periods(span.since(now), span.length).items():
        if sources is not None and source not in sources:
            continue
        if name == ACCEPTED:
            what = "accepted"
        elif name == DUPLICATE:
            what = "duplicates"
        elif name.startswith(DISCARDED):
            what = "discarded"
        else:
            continue
        for period, n in periods.items():
            sums[what][period] = (sums[what].get(period) or 0) + n
    tones = (("accepted", "accent"), ("discarded", "bad"), ("duplicates", "muted"))
    return chart(span, now, [line(name, tone, span, now, sums[name]) for name, tone in tones])


TONES: Final = (
    (State.delivered, "good"),
    (State.skipped, "muted"),
    (State.dead, "bad"),
    (State.expired, "warn"),
)


def endings(facts: Facts, span: Span, now: int, destinations: frozenset[int] | None = None) -> dict[str, Any]:
    """What became of events. destinations: ids; None: all"""
    sums: dict[State, dict[int, float | None]] = {state: {} for state, _ in TONES}
    found = facts.outcomes.periods(span.since(now), span.length, [state for state, _ in TONES])
    for (destination, state, _code), periods in found.items():
        if destinations is None or destination in destinations:
            for period, n in periods.items():
                sums[state][period] = (sums[state].get(period) or 0) + n
    return chart(span, now, [line(state.name, tone, span, now, sums[state]) for state, tone in TONES])


def latency(facts: Facts, span: Span, now: int, destinations: frozenset[int] | None = None) -> dict[str, Any]:
    """From arrival to delivery: p50 and p99 in milliseconds; None where nothing was delivered."""
    sums: dict[int, dict[int, int]] = {}
    for (destination, period), buckets in facts.outcomes.latency_periods(span.since(now), span.length).items():
        if destinations is None or destination in destinations:
            mine = sums.setdefault(period, {})
            for bucket, n in buckets.items():
                mine[bucket] = mine.get(bucket, 0) + n
    lines = []
    for name, share, tone in (("p50", 0.5, "accent"), ("p99", 0.99, "warn")):
        values: dict[int, float | None] = dict.fromkeys(span.periods(now))
        for period, counts in sums.items():
            found = Latencies(counts).percentile(share)
            values[period] = None if found is None else round(found, 1)
        lines.append(line(name, tone, span, now, values))
    return chart(span, now, lines, "ms", "percentile")


def backlog(facts: Facts, span: Span, now: int, destinations: frozenset[int] | None = None) -> dict[str, Any]:
    """
    How many events waited in each period, at the most, and how old the oldest of them became, in milliseconds; None
    where no delivery ran. Of several destinations: the sum of the most of each, and the highest age.
    """
    waiting: dict[int, float | None] = dict.fromkeys(span.periods(now))
    ages: dict[int, float | None] = dict.fromkeys(span.periods(now))
    found = {} if facts.delivery is None else facts.delivery.backlog.periods(span.since(now), span.length)
    for destination, periods in found.items():
        if destinations is None or destination in destinations:
            for period, (n, age) in periods.items():
                waiting[period] = (waiting.get(period) or 0) + n
                ages[period] = max(ages.get(period) or 0, age)
    lines = [line("waiting", "accent", span, now, waiting), line("oldest", "warn", span, now, ages, "ms")]
    return chart(span, now, lines, of="most")
