"""How long it takes to delete a user beside a running server, with many segments to rewrite, or none."""

import time
from pathlib import Path
from typing import Final

from bench.measure import middle
from bench.report import Found, row
from bench.run import Run
from bench.samples import mix
from bench.serving import Server, fill
from milonga.eventlog.segment import list_segments
from milonga.facts.directory import LOG_FOLDER
from milonga.privacy.regulation import Kind, Regulation
from milonga.workspace.store import Workspace

PATIENCE: Final = 3_600.0  #: seconds
TICK: Final = 0.02  #: seconds between two looks
NOBODY: Final = "nobody@nowhere.example"


def erasing(run: Run) -> Found:
    """Of users who have events in every segment, one at a time; then of one whom nobody knows."""
    data = run.fresh()
    fill(data, run.source, run.stored, run.cores.all)
    users = [sample.user for sample in mix(run.rounds)]
    with Server(data), Workspace.open(data) as workspace:
        _settle(data, workspace)
        everywhere = [_delete(workspace, user) for user in users]
        nowhere = [_delete(workspace, NOBODY) for _ in range(run.rounds)]
    segments = [regulation.counts["segments"] for regulation, _ in everywhere]
    each = [seconds / max(1, number) for (_, seconds), number in zip(everywhere, segments, strict=True)]
    rows = [
        row("a user with events in every segment", [seconds for _, seconds in everywhere], "s"),
        row("  for each segment", each, "s"),
        row("a user without events", [seconds for _, seconds in nowhere], "s"),
    ]
    events = [regulation.counts["events"] for regulation, _ in everywhere]
    about = (
        f"{run.stored:,} events in {len(list_segments(data / LOG_FOLDER)):,} segments; {middle(segments):g} were "
        f"rewritten, {middle(events):g} events erased. From the question to the end that the regulation tells."
    )
    return Found(rows, [about])


def _settle(data: Path, workspace: Workspace) -> None:
    """All segments have their indexes: the first deletion would wait for them."""
    _delete(workspace, NOBODY)
    quiet = 0
    size = -1
    while quiet < 10:
        time.sleep(0.2)
        now = sum(path.stat().st_size for path in (data / LOG_FOLDER).glob("*.db"))
        quiet, size = (quiet + 1 if now == size else 0), now


def _delete(workspace: Workspace, user: str) -> tuple[Regulation, float]:
    """And the seconds it took."""
    began = time.perf_counter()
    id_ = workspace.regulations.create(Kind.delete_internal, [user], by="bench").id
    while (found := workspace.regulations.regulation(id_)).ended_at is None:
        if time.perf_counter() - began > PATIENCE:
            raise RuntimeError(f"A deletion takes longer than {PATIENCE:g} s: {found.trouble or found.status}")
        time.sleep(TICK)
    return found, time.perf_counter() - began
