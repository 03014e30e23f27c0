"""
Counts over a time that is asked for, period by period: what arrived, how far it got, how it was delivered. From the
counts per minute alone, which know sources, destinations and codes, and nothing else of an event.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias, get_args

from msgspec import Struct

from milonga.delivery.backlog_rows import KEPT
from milonga.eventlog.counters import ACCEPTED, DISCARDED, DUPLICATE, MINUTE, REFUSED
from milonga.facts.facts import Facts, Place
from milonga.outcomes.latency import Latencies
from milonga.outcomes.model import State
from milonga.outcomes.words import instant
from milonga.spec.discards import Code

Step: TypeAlias = Literal[
    "successfully-received",
    "failed-on-ingest",
    "filtered-at-source",
    "filtered-at-destination",
    "failed-delivery",
    "successful-delivery",
]
"""Of the road, as Segment names them. Source: Segment docs, Public API, Delivery Overview."""

By: TypeAlias = Literal["source", "destination", "discardReason"]
"""What counts are told apart by."""

STEPS: Final[tuple[Step, ...]] = get_args(Step)
ENDS: Final[Mapping[Step, tuple[State, ...]]] = {
    "filtered-at-destination": (State.skipped,),
    "failed-delivery": (State.dead, State.expired),
    "successful-delivery": (State.delivered,),
}
"""The steps that are about destinations; the others are about what arrives."""

AT_SOURCE: Final[frozenset[Code]] = frozenset(
    ("origin_not_allowed", "too_many_new_accounts", "rate_limited", "user_suppressed")
)
"""Codes of events that are as they should be, and that a rule keeps back all the same; the others are of bad ones."""


class Between(Struct, frozen=True):
    """
    Whole periods.

    since, until  unix minutes at which periods begin, until not included
    length        of a period, minutes; its number is unix minutes / length
    """

    since: int
    until: int
    length: int

    @staticmethod
    def around(since: int, until: int, length: int) -> "Between":
        """The periods in which these minutes are, until not included."""
        return Between(since // length * length, -(-until // length) * length, length)

    def holds(self, period: int) -> bool:
        return period * self.length < self.until

    def begin(self, period: int) -> str:
        return instant(period * self.length * MINUTE)


# What arrived


def volume(facts: Facts, between: Between, sources: Collection[int] | None = None) -> list[dict[str, Any]]:
    """
    Of each source that sent anything; `source` is None for those whose write key is not known.

    sources  ids; None: all
    """
    totals: dict[int, Counter[str]] = {}
    periods: dict[int, dict[int, Counter[str]]] = {}
    for (source, name), counts in facts.log.periods(between.since, between.length, between.until).items():
        if sources is None or source in sources:
            totals.setdefault(source, Counter())[name] += sum(counts.values())
            for period, n in counts.items():
                periods.setdefault(source, {}).setdefault(period, Counter())[name] += n
    return [
        {
            "source": facts.source(number) if number else None,
            **_sums(totals[number]),
            "discardedByCode": _by_code(totals[number], DISCARDED),
            "refusedByCode": _by_code(totals[number], REFUSED),
            "series": [
                {"time": between.begin(period), **_sums(counts)} for period, counts in sorted(periods[number].items())
            ],
        }
        for number in sorted(totals)
    ]


def _sums(counts: Counter[str]) -> dict[str, int]:
    return {
        "accepted": counts[ACCEPTED],
        "duplicates": counts[DUPLICATE],
        "discarded": sum(_by_code(counts, DISCARDED).values()),
        "refused": sum(_by_code(counts, REFUSED).values()),
    }


def _by_code(counts: Counter[str], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): n for name, n in counts.most_common() if name.startswith(prefix)}


# How far it got

Key: TypeAlias = tuple[int, int, str]
"""(source, destination, code): ids, 0 for whatever is not told apart, or not known; "" likewise."""


def counted(
    facts: Facts,
    step: Step,
    between: Between,
    by: Collection[By] = (),
    *,
    sources: Collection[int] | None = None,
    destinations: Collection[int] | None = None,
) -> dict[Key, Counter[int]]:
    """
    period -> events, of each that is told apart.

    sources, destinations  ids; None: all
    """
    found: dict[Key, Counter[int]] = {}
    of_what = _arrived(facts, step, between) if step not in ENDS else _ended(facts, ENDS[step], between)
    for (source, destination, code), periods in of_what:
        if (sources is None or source in sources) and (destinations is None or destination in destinations):
            key = (
                source if "source" in by else 0,
                destination if "destination" in by else 0,
                code if "discardReason" in by else "",
            )
            found.setdefault(key, Counter()).update(periods)
    return found


def _arrived(facts: Facts, step: Step, between: Between) -> Iterator[tuple[Key, Mapping[int, int]]]:
    for (source, name), periods in facts.log.periods(between.since, between.length, between.until).items():
        code = name.removeprefix(DISCARDED)
        if step_of(name) == step:
            yield (source, 0, "" if name == ACCEPTED else code), periods


def step_of(name: str) -> Step | None:
    """Where what arrived and is counted under this name got to; None: it is counted elsewhere, or it is no event."""
    if name == ACCEPTED:
        return "successfully-received"
    if not name.startswith(DISCARDED):
        return None
    return "filtered-at-source" if name.removeprefix(DISCARDED) in AT_SOURCE else "failed-on-ingest"


def _ended(facts: Facts, states: tuple[State, ...], between: Between) -> Iterator[tuple[Key, Mapping[int, int]]]:
    source_of = {place.config.id: place.config.source for place in facts.places}
    found = facts.outcomes.periods(between.since, between.length, states)
    for (destination, _, code), periods in found.items():
        if within := {period: n for period, n in periods.items() if between.holds(period)}:
            yield (source_of.get(destination, 0), destination, code), within


def dataset(facts: Facts, between: Between, key: Key, periods: Mapping[int, int]) -> dict[str, Any]:
    """`source`, `destination` and `discardReason` are None where they are not told apart."""
    source, destination, code = key
    return {
        "source": facts.source(source) if source else None,
        "destination": facts.destination_name(destination) if destination else None,
        "discardReason": code or None,
        "total": sum(periods.values()),
        "series": [{"time": between.begin(period), "count": n} for period, n in sorted(periods.items())],
    }


# How it was delivered


class _Ends(Struct):
    """ended: (state, code) -> events; took: bucket -> deliveries"""

    ended: Counter[tuple[State, str]]
    took: Counter[int]

    def as_json(self) -> dict[str, Any]:
        latencies = Latencies(self.took)
        return {
            "delivered": sum(n for (state, _), n in self.ended.items() if state is State.delivered),
            "notDelivered": [
                {"state": state.name, "code": code, "events": n}
                for (state, code), n in self.ended.most_common()
                if state is not State.delivered
            ],
            "p50Ms": _rounded(latencies.percentile(0.5)),
            "p99Ms": _rounded(latencies.percentile(0.99)),
        }


def delivery(facts: Facts, place: Place, between: Between) -> dict[str, Any]:
    """
    Of one destination: `delivered`, `notDelivered` (state, code, events), and from arrival to delivery `p50Ms` and
    `p99Ms` (None if nothing was delivered); the same of each period in `series`.
    """
    number = place.config.id
    periods: dict[int, _Ends] = {}

    def ends(period: int) -> _Ends:
        return periods.setdefault(period, _Ends(Counter(), Counter()))

    states = (State.delivered, State.skipped, State.dead, State.expired)
    ended = facts.outcomes.periods(between.since, between.length, states)
    for (destination, state, code), counts in ended.items():
        if destination == number:
            for period, n in counts.items():
                if between.holds(period):
                    ends(period).ended[state, code] += n
    took = facts.outcomes.latency_periods(between.since, between.length)
    for (destination, period), buckets in took.items():
        if destination == number and between.holds(period):
            ends(period).took += buckets
    whole = _Ends(Counter(), Counter())
    for one in periods.values():
        whole.ended += one.ended
        whole.took += one.took
    return {
        **whole.as_json(),
        "series": [{"time": between.begin(period), **periods[period].as_json()} for period in sorted(periods)],
    }


# How much waited


def backlog(facts: Facts, place: Place, between: Between) -> dict[str, Any]:
    """
    Of one destination: the most events that `waited` and how old the oldest of them became (`oldestMs`), of the whole
    time and of each period in `series`. A period that is left out is one in which no delivery ran.
    """
    found = {} if facts.delivery is None else facts.delivery.backlog.periods(between.since, between.length)
    periods = {period: most for period, most in found.get(place.config.id, {}).items() if between.holds(period)}
    return {
        "waited": max((waiting for waiting, _ in periods.values()), default=None),
        "oldestMs": max((age for _, age in periods.values()), default=None),
        "series": [
            {"time": between.begin(period), "waited": waiting, "oldestMs": age}
            for period, (waiting, age) in sorted(periods.items())
        ],
    }


def backlog_since(length: int, now: int) -> int:
    """
    Unix minutes since when it is known in periods of this length.

    length  minutes: 1, 60 or a day
    now     unix milliseconds
    """
    return now // MINUTE - KEPT[max(kept for kept in KEPT if length % kept == 0)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
