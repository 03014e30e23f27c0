"""From what arrived to what the log keeps: ids, times and account of each event."""

from collections.abc import Callable, Iterable

from milonga.eventlog.api import Discard
from milonga.identity.account import account_in
from milonga.identity.clock import happened_at, parse_time
from milonga.identity.message_id import message_id
from milonga.spec.arrived import Arrived
from milonga.spec.discards import Rejected
from milonga.spec.stored import Stamp, Stamped


def stamp(events: Iterable[Arrived], source: int, received_at: int, new_id: Callable[[], str]) -> list[Stamped]:
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


def discards(rejected: Iterable[Rejected], source: int, at: int) -> list[Discard]:
    """One for each event that was not accepted."""
    found = []
    for one in rejected:
        discard = Discard(source=source, at=at, code=one.code, reason=one.reason, excerpt=one.excerpt)
        found += [discard] * one.count  # the same object: a batch of a million nulls must not take a gigabyte
    return found
