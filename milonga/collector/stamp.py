"""From what arrived to what the log keeps: ids, times and account of each event."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import structs

from milonga.eventlog.api import Discard
from milonga.identity.account import account_in
from milonga.identity.clock import happened_at, parse_time
from milonga.identity.message_id import message_id
from milonga.spec.arrived import Arrived, Decoded
from milonga.spec.discards import Code, Rejected
from milonga.spec.limits import MAX_EXCERPT
from milonga.spec.stored import Stamp, Stamped


def stamp(
    events: Iterable[Arrived],
    source: int,
    received_at: int,
    new_id: Callable[[], str],
) -> list[Stamped]:
    """
    source       id of the source
    received_at  unix milliseconds; one for all events of a request, as Segment has it
    """
    stamped = []
    sent_text, sent = None, None
    for event in events:
        if event.sent_at != sent_text:  # mostly one for the whole batch
            sent_text, sent = event.sent_at, parse_time(event.sent_at)
        account = account_in(event.type, event.group_id, event.context, event.envelope.items)
        id_, own = message_id(event.message_id, new_id)
        stamped.append(
            Stamped(
                Stamp(
                    source=source,
                    type=event.type,
                    message_id=id_,
                    own_message_id=own,
                    user_id=event.user_id,
                    anonymous_id=event.anonymous_id,
                    account=None if account is None else account.id,
                    account_found=None if account is None else account.found,
                    received_at=received_at,
                    timestamp=happened_at(parse_time(event.timestamp), sent, received_at),
                    original_timestamp=event.timestamp,
                    sent_at=event.sent_at,
                    batch_context=event.envelope.context,
                    batch_integrations=event.envelope.integrations,
                ),
                event.body,
            )
        )
    return stamped


def with_ip(stamped: Stamped, ip: str) -> Stamped:
    return structs.replace(stamped, stamp=structs.replace(stamped.stamp, ip=ip))


def all_as(code: Code, reason: str, decoded: Decoded) -> list[Rejected]:
    """All that a request holds, good and bad, as not accepted for one reason."""
    excerpt = decoded.events[0].body[:MAX_EXCERPT] if decoded.events else decoded.rejected[0].excerpt
    count = len(decoded.events) + sum([rejected.count for rejected in decoded.rejected])
    return [Rejected(code=code, reason=reason, excerpt=excerpt, count=count)]


MOST_DISCARDS: Final = 100
"""Of one request, that are told apart; beyond them those of one code are one. A body may hold a million nulls."""


def discards(rejected: Iterable[Rejected], source: int, at: int) -> list[Discard]:
    """The events that were not accepted; a few more than MOST_DISCARDS at the most."""
    found: dict[int, Discard] = {}
    more: Counter[str] = Counter()
    last: dict[str, int] = {}
    for place, one in enumerate(rejected):
        if place < MOST_DISCARDS or one.code not in last:
            last[one.code] = place
            found[place] = Discard(
                source=source, at=at, code=one.code, reason=one.reason, excerpt=one.excerpt, count=one.count
            )
        else:
            more[one.code] += one.count
    for code, count in more.items():
        place = last[code]
        found[place] = structs.replace(found[place], count=found[place].count + count)
    return list(found.values())
