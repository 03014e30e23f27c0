"""What anybody remembers of the log's offsets, for a log that may have been lost or come from an older copy."""

from contextlib import closing
from pathlib import Path

import apsw

from milonga.delivery.store_reader import DeliveryReader
from milonga.eventlog.api import START, Offset
from milonga.outcomes.reader import OutcomeReader
from milonga.workspace.store import Workspace


def highest_offset(data: Path, workspace: Workspace) -> Offset:
    """Of partition 0: in positions, parked events, dead letters, outcomes, on/off histories. START if in none."""
    changes = [config.changes for config in workspace.destinations()]
    changes += [former.changes for former in workspace.former_destinations()]
    ends = [change.end.get(0, START) for history in changes for change in history]
    return max([START, *ends, _delivery(data / "delivery.db"), OutcomeReader(data / "outcomes").end(0)])


def _delivery(path: Path) -> Offset:
    try:
        with closing(DeliveryReader(path)) as reader:
            return reader.highest(0)
    except apsw.Error:
        return START  # there is none, or it is damaged: whoever opens it to write says so
