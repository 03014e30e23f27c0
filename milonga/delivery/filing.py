"""
Events that name no account, filed in a replay under the one that the same user's group calls name, where somebody asks
for that. Nothing is guessed: a group call is the sender's own word that this user belongs to that account. What arrived
stays in the log as it was. Pure.
"""

from typing import Final

from msgspec.structs import replace

from milonga.spec.event import AccountSource, EventType
from milonga.spec.stored import Stamp, Stamped

HOW: Final[AccountSource] = "earlier group call"
TYPES: Final[frozenset[EventType]] = frozenset(("identify", "track", "page", "screen"))
"""What speaks of a user in an account. A group call speaks of the account that it names, or of none."""


def may_be_filed(stamp: Stamp) -> bool:
    """Whether the account of its user would do."""
    return stamp.account is None and stamp.user_id is not None and stamp.type in TYPES and not stamp.is_erased


def filed(event: Stamped, account: str) -> Stamped:
    """The event as if it named this account; the stamp says how that was found."""
    return Stamped(replace(event.stamp, account=account, account_found=HOW), event.body)
