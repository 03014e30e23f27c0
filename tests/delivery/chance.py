"""Events of all sorts, by chance."""

from random import Random
from typing import Any

from milonga.spec.event import EventType
from milonga.spec.stored import Stamped
from tests.delivery import paper


def some_event(n: int, dice: Random, now: int) -> tuple[str, Stamped]:
    """
    The n-th event, and its account: of one that is hot, or of few others.

    now  unix milliseconds
    """
    hot = dice.random() < 0.2
    account = "hot" if hot else f"a{dice.randrange(12)}"
    user: str | None = "u0" if hot else f"u{dice.randrange(4)}"
    said: dict[str, Any] = {}
    type_: EventType = "group" if dice.random() < 0.25 else "track"
    if type_ == "group" and dice.random() < 0.5:
        user = None
    if type_ == "group" and dice.random() < 0.2:
        said["product"] = f"{account}_p"
    if dice.random() < 0.1:
        said["parts"] = dice.choice([2, 3])
    if dice.random() < 0.05:
        said["skip"] = True
    if dice.random() < 0.05:
        said["free"] = True
    if dice.random() < 0.01 and "skip" not in said:
        said["fail"] = True
    source = paper.OTHER_SOURCE if dice.random() < 0.05 else paper.SOURCE
    return account, paper.event(n, account, user, type_=type_, source=source, received_at=now, **said)
