"""How everything stands at one look: the sources, the destinations, and what needs somebody first."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from milonga.eventlog.api import START
from milonga.eventlog.levels import MB, SAYS, Level
from milonga.eventlog.room import Disk
from milonga.facts import sources
from milonga.facts.destinations import as_row, notes
from milonga.facts.directory import LOG_FOLDER
from milonga.facts.disk import told_of
from milonga.facts.facts import Facts, Place
from milonga.outcomes.latency import Latencies
from milonga.outcomes.model import State
from milonga.outcomes.words import instant
from milonga.workspace.model import DestinationState

HOUR: Final = 3_600_000  #: milliseconds
SILENT: Final = HOUR  #: without an event, although there were some within a day before
OLD: Final = 15 * 60_000  #: milliseconds that something waits before it needs somebody
MOST_SKIPPED: Final = 0.5  #: share of what ends that is skipped for want of an account
UNKNOWN_KEY: Final = "unknown_write_key"


def overview(facts: Facts, now: int) -> dict[str, Any]:
    """
    now  unix milliseconds

    `sources` as milonga.facts.sources.standing has them, `destinations` as below, `refused` and `refusedByCode`
    (requests of the last hour that were refused and counted to no source, the most frequent first), `attention`: what
    needs somebody, worst first: `tone` ("bad", "warn"), `title`, `words` (times as milonga.outcomes.words.instant has
    them), `to` and `link` (where to mend it).
    """
    destinations = standings(facts, [place for place in facts.places if place.removed_at is None], now)
    refused = {one["code"]: one["requests"] for one in sources.refused_of_nobody(facts, now)}
    found = {
        "at": instant(now),
        "serverRunning": facts.server_runs,
        "sources": sources.standings(facts, now),
        "destinations": destinations,
        "refused": sum(refused.values()),
        "refusedByCode": refused,
    }
    attention = [
        *_of_disk(told_of(facts.data, facts.data / LOG_FOLDER)),
        *(said for one in destinations for said in _stopped(one)),
        *_of_nobody(refused.get(UNKNOWN_KEY, 0), total(found["sources"], "accepted")),
        *(_of_the_first(found["sources"]) if nothing_arrived(facts, found["sources"]) else ()),
        *_attention(found, now),
    ]
    return found | {"attention": sorted(attention, key=lambda one: one["tone"] != "bad")}


def nothing_arrived(facts: Facts, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether no event was ever kept, and none discarded lately. rows: of all sources, as above"""
    heard = any(row["last"] is not None or row["discarded"] for row in rows)
    return not heard and facts.log.first() <= START + 1 and facts.log.end() == START


def standings(facts: Facts, places: Iterable[Place], now: int) -> list[dict[str, Any]]:
    """How these destinations stand, each as `destination` has it."""
    ended, took = facts.outcomes.totals(now - HOUR), facts.outcomes.latencies(now - HOUR)
    return [destination(facts, place, ended, took) for place in places]


