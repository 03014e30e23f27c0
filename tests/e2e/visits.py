"""What a visit to the sample site leaves in Totango."""

import json
from collections import Counter
from contextlib import suppress
from typing import Any

from tests.e2e.shop import ANA, SUR, Params, Visitor, request

SNIPPET, BUNDLE = "", "/npm"  #: where the pages with either lie

ANA_HERSELF = {"u_name": "Ana Díaz", "u_email": ANA, "u_instrument": "Bandoneon"}
SUR_ITSELF = {"o_account_name": "Orquesta Sur", "o_players": "34"}
NORTE_ITSELF = {"o_account_name": "Cuarteto Norte", "o_players": "4", "o_Status": "Free"}


def viewed(section: str, name: str, account: str = SUR) -> list[Params]:
    """A page call's two activities."""
    return [
        request(account, a=f"Viewed {section} Page", m=section),
        request(account, a=f"Viewed {section} {name} Page", m=section),
    ]


def signed_in() -> list[Params]:
    """Identify came before group, so its traits follow the account."""
    return [
        request(**SUR_ITSELF, o_Status="Paying"),
        request(**ANA_HERSELF),
        request(a="Signed In", m="Welcome"),
        *viewed("Calendar", "Week"),
    ]


def holds(visitor: Visitor, expected: list[Params]) -> None:
    """
    Totango holds exactly this, and nothing more is to come. But who somebody is may be told again: a page that is left
    before it hears that this got through leaves it to the next one.
    """
    shop, wanted = visitor.shop, Counter(expected)
    with suppress(AssertionError):  # what is missing is told below, in a way that can be read
        visitor.until(lambda: not wanted - shop.sent(), "all of it")
    visitor.until(shop.settled, "an outcome for every event")
    missing, more = wanted - shop.sent(), shop.sent() - wanted
    for params in wanted.keys() & more.keys():
        if any(name.startswith("sdr_u.") for name, _ in params):
            del more[params]
    wrong = [f"missing:  {sorted(params)}" for params in missing.elements()]
    wrong += [f"too much: {sorted(params)}" for params in more.elements()]
    assert not wrong, "\n".join(
        [
            *wrong,
            *(f"kept:     {_of(event)}" for event in shop.events()),
            f"ended:    {dict(shop.ends())}",
            f"pages:    {visitor.errors or 'no errors'}",
        ]
    )


def _of(event: dict[str, Any]) -> str:
    found = {name: event.get(name) for name in ("type", "event", "name", "groupId", "userId", "messageId")}
    return json.dumps(found | {"context.groupId": event.get("context", {}).get("groupId")})
