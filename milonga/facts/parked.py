"""Parked keys, as rows."""

from typing import Any

from milonga.delivery.parked_list import ParkedKey
from milonga.outcomes.words import instant


def as_row(one: ParkedKey) -> dict[str, Any]:
    key = one.key
    return {
        "key": list(key),
        "account": key[0],
        "user": key[1] if len(key) > 1 else None,
        "waiting": one.waiting,
        "since": instant(one.received_at),
        "parkedAt": instant(one.parked_at),
        "first": {"partition": one.first.partition, "offset": one.first.offset},
        "attempts": one.attempts,
        "code": one.code,
        "reason": one.reason,
        "nextTry": None if one.next_at is None else instant(one.next_at),
    }
