"""What is said over one connection: made from the seed of the run and its number, and from nothing else."""

import random
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from tests.fuzz import bodies, framing, heads
from tests.fuzz.draft import Draft
from tests.fuzz.fetches import fetch
from tests.fuzz.templates import draft_of, honest, templates

End: TypeAlias = Literal["half", "close", "reset"]
ENDS: Final[tuple[End, ...]] = ("half", "close", "reset")


class Conversation(Struct, frozen=True):
    """
    pieces  what is written, one after the other
    paced   each request waits for the answer to the one before it; else all are written as fast as they are taken
    end     how the sender ends it: by ending its own half, by closing without listening, by a reset
    """

    number: int
    drafts: list[Draft]
    pieces: list[bytes]
    paced: bool
    end: End


def conversation(seed: int, number: int) -> Conversation:
    dice = random.Random(f"{seed}:{number}")
    drafts = list(_drafts(number, dice))
    whole = [draft.write(dice) for draft in drafts]
    paced = dice.random() < 0.4
    if not paced and dice.random() < 0.5:
        whole = _cut_up(b"".join(whole), dice)
    end: End = dice.choices(ENDS, (95, 3, 2))[0]
    return Conversation(number, drafts, whole, paced, end)


def _drafts(number: int, dice: random.Random) -> Iterator[Draft]:
    most = dice.choice((1, 2, 4, 8, 12, 24))
    for place in range(most):
        if dice.random() < 0.06:
            yield honest(number, place, dice)
            continue
        draft = hostile(dice, last=place == most - 1)
        if place == most - 1 and dice.random() < 0.35:
            framing.end(draft, dice)
        yield draft
        if draft.answers != "one":
            return


def hostile(dice: random.Random, *, last: bool) -> Draft:
    """A whole request with which something is wrong; now and then, nothing."""
    draft = fetch(dice) if dice.random() < 0.25 else _sent(dice)
    if dice.random() < 0.45:
        heads.bend(draft, dice, last=last)
    return draft


def _sent(dice: random.Random) -> Draft:
    template = dice.choice(templates())
    draft = draft_of(template)
    if template.body and dice.random() < 0.75:
        bodies.spoil(draft, template.body, dice)
    return draft


def _cut_up(whole: bytes, dice: random.Random) -> list[bytes]:
    """In pieces of any size, but not in too many."""
    cuts = sorted(dice.randrange(len(whole)) for _ in range(dice.choice((1, 3, 10, 30))))
    return [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True) if a < b]
