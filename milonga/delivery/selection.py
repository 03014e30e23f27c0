"""Which events a replay takes. Pure."""

from msgspec import Struct

from milonga.eventlog.api import Stored
from milonga.spec.called import name_in
from milonga.spec.event import EventType


class Selection(Struct, frozen=True, kw_only=True):
    """
    Every one that is given must fit; ids and names exactly. Of an event that was erased nothing is left to be sent.

    source   id of the destination's source
    since    unix milliseconds of arrival, inclusive
    until    unix milliseconds of arrival, exclusive
    name     of a track, page or screen call
    """

    source: int
    since: int
    until: int
    type: EventType | None = None
    account: str | None = None
    name: str | None = None

    def fits(self, stored: Stored) -> bool:
        stamp = stored.event.stamp
        return (
            stamp.source == self.source
            and not stamp.is_erased
            and self.since <= stamp.received_at < self.until
            and self.type in (None, stamp.type)
            and self.account in (None, stamp.account)
            and (self.name is None or self.name == name_in(stored.event))
        )
