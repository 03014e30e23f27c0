"""Which events a replay takes, and as what. Pure."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from milonga.eventlog.api import Position, Stored
from milonga.outcomes.model import Outcome, State
from milonga.spec.called import name_in
from milonga.spec.event import EventType

MOST_CHOSEN: Final = 1_000  #: places of one selection


class Selection(Struct, frozen=True, kw_only=True):
    """
    Every one that is given must fit; ids and names exactly. Of an event that was erased nothing is left to be sent.

    source     id of the destination's source
    since      unix milliseconds of arrival, inclusive
    until      unix milliseconds of arrival, exclusive
    name       of a track, page or screen call
    code       of its newest outcome at the destination, where nothing of it was ever delivered
    positions  only these, MOST_CHOSEN at most

    find_accounts  an event that names no account is sent as if it named the one that earlier group calls of its user
                   name (milonga.delivery.filing)
    """

    source: int
    since: int
    until: int
    type: EventType | None = None
    account: str | None = None
    user: str | None = None
    name: str | None = None
    code: str | None = None
    positions: tuple[Position, ...] | None = None
    find_accounts: bool = False

    def fits(self, stored: Stored) -> bool:
        """What the event itself says. `ended_so` must hold too."""
        stamp = stored.event.stamp
        return (
            stamp.source == self.source
            and not stamp.is_erased
            and self.since <= stamp.received_at < self.until
            and self.type in (None, stamp.type)
            and self.account in (None, stamp.account)
            and self.user in (None, stamp.user_id)
            and (self.positions is None or stored.position in self.positions)
            and (self.name is None or self.name == name_in(stored.event))
        )

    def ended_so(self, outcomes: Sequence[Outcome]) -> bool:
        """outcomes: those it has at the destination, newest first"""
        if self.code is None:
            return True
        delivered = any(outcome.state is State.delivered for outcome in outcomes)
        return bool(outcomes) and outcomes[0].code == self.code and not delivered
