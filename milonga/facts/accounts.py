"""
How one account stands: what became of its newest events at each destination, and in words why it may be silent. For a
person who looks after the account, not the pipeline.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, Final
from urllib.parse import quote, urlencode

from msgspec import Struct

from milonga.eventlog.api import Position, Stored
from milonga.facts.facts import Facts, Place
from milonga.facts.failing import failing
from milonga.facts.filed import Found
from milonga.facts.stopped import stopped
from milonga.facts.summary import HOUR, Ended, refused
from milonga.index.accounts import Account
from milonga.index.index import EventIndex
from milonga.index.search import Query
from milonga.index.terms import seen_in
from milonga.outcomes.model import State
from milonga.outcomes.words import PIPELINE, instant, sentence, why_skipped
from milonga.workspace.model import DestinationState

NEWEST: Final = 200  #: events that are looked at
DAY: Final = 24 * HOUR
OLD: Final = 7 * DAY  #: milliseconds after which a group call is long ago
USERS: Final = 3  #: heard of last, whose newest event is looked at


class End(Struct, frozen=True):
    """State and code of an outcome, how many events have it, and why in words ("" if there is nothing to say)."""

    state: str
    code: str
    events: int
    why: str


class Standing(Struct, frozen=True):
    """
    How events of an account stand at one destination.

    ends          the most frequent first
    delivered     the newest of them that was delivered; None if none was
    delivered_at  when one of them was delivered last, by whatever way, unix milliseconds; None if none was. After an
                  outage that is long after the newest arrived
    tried         the newest of them that failed and is tried again; None if none is
    """

    place: Place
    ends: list[End]
    delivered: Stored | None
    delivered_at: int | None
    tried: Stored | None = None

    @property
    def problems(self) -> int:
        return sum(end.events for end in self.ends if end.state in ("dead", "expired", "retrying"))


def standings(
    facts: Facts, events: Sequence[Stored], ends: Mapping[Position, Sequence[tuple[Place, Ended]]]
) -> list[Standing]:
    """
    events  newest first
    ends    of them (milonga.facts.summary.ends_of)
    """
    delivered_at = _delivered_at(
        facts, {(at, place.config.id) for at, found in ends.items() for place, end in found if end[0] == "delivered"}
    )
    counts, places = dict[int, Counter[Ended]](), dict[int, Place]()
    delivered, tried = dict[int, Stored](), dict[int, Stored]()
    for stored in events:
        for place, end in ends[stored.position]:
            number = place.config.id
            places[number] = place
            counts.setdefault(number, Counter())[_held_back(place, end)] += 1
            if end[0] == "delivered":
                delivered.setdefault(number, stored)
            elif end[0] == "retrying":
                tried.setdefault(number, stored)
    return [
        Standing(
            places[number],
            [End(state, code, n, _why(state, code)) for (state, code), n in counted.most_common()],
            delivered.get(number),
            delivered_at.get(number),
            tried.get(number),
        )
        for number, counted in sorted(counts.items())
    ]


def _held_back(place: Place, end: Ended) -> Ended:
    """What failed is not tried again while its destination is paused."""
    paused = place.removed_at is None and place.config.state is DestinationState.paused
    return ("waiting", end[1]) if paused and end[0] == "retrying" else end


def _delivered_at(facts: Facts, delivered: Set[tuple[Position, int]]) -> dict[int, int]:
    """
    Destination -> when it took one of these events last, unix milliseconds.

    delivered  events, each with the id of a destination
    """
    found: dict[int, int] = {}
    for at, outcomes in facts.outcomes.of_many(list({position for position, _ in delivered})).items():
        for one in outcomes:
            if one.state is State.delivered and (at, one.destination) in delivered:
                found[one.destination] = max(one.ended_at, found.get(one.destination, 0))
    return found


def _why(state: str, code: str) -> str:
    if code in PIPELINE:
        return PIPELINE[code][0]
    match state:
        case "skipped":
            return why_skipped(code)
        case "never":
            return "It came before the destination was added, or while it was off."
        case "unknown":
            return "What became of it is not kept any more."
        case "waiting" if code:
            return "The destination did not take it, and is paused now: it waits."
        case "retrying":
            return "The destination did not take it; it is tried again."
        case "dead":
            return "The destination refused it for good."
    return ""


class Finding(Struct, frozen=True):
    """
    tone         bad, warn, good, or "" for what is only good to know
    destination  whose page has the next step; "" without
    letters      its dead letters are the next step
    parked       its parked keys are the next step
    user         whose events are the next step; "" without
    replay       number of the one that tells more; 0 without
    stops        nothing at all goes out because of it, so that it comes before anything else
    """

    title: str
    words: str
    tone: str = ""
    destination: str = ""
    letters: bool = False
    user: str = ""
    replay: int = 0
    stops: bool = False
    parked: bool = False


def gone_astray(index: EventIndex, account: Account) -> list[str]:
    """
    Of the users heard of last, those whose newest event names no account, although one before it named this one: the
    commonest way for an account to fall silent, and its own events say nothing of it.
    """
    found = []
    for user in account.newest_users[:USERS]:
        newest = index.search(Query(user=user.text, since=user.last_at), 1).events
        if newest and seen_in(newest[0]).account is None:
            found.append(user.text)
    return found


def findings(
    facts: Facts, account: Account, newest: Found, stand: Sequence[Standing], astray: Sequence[str], now: int
) -> list[Finding]:
    """
    What a person should know: first what stops everything, then the worst first.

    newest  of its events
    stand   of these
    astray  as `gone_astray` has it
    now     unix milliseconds
    """
    found = [*_silence(facts, account, now), *_astray(account, astray), *_filed(newest)]
    for one in stand:
        if one.place.removed_at is None:
            found += _at(facts, account, one)
    found += _naming(account, now)
    order = {"bad": 0, "warn": 1, "": 2, "good": 3}
    return sorted(found, key=lambda one: (not one.stops, order[one.tone]))


def _silence(facts: Facts, account: Account, now: int) -> Iterator[Finding]:
    age = now - account.last_at
    if age < HOUR:
        return
    said = " ".join(refused(facts))
    words = (
        "Either nobody of this account used the product since then, or their events no longer say that they belong to "
        "it: look whether its newest users have events without an account."
    )
    yield Finding(f"Nothing has arrived for {_long(age)}", f"{words} {said}".strip(), "warn" if age >= DAY else "")


def _astray(account: Account, users: Sequence[str]) -> Iterator[Finding]:
    if not users:
        return
    looked = min(USERS, len(account.newest_users))
    whose = "its user" if looked == 1 else f"{len(users)} of the {looked} users heard of last"
    words = (
        "Events before it were of this account. Destinations that need an account, such as Totango, skip what names "
        "none (missing_group_id): have each call send it, as context.groupId."
    )
    yield Finding(f"The newest event of {whose} names no account", words, "warn", user=users[0])


def _filed(newest: Found) -> Iterator[Finding]:
    if not newest.filed:
        return
    n, of = len(newest.filed), len(newest.events)
    title = f"{n:,} of its newest {of:,} events {'was' if n == 1 else 'were'} filed under it by a replay"
    words = (
        "They name no account, and were sent as if they named this one, since group calls of the same users do. They "
        "stand in the timeline, marked; modules, activities and users are told by what names the account itself."
    )
    replay = max(one.replay for under in newest.filed.values() for one in under)
    yield Finding(title, words, replay=replay)


def _at(facts: Facts, account: Account, one: Standing) -> Iterator[Finding]:
    name = one.place.config.name
    total = sum(end.events for end in one.ends)
    delivered = sum(end.events for end in one.ends if end.state == "delivered")
    waiting = sum(end.events for end in one.ends if end.state in ("waiting", "retrying"))
    waits = f"{_events(waiting)} of this account {'waits' if waiting == 1 else 'wait'}"
    stop = stopped(facts, one.place.config, waits if waiting else "What arrives waits")
    if stop is not None:
        yield Finding(stop.title, stop.words, stop.tone, name, stops=True)
    elif waiting:
        yield from _failing(facts, account, one, f"{waits} or {'is' if waiting == 1 else 'are'} tried again.")
    lost = [end for end in one.ends if end.state in ("dead", "expired")]
    if lost:
        n = sum(end.events for end in lost)
        words = f"{_because(lost[0])} This is the reason for {_events(lost[0].events)}."
        yield Finding(f"{_events(n)} did not reach {name}", words, "bad", name, lost[0].state == "dead")
    skipped = [end for end in one.ends if end.state == "skipped"]
    n = sum(end.events for end in skipped)
    if skipped and not delivered and not waiting and n * 2 > total:
        words = f"{_because(skipped[0])} This is the reason for {_events(skipped[0].events)}."
        yield Finding(f"{name} gets nothing of this account", words, "bad", name)


def _failing(facts: Facts, account: Account, one: Standing, waits: str) -> Iterator[Finding]:
    """waits: how many of its events do, as a sentence"""
    found = failing(facts, one.place.config.id, account.id, None if one.tried is None else one.tried.position)
    if found is None and one.tried is None:
        return
    said = [waits]
    if found is not None:
        said.insert(0, sentence(found.reason))
        if found.next_at is not None:
            said.append(f"The next try is due {instant(found.next_at)}.")
    name, parked = one.place.config.name, found is not None and found.parked
    yield Finding(f"{name} does not take all of it just now", " ".join(said), "warn", name, parked=parked)


def _naming(account: Account, now: int) -> Iterator[Finding]:
    if account.named_at is None:
        yield Finding(
            "No group call has named it",
            "Totango knows such an account by its id alone: without name, plan or any other attribute. Call group() "
            "with its traits, for instance when somebody signs in.",
            "warn",
        )
    elif now - account.named_at > OLD:
        yield Finding(
            f"Its last group call was {_long(now - account.named_at)} ago",
            "Name, plan and other attributes are as of then. A call at each sign-in keeps them fresh.",
        )


def _because(end: End) -> str:
    return f"{end.why.rstrip('.')} ({end.code})." if end.why else f"{end.code}."


def _events(n: int) -> str:
    return "1 event" if n == 1 else f"{n:,} events"


def _long(milliseconds: int) -> str:
    for size, unit in ((DAY, "day"), (HOUR, "hour")):
        if milliseconds >= size:
            n = milliseconds // size
            return f"{n} {unit}" if n == 1 else f"{n:,} {unit}s"
    return "less than an hour"


# For programs


def finding_row(found: Finding, account: str) -> dict[str, Any]:
    page = None
    if found.letters:
        page = f"/problems/dead?{urlencode({'destination': found.destination, 'account': account})}"
    elif found.parked:
        page = f"/problems/parked?{urlencode({'destination': found.destination, 'account': account})}"
    elif found.user:
        page = f"/events?{urlencode({'user': found.user})}"
    elif found.replay:
        page = f"/replays/{found.replay}"
    elif found.destination:
        page = f"/destinations/{quote(found.destination, safe='')}"
    return {"severity": found.tone or "info", "title": found.title, "words": found.words, "page": page}


def standing_row(one: Standing) -> dict[str, Any]:
    last = one.delivered
    return {
        "destination": one.place.called,
        "ends": [{"state": end.state, "code": end.code, "events": end.events, "why": end.why} for end in one.ends],
        "problems": one.problems,
        "lastDeliveredAt": None if one.delivered_at is None else instant(one.delivered_at),
        "newestDelivered": None
        if last is None
        else {"partition": last.position.partition, "offset": last.position.offset},
    }
