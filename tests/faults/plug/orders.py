"""How the suite talks to the processes under test: a few settings in their environment, and orders in a file."""

import json
import os
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[2]
VARIABLE: Final = "MILONGA_FAULTS"


class Plug(Struct, frozen=True, kw_only=True):
    """
    order         file of an order to be killed; there is none unless the file is
    seal_events   a segment of the log is sealed with so many
    keep_seconds  sealed segments are dropped after so long, once everything of them is delivered; None: never
    outcome_rows  a file of outcomes is full with so many
    lane          events that wait in memory behind one key before the line is parked
    account       events of one account in memory or parked before it takes a detour
    blocked       seconds after which a line that does not move is parked
    """

    order: str
    seal_events: int = 1_500
    keep_seconds: float | None = None
    outcome_rows: int = 1_000
    lane: int = 10
    account: int = 200
    blocked: float = 1.0


class Order(Struct, frozen=True):
    """
    step   where to be killed
    after  how often it passes there before
    """

    step: str
    after: int = 0


def environment(plug: Plug) -> dict[str, str]:
    """For the processes under test."""
    path = [str(HERE), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {VARIABLE: msgspec.json.encode(plug).decode(), "PYTHONPATH": os.pathsep.join(path)}


def give(path: Path, order: Order) -> None:
    """Whole, or not at all."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"step": order.step, "after": order.after}))
    draft.rename(path)
