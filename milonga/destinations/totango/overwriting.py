"""
What a request to Totango overwrites: attributes keep their last value, one by one; activities only ever add up. See
docs/totango.md, "Account attributes" and "User attributes".
"""

from collections.abc import Mapping
from typing import Final

from milonga.destinations.contract import Form, Key, Request
from milonga.spec.event import EventType

OVERWRITING: Final[frozenset[EventType]] = frozenset({"identify", "group"})

BEFORE_REPLAY: Final = (
    "Totango dates what arrives by its arrival: activities that are sent again count as done now, once more, and "
    "change usage figures and health scores."
)


def sets(request: Request) -> Mapping[str, Key]:
    """Its `sdr_o.*` of the account, its `sdr_u.*` of the user in it."""
    if not isinstance(request.body, Form):
        return {}
    params = request.body.params
    account, user = params.get("sdr_o", ""), params.get("sdr_u", "")
    found: dict[str, Key] = {}
    for name in params:
        if name.startswith("sdr_o."):
            found[name] = ("account", account, name)
        elif name.startswith("sdr_u."):
            found[name] = ("user", account, user, name)
    return found
