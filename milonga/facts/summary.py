"""What is kept of an account or a user, all in all: before its single events, or when there are none."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from msgspec import Struct

from milonga.eventlog.api import Offset, Position, Stored
from milonga.eventlog.counters import DISCARDED, MINUTE, REFUSED
from milonga.eventlog.lookup import AFTER_ALL
from milonga.facts.facts import Facts, Place, is_never, waits_again, was_business_of
from milonga.facts.filed import at_its_places, count_filed, find_all
from milonga.facts.search import Wanted, candidates, each
from milonga.index.index import EventIndex
from milonga.outcomes.model import Outcome, State
from milonga.outcomes.words import instant
from milonga.workspace.commands import milliseconds

LOOKED: Final = 1_000  #: events whose outcomes are looked at
MOST: Final = 10_000  #: events counted where no index knows how many there are
NEAR: Final = 10_000  #: events looked through for what may be meant
AT_ONCE: Final = 500
HOUR: Final = 60 * MINUTE  #: milliseconds; who sent nothing for so long is silent

Ended = tuple[str, str]
"""(state, code)"""


class Summary(Struct, frozen=True):
    """
    told    its shape is in docs/explain.md
    newest  event there is; None without
    """

    told: dict[str, Any]
    newest: Stored | None


class _Counted(Struct, frozen=True):
    """more: there are older ones; first_at: unix milliseconds"""

    events: int
    types: Mapping[str, int]
    first_at: int | None
    more: bool


def summary(facts: Facts, wanted: Wanted, index: EventIndex | None = None) -> Summary:
    """
    How many events there are, and what became of the newest.

    wanted  an account, or a user
    index   as milonga.facts.search.find has it
    """
    ends, looked = dict[int, Counter[Ended]](), 0
    newest: Stored | None = None
    last_at: int | None = None
    before: Offset | None = AFTER_ALL
    while before is not None and looked < LOOKED:
        page = find_all(facts, wanted, min(AT_ONCE, LOOKED - looked), before=before, index=index)
        before, looked = page.before, looked + len(page.events)
        for found in at_its_places(ends_of(facts, page.events), page.filed).values():
            for place, end in found:
                ends.setdefault(place.config.id, Counter())[end] += 1
        for stored in page.events:
            newest = newest or stored
            if last_at is None and stored.position not in page.filed:
                last_at = stored.event.stamp.received_at
    if last_at is None and newest is not None:  # so many were filed that none of these names it
        last = next(each(facts.log, wanted, index, at_once=1), None)
        last_at = None if last is None else last.event.stamp.received_at
    counted = _by_index(facts, wanted, index) or _by_log(facts, wanted)
    told = {
        "account": wanted.account,
        "user": wanted.user,
        "events": counted.events,
        "more": counted.more,
        "filed": 0 if wanted.account is None else count_filed(facts, wanted.account, MOST),
        "firstAt": None if counted.first_at is None else instant(counted.first_at),
        "lastAt": None if last_at is None else instant(last_at),
        "types": dict(sorted(counted.types.items(), key=lambda one: -one[1])),
        "looked": looked,
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
    return Summary(told, newest)


def _by_index(facts: Facts, wanted: Wanted, index: EventIndex | None) -> _Counted | None:
    """None if the index does not know."""
    found = None if index is None else index.tally(account=wanted.account, user=wanted.user)
    if found is None:
        return None
    first = None if found.first is None else facts.log.at(Position(0, found.first))
    first_at = first.event.stamp.received_at if isinstance(first, Stored) else None
    return _Counted(found.events, found.types, first_at, not found.is_complete)


def _by_log(facts: Facts, wanted: Wanted) -> _Counted:
    """Of the newest MOST."""
    types, first_at = Counter[str](), None
    events = each(facts.log, wanted)
    for stored in islice(events, MOST):
        types[stored.event.stamp.type] += 1
        first_at = stored.event.stamp.received_at
    more = types.total() == MOST and next(events, None) is not None
    return _Counted(types.total(), types, first_at, more)


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
    for stored in islice(candidates(facts.log, Wanted()), NEAR):
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
    kept = f"{'the newest ' if looked == NEAR else ''}{looked:,} events kept"
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
