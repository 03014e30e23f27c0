"""Events of the log, what was not accepted, and counts of both, as rows. The shapes are in docs/explain.md."""

from collections import Counter
from typing import Any

from milonga.eventlog.api import Discard, Stored
from milonga.eventlog.counters import DISCARDED, REFUSED
from milonga.eventlog.lookup import AFTER_ALL
from milonga.facts.facts import Facts
from milonga.outcomes.explain import name_of
from milonga.outcomes.words import instant
from milonga.spec.discards import excerpt_told
from milonga.spec.read import read_stamped, said_for_all


def as_row(facts: Facts, stored: Stored) -> dict[str, Any]:
    event = read_stamped(stored.event)
    return {
        "position": {"partition": stored.position.partition, "offset": stored.position.offset},
        "receivedAt": instant(stored.event.stamp.received_at),
        "timestamp": instant(stored.event.stamp.timestamp),
        "source": facts.source(stored.event.stamp.source),
        "type": event.type,
        "name": name_of(event),
        "messageId": event.message_id,
        "user": event.user_id,
        "anonymous": event.anonymous_id,
        "account": event.account.id if event.account is not None else None,
    }


def as_received(facts: Facts, stored: Stored) -> dict[str, Any]:
    """A row, with the event as it arrived, what its batch said for all, and its sender's address."""
    stamp = stored.event.stamp
    arrived = {"sender": stamp.ip, "event": read_stamped(stored.event).received, "batch": said_for_all(stamp)}
    return as_row(facts, stored) | arrived


def discarded(facts: Facts) -> list[dict[str, Any]]:
    """How many of which code, by source, as far back as counts go."""
    totals: Counter[tuple[str, str]] = Counter()
    for count in facts.log.counts(0, AFTER_ALL):
        if count.name.startswith(DISCARDED):
            totals[_source(facts, count.source) or "", count.name.removeprefix(DISCARDED)] += count.n
    return [{"source": source or None, "code": code, "events": n} for (source, code), n in sorted(totals.items())]


def newest_discarded(
    facts: Facts, limit: int, *, source: int | None = None, code: str | None = None, before: int = AFTER_ALL
) -> tuple[list[dict[str, Any]], int | None]:
    """
    Samples of them, newest first, and the `before` of the next page; None if there is none.

    source, code  only of these
    before        unix milliseconds: only older ones
    """
    found = facts.log.discards(limit + 1, source=source, code=code, before=before)
    page, next_ = page_of_discards(found, limit)
    return [_discard(facts, discard) for discard in page], next_


def page_of_discards(found: list[Discard], limit: int) -> tuple[list[Discard], int | None]:
    """
    And where the next page begins. Pages end between two milliseconds, so that none is on two of them or on none; one
    with more than a page of them shows what fits.

    found  newest first, one more than `limit` if there are more
    """
    if len(found) <= limit:
        return found, None
    at = found[-1].at
    kept = [one for one in found if one.at > at]
    return (kept, at + 1) if kept else (found[:limit], at)


def refused(facts: Facts) -> int:
    """Requests refused as a whole, as far back as counts go."""
    return sum(count.n for count in facts.log.counts(0, AFTER_ALL) if count.name.startswith(REFUSED))


def _source(facts: Facts, number: int) -> str | None:
    """None: it is not known, as with an unknown write key."""
    return facts.source(number) if number else None


def _discard(facts: Facts, discard: Discard) -> dict[str, Any]:
    return {
        "at": instant(discard.at),
        "source": _source(facts, discard.source),
        "code": discard.code,
        "reason": discard.reason,
        "excerpt": excerpt_told(discard.excerpt),
    }
