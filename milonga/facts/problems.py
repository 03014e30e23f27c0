"""
What was not delivered, grouped by its reason: how many, since when, and what to do. From counts, and from one example
of each reason; nothing here counts rows of events.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import apsw
from msgspec import Struct

from milonga.delivery.letter_list import LetterFilter, count_by_code, letters
from milonga.delivery.parked_list import count_keys
from milonga.delivery.rows import DeadLetter
from milonga.delivery.store_reader import DeliveryReader
from milonga.destinations.contract import Skip
from milonga.eventlog.api import Position, Stored
from milonga.facts.facts import Facts, Place
from milonga.outcomes.examples import NEWEST, Examples, Mark, examples
from milonga.outcomes.model import Outcome, State
from milonga.outcomes.rules import apply
from milonga.outcomes.where import as_json, place_of
from milonga.outcomes.words import PIPELINE, instant, sentence, why_skipped
from milonga.spec.called import name_in
from milonga.spec.read import read_stamped
from milonga.spec.stored import Stamped
from milonga.workspace.commands import milliseconds

BARS: Final = 25  #: of a trend; the last one is the period that runs, the others those before it
PARTS: Final = 12  #: of a bar: it ends now, to within so small a part of it
SPANS: Final = {"24h": 24, "7d": 168, "30d": 720}  #: name -> hours of the 24 bars before the last one
UNDELIVERED: Final = (State.skipped, State.dead, State.expired)
PARKED_LOOKED_AT: Final = 20_000  #: parked keys whose last failure is counted

DEAD_FIX: Final = "Mend the cause, then resend them; or edit them; or discard them."
GONE: Final = "It has left the log: only its outcome is kept."


class Trend(Struct, frozen=True):
    """
    How many in each period, the oldest first.

    hours  of one period
    """

    hours: float
    bars: list[int]

    @property
    def total(self) -> int:
        return sum(self.bars)

    @property
    def lately(self) -> int:
        """In the period that runs."""
        return self.bars[-1]

    @property
    def before(self) -> float:
        """In one of the periods before it, on average."""
        return sum(self.bars[:-1]) / (len(self.bars) - 1)

    def as_json(self) -> dict[str, Any]:
        return {
            "hours": self.hours,
            "bars": self.bars,
            "total": self.total,
            "lately": self.lately,
            "before": round(self.before, 2),
        }


class Reason(Struct, frozen=True, kw_only=True):
    """
    All outcomes of one destination, state and code.

    kept  dead letters of it that wait for a decision; 0 for all others
    """

    destination: int
    state: State
    code: str
    trend: Trend
    kept: int = 0


def reasons(facts: Facts, span: str = "24h", destination: int | None = None, *, now: int | None = None) -> list[Reason]:
    """
    Those of destinations that are there: what waits for a decision and what comes most often first.

    span         one of SPANS
    destination  its id; None: of all
    now          unix milliseconds
    """
    minute = (milliseconds() if now is None else now) // 60_000
    length = SPANS[span] * 60 // (BARS - 1) // PARTS
    last = minute // length
    first = last - BARS * PARTS + 1
    counted = facts.outcomes.periods(first * length, length, UNDELIVERED)
    here = [place.config.id for place in facts.places if place.removed_at is None]
    wanted = [number for number in here if destination in (None, number)]
    kept = {} if facts.delivery is None else {number: count_by_code(facts.delivery, number) for number in wanted}
    keys = {key for key in counted if key[0] in wanted}
    keys |= {(number, State.dead, code) for number, by_code in kept.items() for code in by_code}
    found = [
        Reason(
            destination=number,
            state=state,
            code=code,
            trend=_trend(counted.get((number, state, code), Counter()), first, length),
            kept=kept.get(number, {}).get(code, (0, 0, 0))[0] if state is State.dead else 0,
        )
        for number, state, code in keys
    ]
    return sorted(found, key=lambda one: (-one.kept, -one.trend.total, one.destination, one.state, one.code))


def reason(facts: Facts, destination: int, state: State, code: str, span: str = "24h") -> Reason:
    """One of them, whether it occurred of late or not."""
    found = [one for one in reasons(facts, span, destination) if (one.state, one.code) == (state, code)]
    if found:
        return found[0]
    hours = SPANS[span] / (BARS - 1)
    return Reason(destination=destination, state=state, code=code, trend=Trend(hours, [0] * BARS))


def chart(facts: Facts, destination: int, state: State, code: str, span: str, *, now: int | None = None) -> Any:
    """How often it occurred, as web/src/charts.ts reads it."""
    minute, hours = (milliseconds() if now is None else now) // 60_000, SPANS[span]
    length = hours * 60 // 96
    last = minute // length
    counts = facts.outcomes.periods((last - 95) * length, length, [state]).get((destination, state, code), Counter())
    periods = range(last - 95, last + 1)
    tone = {State.skipped: "accent", State.dead: "bad"}.get(state, "warn")
    series = {"name": code, "tone": tone, "values": [counts.get(period, 0) for period in periods]}
    return {"times": [period * length * 60 for period in periods], "unit": "", "every": length, "series": [series]}


def _trend(counts: Mapping[int, int], first: int, length: int) -> Trend:
    bars = [sum(counts.get(first + bar * PARTS + part, 0) for part in range(PARTS)) for bar in range(BARS)]
    return Trend(length * PARTS / 60, bars)


class Met(Struct, frozen=True):
    """
    An event that came to this end.

    ended_at          unix milliseconds
    event             None if the log has it no more, it cannot be read, or it was erased
    settings_version  then in force; 0 of a dead letter
    """

    position: Position
    ended_at: int
    event: Stamped | None
    settings_version: int = 0


class Told(Struct, frozen=True):
    """
    Why, and what to do, in words.

    at       where in the console that is done (milonga.outcomes.where), as JSON; None if nowhere
    example  one of the newest events that it met; None if none is known any more
    """

    why: str
    fix: str
    at: dict[str, Any] | None
    example: Met | None


def tell(facts: Facts, reason: Reason) -> Told:
    """By what one example says: a destination's own fix stands in its skip, and a refusal in the receiver's words."""
    letter = _letter(facts, reason)
    met = _newest_two(facts, reason) if letter is None else [Met(letter.position, letter.died_at, letter.event)]
    example = next((one for one in met if one.event is not None), met[0] if met else None)
    if reason.code in PIPELINE:
        why, fix = PIPELINE[reason.code]
        return Told(why, fix, as_json(place_of(reason.code)), example)
    if reason.state is State.dead:
        why = _refusal(facts, reason, met) if letter is None else sentence(letter.reason)
        return Told(why, DEAD_FIX if reason.kept else "", as_json(("settings", "")), example)
    place = _place(facts, reason.destination)
    return Told(why_skipped(reason.code), _fix(facts, place, reason, met), as_json(place_of(reason.code)), example)


def _letter(facts: Facts, reason: Reason) -> DeadLetter | None:
    """The newest that is kept."""
    if facts.delivery is None or not reason.kept:
        return None
    found = letters(facts.delivery, LetterFilter(code=reason.code), reason.destination, limit=1).letters
    return found[0] if found else None


def _newest_two(facts: Facts, reason: Reason) -> list[Met]:
    """The newest first; the log may have lost one of them."""
    found = examples(facts.outcomes, reason.destination, reason.state, reason.code, limit=2).outcomes
    there = {one.position: one.event for one in facts.log.at_each([one.position.offset for one in found])}
    events = {position: event for position, event in there.items() if not event.stamp.is_erased}
    return [Met(one.position, one.ended_at, events.get(one.position), one.settings_version) for one in found]


def _refusal(facts: Facts, reason: Reason, met: Sequence[Met]) -> str:
    for one in met[:1]:
        tries = facts.outcomes.attempts(one.position, reason.destination)
        if tries:
            return sentence(tries[-1].reason)
    return f"Refused for good ({reason.code})."


def _fix(facts: Facts, place: Place | None, reason: Reason, met: Sequence[Met]) -> str:
    """What its destination says to an example, with the settings of today, if those still skip it."""
    if place is None or (kind := facts.workspace.kinds.get(place.config.kind)) is None:
        return ""
    for one in met:
        if one.event is None:
            continue
        config = place.config
        settings = facts.workspace.settings_at(config.id, one.settings_version)
        gate = facts.workspace.delivery_settings_at(config.id, one.settings_version).gate
        result = apply(kind, read_stamped(one.event), settings, gate).result
        if isinstance(result, Skip) and result.code == reason.code:
            return result.fix.replace(" NAME", f" {config.name}")
    return ""


def as_row(facts: Facts, reason: Reason, told: Told | None = None) -> dict[str, Any]:
    """told: of this reason, where it is known already"""
    told = tell(facts, reason) if told is None else told
    return {
        "destination": facts.destination_name(reason.destination),
        "state": reason.state.name,
        "code": reason.code,
        "why": told.why,
        "fix": told.fix,
        "fixAt": told.at,
        "trend": reason.trend.as_json(),
        "kept": reason.kept,
    }


# Examples


class Example(Struct, frozen=True):
    """
    stored  None if the log has it no more, or it cannot be read
    since   what became of it after this outcome; None if that is the last
    """

    outcome: Outcome
    stored: Stored | None
    since: Outcome | None


def newest(
    facts: Facts, destination: int, state: State, code: str, *, before: Mark = NEWEST, limit: int = 20
) -> tuple[list[Example], Examples]:
    """A page of examples, newest first, and what the next one needs."""
    page = examples(facts.outcomes, destination, state, code, before=before, limit=limit)
    positions = [one.position for one in page.outcomes]
    all_of = facts.outcomes.of_many(positions)
    there = {one.position: one for one in facts.log.at_each([position.offset for position in positions])}
    return [_example(one, there.get(one.position), all_of.get(one.position, [])) for one in page.outcomes], page


def _example(outcome: Outcome, stored: Stored | None, all_: list[Outcome]) -> Example:
    mine = [one for one in all_ if one.destination == outcome.destination]
    return Example(outcome, stored, mine[0] if mine and mine[0].ended_at > outcome.ended_at else None)


def example_as_row(example: Example) -> dict[str, Any]:
    outcome, stored = example.outcome, example.stored
    row: dict[str, Any] = {
        "position": {"partition": outcome.position.partition, "offset": outcome.position.offset},
        "endedAt": instant(outcome.ended_at),
        "receivedAt": instant(outcome.received_at),
        "since": None if example.since is None else _since(example.since),
        "type": None,
        "name": None,
        "user": None,
        "account": None,
        "messageId": None,
    }
    if stored is not None:
        stamp = stored.event.stamp
        row |= {"type": stamp.type, "user": stamp.user_id, "account": stamp.account, "messageId": stamp.message_id}
        row["name"] = None if stamp.is_erased else name_in(stored.event)
    return row


def _since(outcome: Outcome) -> dict[str, Any]:
    return {"state": outcome.state.name, "code": outcome.code, "endedAt": instant(outcome.ended_at)}


# Parked keys


class ParkedReason(Struct, frozen=True):
    """
    Parked keys by the last failure of the first event that waits behind them.

    code, reason  "" of those that only wait for their turn
    """

    code: str
    reason: str
    keys: int


class ParkedSummary(Struct, frozen=True):
    """
    keys, events  how many are parked
    exact         whether `by` counts all of them
    """

    destination: int
    keys: int
    events: int
    by: list[ParkedReason]
    exact: bool


_BY_CODE: Final = """
SELECT g.code, max(g.reason), count(*) FROM (SELECT * FROM progress WHERE destination = ?1 AND code <> '' LIMIT ?2) g
JOIN parked p ON p.destination = g.destination AND p.partition = g.partition AND p.offset = g.offset GROUP BY g.code
"""


def parked(facts: Facts, destination: int | None = None) -> list[ParkedSummary]:
    """Of each destination that has any, but what only waits for its turn in a replay."""
    if facts.delivery is None:
        return []
    here = [place.config.id for place in facts.places if place.removed_at is None]
    return list(_parked(facts.delivery, [number for number in here if destination in (None, number)]))


def _parked(reader: DeliveryReader, numbers: list[int]) -> Iterator[ParkedSummary]:
    for number in numbers:
        keys = count_keys(reader, number)
        if not keys:
            continue
        try:
            rows = list(reader.rows(_BY_CODE, (number, PARKED_LOOKED_AT)))
        except apsw.SQLError:
            rows = []
        if not rows and reader.replays.first_unfinished(number) is not None:
            continue
        by = sorted((ParkedReason(*row) for row in rows), key=lambda one: -one.keys)
        looked = sum(one.keys for one in by)
        yield ParkedSummary(number, keys, reader.parked_count(number), by, exact=looked < PARKED_LOOKED_AT)


def _place(facts: Facts, number: int) -> Place | None:
    return next((place for place in facts.places if place.config.id == number), None)
