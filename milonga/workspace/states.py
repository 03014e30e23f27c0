"""How the state of a destination changes: who may change it, and how much of its past is kept."""

import apsw

from milonga.workspace.audit import Changes, added
from milonga.workspace.database import fetch
from milonga.workspace.model import DestinationState, StateChange

MOST_CHANGES = 1_000  #: state changes kept of one destination; pauses that ended by themselves go first


def may_change(now: StateChange, state: DestinationState, by: str) -> bool:
    own_pause = now.state is DestinationState.paused and now.by == "settings"
    match by:
        case "settings":
            return now.state is DestinationState.on and state is DestinationState.paused
        case "probe":
            return own_pause and state is DestinationState.on
        case _:
            return state is not now.state or own_pause


def forget_pauses(db: apsw.Connection, id_: int) -> None:
    """Keep the history bounded: drop the oldest pause between two times of being on. Offs always stay."""
    changes = fetch(db, "SELECT id, state FROM state_change WHERE destination = ? ORDER BY id", id_)
    if len(changes) <= MOST_CHANGES:
        return
    states = [state for _, state in changes]
    for place in range(1, len(changes) - 2):
        if states[place - 1 : place + 2] == ["on", "paused", "on"]:
            gone = (changes[place][0], changes[place + 1][0])
            db.execute("DELETE FROM state_change WHERE id IN (?, ?)", gone)
            return


def moved(before: DestinationState, after: DestinationState, reason: str) -> Changes:
    """For the audit log."""
    return {"state": (before.value, after.value), **added(reason=reason)}
