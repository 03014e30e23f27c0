"""Whose events a segment holds, as far as regulations go."""

from collections.abc import Iterator
from typing import Final

import apsw

from milonga.eventlog.api import Offset, Stored
from milonga.eventlog.record import RECORD, stored
from milonga.privacy.subject import users_in, users_of_stamped

NAMED: Final = "SELECT user_id, source, min(offset) FROM events WHERE user_id IS NOT NULL GROUP BY user_id, source"
ALIASES: Final = f'SELECT {RECORD} FROM events WHERE instr(stamp, \'"type":"alias"\')'  # noqa: S608


def earliest_of_users(segment: apsw.Connection) -> Iterator[tuple[str, int, Offset]]:
    """
    User, source, and the lowest offset of an event of that user in one segment. Those of aliases, and of samples of
    discarded events (which have no offset: 0), may come again.
    """
    yield from segment.execute(NAMED)
    for item in map(stored, segment.execute(ALIASES)):
        if isinstance(item, Stored) and not item.event.stamp.is_erased:
            for user in users_of_stamped(item.event):
                yield user, item.event.stamp.source, item.position.offset
    for source, excerpt in segment.execute("SELECT source, excerpt FROM discarded"):
        for user in users_in(excerpt):
            yield user, source, 0
