"""What an event waits its turn for on its way to the next tracking API. Source: docs/segment.md, "Order"."""

from milonga.destinations.contract import Key
from milonga.destinations.segment.settings import Settings
from milonga.destinations.segment.wanted import wanted
from milonga.spec.event import Event
from milonga.spec.text import well_formed


def keys(event: Event, settings: Settings) -> tuple[Key, ...]:
    """
    As for Totango, so that what comes next can keep the same order: a group call has its account's, and its user's
    within the account; anything else its user's within the account, or the user's alone. A visitor is a user.
    """
    user = event.user_id or event.anonymous_id
    owner = event.account.id if event.account is not None else user
    if owner is None or not wanted(event, settings):
        return ()
    account: Key = (well_formed(owner),)
    if user is None:
        return (account,)
    own: Key = (*account, well_formed(user))
    return (account, own) if event.type == "group" else (own,)