def destination(
    facts: Facts,
    place: Place,
    ended: Mapping[tuple[int, State, str], int],
    took: Mapping[int, Latencies],
) -> dict[str, Any]:
    """
    What `destinations list` tells, and beside it `hour`: how many events came to which end within an hour, how many are
    retrying now, and from arrival to delivery p50 and p99 in milliseconds.
    """
    number = place.config.id
    states = {state: sum(n for (one, s, _), n in ended.items() if one == number and s is state) for state in State}
    mine = took.get(number, Latencies({}))
    missing = sum(n for (one, _, code), n in ended.items() if one == number and code == "missing_group_id")
    return as_row(facts, place) | {
        "hour": {
            "delivered": states[State.delivered],
            "skipped": states[State.skipped],
            "withoutAccount": missing,
            "dead": states[State.dead],
            "expired": states[State.expired],
            "p50Ms": _rounded(mine.percentile(0.5)),
            "p99Ms": _rounded(mine.percentile(0.99)),
        },
        "retrying": 0 if facts.delivery is None else facts.delivery.retrying_count(number),
        "parked": 0 if facts.delivery is None else facts.delivery.parked_count(number),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


# What needs somebody


def _attention(found: Mapping[str, Any], now: int) -> Iterator[dict[str, str]]:
    if not found["serverRunning"]:
        yield _one("bad", "No server is running", "Nothing is taken in or sent.", "", "")
    if not found["sources"]:
        yield _one(
            "warn",
            "There is no source yet",
            "A source has the write key that an SDK sends with.",
            "/sources/new",
            "Create a source",
        )
    elif not found["destinations"]:
        yield _one(
            "warn",
            "There is no destination yet",
            "Events are kept, and go nowhere.",
            "/destinations/new",
            "Add a destination",
        )
    for one in found["sources"]:
        yield from _of_source(one, now)
    for one in found["destinations"]:
        yield from _besides(one, now)


def _of_disk(disk: Disk | None) -> Iterator[dict[str, str]]:
    if disk is not None and disk.level is not Level.fine:
        what = "There is no room for events" if disk.level.refuses else "The disk is nearly full"
        title = f"{what}: {disk.free // MB:,} MB of the disk are free"
        yield _one("bad" if disk.level.refuses else "warn", title, SAYS[disk.level], "", "")


def _of_nobody(requests: int, accepted: int) -> Iterator[dict[str, str]]:
    """A site or an app with a wrong key is heard of here alone. A few requests are strangers who try what they find."""
    if requests * 20 > accepted:
        verb = "request of the last hour has" if requests == 1 else "requests of the last hour have"
        words = "What they sent was not taken. The key is mistyped, was removed, or is another server's."
        yield _one("warn", f"{requests:,} {verb} a write key of no source", words, "/sources", "Look into it")


def _of_the_first(rows: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """On a server that never kept an event: where the first one is waited for."""
    waiting = [row["name"] for row in rows if row["enabled"]]
    if waiting:
        words = "The set-up of a source has what to paste for each SDK, and shows the first event as it comes."
        to = f"/sources/{waiting[0]}/setup" if len(waiting) == 1 else "/sources"
        yield _one("warn", "No event has arrived yet", words, to, "Set it up" if len(waiting) == 1 else "Your sources")


def _of_source(one: Mapping[str, Any], now: int) -> Iterator[dict[str, str]]:
    name, at = one["name"], f"/sources/{one['name']}"
    for trouble in one["troubles"]:
        if one["enabled"] or trouble["tone"] == "bad":  # that it is off, somebody wanted
            title = f"{name}: {trouble['title'][:1].lower()}{trouble['title'][1:]}"
            yield _one(trouble["tone"], title, trouble["words"], f"{at}/{trouble['tab']}", "Look into it")
    if one["enabled"] and one["last"] is not None and one["last"] < instant(now - SILENT):
        title, words = f"{name} has fallen silent", f"The newest event came {one['last']}."
        yield _one("warn", title, words, f"{at}/setup", "Its set-up")


def of_destination(one: Mapping[str, Any], now: int) -> Iterator[dict[str, str]]:
    """What of it needs somebody."""
    yield from _stopped(one)
    yield from _besides(one, now)


def _stopped(one: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """What keeps it from sending anything; nothing of one that is off, for that somebody wanted."""
    name, at, state = one["name"], f"/destinations/{one['name']}", one["state"]
    if state == DestinationState.off.value:
        return
    if one["missing"]:
        words = f"It needs {', '.join(one['missing'])} before it can send. Its events wait."
        yield _one("bad", f"{name} is not set up", words, f"{at}/settings", "Its settings")
    elif state == DestinationState.paused.value:
        by_hand = one["by"] not in ("settings", "workspace")
        words = f"{one['reason'].rstrip('.') or 'Paused by hand'}. {_waits(one['waiting'])}; nothing is lost."
        to = at if by_hand else f"{at}/settings"
        yield _one("warn" if by_hand else "bad", f"{name} is paused", words, to, "Look into it")
    elif said := [words for words in notes(one) if one["breaker"] not in ("closed", None)]:
        yield _one("bad", f"{name} does not answer", " ".join(said), at, "Look into it")


def _besides(one: Mapping[str, Any], now: int) -> Iterator[dict[str, str]]:
    name, at, hour = one["name"], f"/destinations/{one['name']}", one["hour"]
    if one["state"] == DestinationState.off.value:
        return
    late = one["oldestWaitingAt"] is not None and one["oldestWaitingAt"] < instant(now - OLD)
    if late and not any(_stopped(one)):
        words = f"{one['waiting']:,} events wait; the oldest arrived {one['oldestWaitingAt']}."
        yield _one("warn", f"{name} is behind", words, at, "Look into it")
    if one["deadLetters"]:
        n = one["deadLetters"]
        yield _one(
            "bad",
            f"{name}: {n:,} dead {'letter' if n == 1 else 'letters'}",
            "What it refused for good waits for somebody to resend or discard it.",
            f"/problems/dead?destination={name}",
            "Look into it",
        )
    ended = hour["delivered"] + hour["skipped"] + hour["dead"] + hour["expired"]
    if hour["withoutAccount"] and hour["withoutAccount"] > MOST_SKIPPED * ended:
        yield _one(
            "warn",
            f"{name}: {hour['withoutAccount']:,} of {ended:,} events name no account",
            "They are skipped: the destination takes events of accounts alone.",
            f"/problems/skips?destination={name}&code=missing_group_id",
            "Why, and what to do",
        )
    if hour["expired"]:
        words = "They waited longer than the destination's maximum age."
        yield _one("bad", f"{name}: {hour['expired']:,} events expired within an hour", words, at, "Look into it")


def _waits(count: int | None) -> str:
    """Without a count, or just paused, when the count is a moment old: only that what arrives waits."""
    return f"{count:,} {'event waits' if count == 1 else 'events wait'}" if count else "What arrives waits"


def _one(tone: str, title: str, words: str, to: str, link: str) -> dict[str, str]:
    return {"tone": tone, "title": title, "words": words, "to": to, "link": link}


def total(rows: Sequence[Mapping[str, Any]], *names: str) -> int:
    """The sum of one figure over all rows: `total(destinations, "hour", "delivered")`."""
    found = 0
    for row in rows:
        value: Any = row
        for name in names:
            value = value[name]
        found += value or 0
    return found
