"""Dead letters: which there are, and as rows."""

from typing import Any, Final

from milonga.delivery.rows import DeadLetter
from milonga.facts.facts import Facts
from milonga.outcomes.words import instant
from milonga.spec.called import name_in

MOST: Final = 10_000  #: dead letters at once


def letters(facts: Facts, destination: str | None, limit: int) -> list[DeadLetter]:
    """Those of removed destinations are nobody's business any more, even where they are still there."""
    if facts.delivery is None:
        return []
    found = [one for number in _numbers(facts, destination) for one in facts.delivery.dead_letters(number, limit=limit)]
    return sorted(found, key=lambda letter: letter.died_at)[:limit]


def count(facts: Facts, destination: str | None) -> int:
    delivery = facts.delivery
    return 0 if delivery is None else sum(map(delivery.dead_count, _numbers(facts, destination)))


def as_row(facts: Facts, letter: DeadLetter) -> dict[str, Any]:
    stamp = letter.event.stamp
    return {
        "destination": facts.destination_name(letter.destination),
        "position": {"partition": letter.position.partition, "offset": letter.position.offset},
        "diedAt": instant(letter.died_at),
        "code": letter.code,
        "reason": letter.reason,
        "type": stamp.type,
        "name": name_in(letter.event),
        "messageId": stamp.message_id,
        "user": stamp.user_id,
        "account": stamp.account,
        "receivedAt": instant(stamp.received_at),
    }


def _numbers(facts: Facts, destination: str | None) -> list[int]:
    if destination is not None:
        return [facts.workspace.destination(destination).id]
    return [place.config.id for place in facts.places if place.removed_at is None]
