"""Sources, as rows, and how they stand."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from milonga.collector.refusals import HELP
from milonga.eventlog.counters import ACCEPTED, DISCARDED, DUPLICATE, REFUSED
from milonga.facts.facts import Facts
from milonga.facts.keys import key_for
from milonga.outcomes.words import instant
from milonga.workspace.key_ends import ending_soon
from milonga.workspace.model import DestinationConfig, Source
from milonga.workspace.roles import Role
from milonga.workspace.settings import shown


def as_row(source: Source, destinations: Sequence[DestinationConfig], role: Role = Role.viewer) -> dict[str, Any]:
    """role  of whoever sees it"""
    return {
        "id": source.id,
        "name": source.name,
        "writeKeys": [key_for(role, one) for one in source.write_keys],
        "createdAt": instant(source.created_at),
        "destinations": [one.name for one in destinations if one.source == source.id],
        "settings": shown(source.settings),
    }


HOUR: Final = 60  #: minutes
DAY: Final = 24 * HOUR
SPARK: Final = 2  #: minutes of one point of the line of the last hour
NEWEST: Final = 50  #: events of all sources that are looked at for when the last one came
COARSE: Final = 10  #: minutes: how exactly it is told when the last event came, beyond the last hour

Periods = Mapping[tuple[int, str], Mapping[int, int]]
"""As EventLookup.periods gives them."""


def standings(facts: Facts, now: int) -> list[dict[str, Any]]:
    """Of all sources, as `standing` has it. now: unix milliseconds"""
    counted = _Counted(facts, now)
    return [_standing(facts, source, counted, now) for source in facts.workspace.sources.all()]


def standing(facts: Facts, source: Source, now: int) -> dict[str, Any]:
    """
    A source's row, and of the last hour `accepted`, `duplicates`, `discarded`, `discardedByCode`, `refused`,
    `refusedByCode` (requests that are known to have been for this source), `spark` (accepted, every two minutes, oldest
    first); `last`: when the newest event came, exactly if it is among the newest of all sources, else the end of the
    two minutes in which it did within the last hour, or of the ten within a day, None before; `troubles`: `tone`
    ("bad", "warn"), `title`, `words` and `tab`, where to mend it.
    """
    return _standing(facts, source, _Counted(facts, now), now)


def refused_of_nobody(facts: Facts, now: int) -> list[dict[str, Any]]:
    """
    Requests of the last hour that were refused and counted to no source, also some with a good write key, such as to a
    wrong path: `code`, `requests`, `help`.
    """
    return _refusals(_Counted(facts, now).of(0, REFUSED))


class _Counted:
    """Counts of the last hour: the same minutes that the chart of an hour has (milonga.facts.over_time)."""

    def __init__(self, facts: Facts, now: int) -> None:
        self.since = now // 60_000 - HOUR + 1  #: the first minute
        self.periods: Periods = facts.log.periods(self.since, 1)
        self.of_day: Periods = facts.log.periods(now // 60_000 - DAY, COARSE)
        newest = [one.event.stamp for one in facts.log.newest(NEWEST)]
        self._newest = {stamp.source: stamp.received_at for stamp in reversed(newest)}

    def of(self, source: int, prefix: str) -> Counter[str]:
        """code -> of one source, what is named so and a code"""
        return Counter(
            {
                name.removeprefix(prefix): sum(periods.values())
                for (number, name), periods in self.periods.items()
                if number == source and name.startswith(prefix)
            }
        )

    def line(self, source: int) -> list[int]:
        periods = self.periods.get((source, ACCEPTED), {})
        minutes = [periods.get(self.since + place, 0) for place in range(HOUR)]
        return [sum(minutes[place : place + SPARK]) for place in range(0, HOUR, SPARK)]

    def last(self, source: int, now: int) -> int | None:
        """Unix milliseconds: when the last event came, or the end of the period in which it did, at most `now`."""
        if (exactly := self._newest.get(source)) is not None and exactly > now - DAY * 60_000:
            return exactly
        for found, length in ((self.periods, 1), (self.of_day, COARSE)):
            if periods := found.get((source, ACCEPTED)):
                return min(now, (max(periods) + 1) * length * 60_000)
        return None


def _standing(facts: Facts, source: Source, counted: _Counted, now: int) -> dict[str, Any]:
    discarded, refused = counted.of(source.id, DISCARDED), counted.of(source.id, REFUSED)
    last = counted.last(source.id, now)
    row = as_row(source, [place.config for place in facts.places if place.removed_at is None]) | {
        "enabled": source.settings.enabled,
        "accepted": counted.of(source.id, ACCEPTED).total(),
        "duplicates": counted.of(source.id, DUPLICATE).total(),
        "discarded": discarded.total(),
        "discardedByCode": dict(discarded.most_common()),
        "refused": refused.total(),
        "refusedByCode": dict(refused.most_common()),
        "spark": counted.line(source.id),
        "last": None if last is None else instant(last),
    }
    return row | {"troubles": list(_troubles(facts, source, row, refused, now))}


def _troubles(
    facts: Facts, source: Source, row: Mapping[str, Any], refused: Counter[str], now: int
) -> Iterator[dict[str, str]]:
    def one(tone: str, title: str, words: str, tab: str) -> dict[str, str]:
        return {"tone": tone, "title": title, "words": words, "tab": tab}

    if source.trouble:
        yield one("bad", "Its settings are damaged", source.trouble, "settings")
    if not source.settings.enabled:
        words = "What it is sent is answered with 200, counted as discarded (source_disabled), and not kept."
        yield one("warn", "It is switched off", words, "settings")
    for says in ending_soon(facts.workspace.write_keys.of(source.name), now):
        words = f"{says}. Change what sends with it over to the newest one."
        yield one("warn", "A write key that ends is in use", words, "keys")
    seen = row["accepted"] + row["discarded"]
    if row["discarded"] > seen // 20:
        words = "They were not as Segment's specification asks. Samples of them are kept, with the reason."
        yield one(
            "warn", f"{row['discarded']:,} of {seen:,} events of the last hour were discarded", words, "discarded"
        )
    for refusal in _refusals(refused):
        were = "request of the last hour was" if refusal["requests"] == 1 else "requests of the last hour were"
        title = f"{refusal['requests']:,} {were} refused: {refusal['code']}"
        yield one("warn", title, refusal["help"], "keys" if refusal["code"] == "write_key_ended" else "settings")


def _refusals(counts: Counter[str]) -> list[dict[str, Any]]:
    return [
        {"code": code, "requests": n, "help": HELP.get(code, "The server's log names the latest of them (`refused`).")}
        for code, n in counts.most_common()
        if n
    ]
