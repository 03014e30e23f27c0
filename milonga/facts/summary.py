"""What is kept of an account or a user, all in all: before its single events, or when there are none."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

from msgspec import Struct

from milonga.eventlog.api import Position, Stored
from milonga.eventlog.counters import DISCARDED, MINUTE, REFUSED
from milonga.eventlog.lookup import AFTER_ALL
from milonga.facts.facts import Facts, Place, is_never, waits_again, was_business_of
from milonga.facts.filed import count_filed
from milonga.facts.search import SCAN, Wanted, candidates, each
from milonga.index.index import EventIndex
from milonga.outcomes.model import Outcome, State
from milonga.outcomes.words import instant
from milonga.workspace.commands import milliseconds

MOST: Final = 10_000  #: events counted
AT_ONCE: Final = 500
HOUR: Final = 60 * MINUTE  #: milliseconds; who sent nothing for so long is silent

Ended = tuple[str, str]
"""(state, code)"""


class Tally(Struct):
    """first_at, last_at  unix milliseconds of arrival"""

    events: int = 0
    first_at: int = 0
    last_at: int = 0


def summary(facts: Facts, wanted: Wanted, index: EventIndex | None = None) -> dict[str, Any]:
    """Of the newest events that fit. The shape is in docs/explain.md. index: as milonga.facts.search.find has it"""
    tally, types, ends = Tally(), Counter[str](), dict[int, Counter[Ended]]()
    events = islice(each(facts.log, wanted, index), MOST + 1)
    while page := list(islice(events, AT_ONCE)):
        page = page[: MOST - tally.events]
        for stored in page:
            received = stored.event.stamp.received_at
            tally.last_at = tally.last_at or received
            tally.first_at = received
            tally.events += 1
            types[stored.event.stamp.type] += 1
        _count_ends(facts, page, ends)
        if tally.events == MOST:
            break
    more = next(events, None) is not None if tally.events == MOST else False
    return {
        "account": wanted.account,
        "user": wanted.user,
        "events": tally.events,
        "more": more,
        "filed": 0 if wanted.account is None else count_filed(facts, wanted.account, MOST),
        "firstAt": instant(tally.first_at) if tally.events else None,
        "lastAt": instant(tally.last_at) if tally.events else None,
        "types": dict(types.most_common()),
        "destinations": [
            {
                "destination": place.config.name,
                "id": place.config.id,
                "removedAt": None if place.removed_at is None else instant(place.removed_at),
                "outcomes": [
                    {"state": state, "code": code, "events": n}
                    for (state, code), n in ends[place.config.id].most_common()
                ],
            }
            for place in facts.places
            if place.config.id in ends
        ],
    }


def _count_ends(facts: Facts, page: list[Stored], ends: dict[int, Counter[Ended]]) -> None:
    for found in ends_of(facts, page).values():
        for place, end in found:
            ends.setdefault(place.config.id, Counter())[end] += 1


def ends_of(facts: Facts, page: Sequence[Stored]) -> dict[Position, list[tuple[Place, Ended]]]:
    """How each of these events stands at each destination whose business it is."""
    outcomes = facts.outcomes.of_many([stored.position for stored in page])
    found: dict[Position, list[tuple[Place, Ended]]] = {}
    for stored in page:
        of_event = outcomes.get(stored.position, [])
        mine = found.setdefault(stored.position, [])
        for place in facts.places:
            if place.config.source != stored.event.stamp.source:
                continue
            ended = [one for one in of_event if one.destination == place.config.id]
            if ended or place.removed_at is None or was_business_of(place, stored):
                mine.append((place, _end(facts, stored, place, ended)))
    return found


def _end(facts: Facts, stored: Stored, place: Place, outcomes: list[Outcome]) -> Ended:
    if outcomes and outcomes[0].state is not State.dead:
        return outcomes[0].state.name, outcomes[0].code
    if not outcomes and is_never(place.config, stored.position):
        return "never", ""
    held = facts.held(place, stored)
    if outcomes and not waits_again(held, outcomes):
        return outcomes[0].state.name, outcomes[0].code
    if not outcomes and facts.lost(stored, place, held):
        return ("unknown", "") if place.removed_at is None else ("skipped", "destination_removed")
    if held.progress is not None and held.progress.code:
        return State.retrying.name, held.progress.code
    return State.waiting.name, ""


def why_nothing(facts: Facts, wanted: Wanted) -> Iterator[str]:
    """What may have become of the events of an account or a user of which none is kept. Sentences."""
    since = facts.log.since()
    yield f"The log keeps events since {instant(since)}." if since else "The log is empty."
    yield "Ids are case-sensitive."
    looked = without = erased = 0
    near: Counter[str] = Counter()
    sought = wanted.account if wanted.account is not None else wanted.user or ""
    for stored in islice(candidates(facts.log, Wanted()), SCAN):
        stamp = stored.event.stamp
        id_ = stamp.account if wanted.account is not None else stamp.user_id
        looked += 1
        if stamp.is_erased:
            erased += 1
        elif id_ is None:
            without += 1
        elif len(id_) < 1_000 and id_.strip().casefold() == sought.strip().casefold():
            near[id_] += 1
    for id_, n in near.most_common(3):
        yield f"\nWritten differently: {id_!r}, {n:,} events."
    what = "account" if wanted.account is not None else "user id"
    kept = f"{'the newest ' if looked == SCAN else ''}{looked:,} events kept"
    if erased:
        yield f"\nErased since they came: {erased:,} of {kept}. `milonga regulations list` says by what."
    if without:
        yield f"\nWithout {what}: {without:,} of {kept}."
        if wanted.account is not None:
            skipped = sum(n for (_, _, code), n in facts.outcomes.totals().items() if code == "missing_group_id")
            yield f"Skipped as missing_group_id so far: {skipped:,}. `milonga events list --no-account` shows them."
    for said in (*discarded(facts), *refused(facts)):
        yield f"\n{said}"


def discarded(facts: Facts) -> Iterator[str]:
    """A sentence on what was not accepted, if there is any."""
    discards: Counter[str] = Counter()
    for count in facts.log.counts(0, AFTER_ALL):
        if count.name.startswith(DISCARDED):
            discards[count.name.removeprefix(DISCARDED)] += count.n
    if discards:
        codes = ", ".join(f"{n:,} {code}" for code, n in discards.most_common())
        yield f"Discarded as they came: {discards.total():,} ({codes}). `milonga events discarded` shows some."


def refused(facts: Facts) -> Iterator[str]:
    """A sentence on the requests of a day that were not let in, if there were any. Whose they were nobody can tell."""
    requests = 0
    for count in facts.log.counts((milliseconds() - 24 * HOUR) // MINUTE, AFTER_ALL):
        if count.name.startswith(REFUSED):
            requests += count.n
    if requests:
        were = "request was" if requests == 1 else "requests were"
        yield f"{requests:,} {were} refused in the last 24 hours: `milonga events counts`."


def why_silent(facts: Facts, newest: Stored, now: int) -> Iterator[str]:
    """
    What may have become of later events. Sentences.

    newest  of the account or user
    now     unix milliseconds
    """
    if now - newest.event.stamp.received_at >= HOUR:
        yield from refused(facts)
