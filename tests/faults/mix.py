"""
The events that a load is made of: all kinds, for thousands of accounts with some users each, some accounts much busier
than others. Each carries its number, so that it can be recognized wherever it arrives. Pure: the dice are the seed's.
"""

import random
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from msgspec import Struct

Keys: TypeAlias = tuple[tuple[str, ...], ...]

ACCOUNTS: Final = 2_000
USERS: Final = 4  #: of one account, at most
FILLER: Final = "x" * 120


class Made(Struct, frozen=True):
    """
    number  unique in its load; one sender's grow in the order in which it sends
    keys    what it waits its turn for at Totango: docs/how-it-works.md, "Order"
    skip    the code with which Totango's translation skips it; "" for what is delivered
    """

    number: int
    keys: Keys
    skip: str = ""


def mix(
    seed: int, sender: int = 0, senders: int = 1, accounts: int = ACCOUNTS, first: int = 0
) -> Iterator[tuple[Made, dict[str, Any]]]:
    """
    What one of `senders` sends, without end; each has accounts of its own, so that the order in which it sends is the
    order of the log for every key. Numbers begin with `first`.
    """
    dice = random.Random(f"{seed}/{sender}")
    own = range(sender, accounts, senders)
    number = first + sender
    while True:
        yield _one(number, f"a{own[int(len(own) * dice.random() ** 3)]}", dice)
        number += senders


def _one(number: int, account: str, dice: random.Random) -> tuple[Made, dict[str, Any]]:
    user = f"{account}-u{dice.randrange(USERS)}"
    both: Keys = ((account, user),)
    call: dict[str, Any] = {"messageId": f"m-{number}", "userId": user, "context": {"groupId": account}}
    chance = dice.random()
    if chance < 0.60:
        call |= {"type": "track", "event": f"e-{number}", "properties": {"category": "Load", "filler": FILLER}}
        return Made(number, both), call
    if chance < 0.75:
        return Made(number, both), call | {"type": "page", "name": f"p-{number}"}
    if chance < 0.87:
        return Made(number, both), call | {"type": "identify", "traits": {"seq": number, "plan": "gold"}}
    if chance < 0.97:
        call |= {"type": "group", "groupId": account, "traits": {"seq": number, "employees": dice.randrange(1000)}}
        if dice.random() < 0.5:
            return Made(number, ((account,), *both)), call
        del call["userId"]
        return Made(number, ((account,),)), call | {"anonymousId": f"anonymous-{user}"}
    if chance < 0.99:
        del call["context"]
        return Made(number, (), "missing_group_id"), call | {"type": "track", "event": f"e-{number}"}
    return Made(number, (), "unsupported_type"), call | {"type": "screen", "name": f"s-{number}"}


def number_of(params: Mapping[str, Any]) -> int | None:
    """Of the event that a request to Totango or a webhook speaks of; None if it is none of a load's."""
    if "messageId" in params:
        return _number(str(params["messageId"]), "m-")
    for name in ("sdr_u.seq", "sdr_o.seq"):
        if name in params:
            return int(params[name])
    activity = str(params.get("sdr_a", ""))
    return (
        _number(activity, "e-") if activity.startswith("e-") else _number(activity.removesuffix(" Page"), "Viewed p-")
    )


def _number(text: str, prefix: str) -> int | None:
    digits = text.removeprefix(prefix)
    return int(digits) if text.startswith(prefix) and digits.isdigit() else None
