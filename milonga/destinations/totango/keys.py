"""What an event waits its turn for on its way to Totango."""

from typing import Final

from milonga.destinations.contract import Key, Skip
from milonga.destinations.totango.gate import gate
from milonga.destinations.totango.module import page_category
from milonga.destinations.totango.products import product_of
from milonga.destinations.totango.settings import Settings
from milonga.spec.event import Event, Page

_ANY: Final = Settings(service_id="any")


def keys(event: Event, _settings: Settings = _ANY) -> tuple[Key, ...]:
    """
    identify, track, page: (account, user). group: (account) and, with a user, (account, user); a product account
    adds its own key, the one exception to "the first item is the event's account".

    None for what no settings could send; the settings in force change nothing.
    """
    ids = gate(event, _ANY)
    if isinstance(ids, Skip):
        return ()
    if event.type == "group":
        found: list[Key] = [(ids.account,)]
        if ids.user is not None:
            found.append((ids.account, ids.user))
        product = product_of(event.integrations, ids.account)
        if product is not None and product.account != ids.account:
            found.append((product.account,))
        return tuple(found)
    if isinstance(event.call, Page) and event.call.name is None and page_category(event.call) is None:
        return ()
    return () if ids.user is None else ((ids.account, ids.user),)
