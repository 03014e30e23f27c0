"""Events for filters to look at."""

import json
from typing import Any

from milonga.identity.account import read_unstamped
from milonga.spec.event import Event

ORDER: dict[str, Any] = {
    "type": "track",
    "event": "Test Order",
    "messageId": "m-1",
    "userId": "ada",
    "properties": {
        "plan": "free",
        "amount": 3,
        "paid": True,
        "tags": ["new", "beta"],
        "order id": 7,
        "email": "ada@acme.example",
        "items": [{"sku": "a", "price": 1}, {"sku": "b", "price": 2}, "loose"],
        "address": {"city": "Rome", "street": "Via 1"},
    },
    "context": {"groupId": "acme", "ip": "1.2.3.4", "page": {"url": "https://acme.example/x"}},
}


def event(**fields: Any) -> Event:
    """ORDER with other fields; of what is None, without."""
    whole = {name: value for name, value in {**ORDER, **fields}.items() if value is not None}
    return read_unstamped(json.dumps(whole).encode())


def page(**fields: Any) -> Event:
    return read_unstamped(json.dumps({"type": "page", "userId": "ada", **fields}).encode())
