"""Events of the log, what was not accepted, and counts of both, as rows. The shapes are in docs/explain.md."""

from collections import Counter
from typing import Any

from milonga.eventlog.api import Discard, Stored
from milonga.eventlog.counters import ACCEPTED, DISCARDED, DUPLICATE, REFUSED
from milonga.eventlog.lookup import AFTER_ALL
from milonga.facts.facts import Facts
from milonga.outcomes.explain import name_of
from milonga.outcomes.words import instant
from milonga.spec.read import read_stamped


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
    """A row, with the event as it arrived and its sender's address."""
    return as_row(facts, stored) | {"sender": stored.event.stamp.ip, "event": read_stamped(stored.event).received}


def discarded(facts: Facts) -> list[dict[str, Any]]:
    """How many of which code, by source, as far back as counts go."""
    totals: Counter[tuple[str, str]] = Counter()
    for count in facts.log.counts(0, AFTER_ALL):
        if count.name.startswith(DISCARDED):
            totals[_source(facts, count.source) or "", count.name.removeprefix(DISCARDED)] += count.n
    return [{"source": source or None, "code": code, "events": n} for (source, code), n in sorted(totals.items())]


def newest_discarded(facts: Facts, limit: int) -> list[dict[str, Any]]:
    """Samples of them."""
    return [_discard(facts, discard) for discard in facts.log.discards(limit)]


def refused(facts: Facts) -> int:
    """Requests refused as a whole, as far back as counts go."""
    return sum(count.n for count in facts.log.counts(0, AFTER_ALL) if count.name.startswith(REFUSED))


def counts(facts: Facts, since: int) -> list[dict[str, Any]]:
    """What each source sent from the minute of `since` (unix milliseconds) on."""
    by_source: dict[int, Counter[str]] = {}
    for count in facts.log.counts(since // 60_000, AFTER_ALL):
        by_source.setdefault(count.source, Counter())[count.name] += count.n
    return [_counts(_source(facts, number), by_source[number]) for number in sorted(by_source)]


def _source(facts: Facts, number: int) -> str | None:
    """None: it is not known, as with an unknown write key."""
    return facts.source(number) if number else None


def _discard(facts: Facts, discard: Discard) -> dict[str, Any]:
    return {
        "at": instant(discard.at),
        "source": _source(facts, discard.source),
        "code": discard.code,
        "reason": discard.reason,
        "excerpt": discard.excerpt.decode(errors="replace"),
    }


def _counts(source: str | None, counts: Counter[str]) -> dict[str, Any]:
    def by_code(prefix: str) -> dict[str, int]:
        return {name.removeprefix(prefix): n for name, n in counts.most_common() if name.startswith(prefix)}

    codes, refused = by_code(DISCARDED), by_code(REFUSED)
    return {
        "source": source,
        "accepted": counts[ACCEPTED],
        "duplicates": counts[DUPLICATE],
        "discarded": sum(codes.values()),
        "discardedByCode": codes,
        "refused": sum(refused.values()),
        "refusedByCode": refused,
    }
