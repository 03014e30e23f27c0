"""
The fault suite: break everything around a Milonga of our own, and say what came of it.

    python -m tests.faults                            all cases, about 15 minutes
    python -m tests.faults --short                    as the tests run it
    python -m tests.faults --seed 7 --only kills      one case, with the dice of that run
    python -m tests.faults --json figures.json        also written down
"""

import argparse
import datetime
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.case import Case
from tests.faults.cases import cases
from tests.faults.runner import LATE, Row, run_all
from tests.faults.table import heading, line_of, troubles, written


def main() -> int:
    known = cases()
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Break everything around a Milonga.")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), metavar="N", help="of all dice")
    parser.add_argument(
        "--only", nargs="+", choices=[case.name for case in known], metavar="NAME", help="only these cases"
    )
    parser.add_argument("--short", action="store_true", help="in under 3 minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--list", action="store_true", help="name the cases, and what they do")
    chosen = parser.parse_args()
    if chosen.list:
        for case in known:
            print(f"{case.number} {case.name}: {case.says}")
        return 0
    wanted = [case for case in known if (case.name in chosen.only if chosen.only else chosen.short or not case.apart)]
    return show(wanted, chosen.seed, short=chosen.short, file=chosen.json)


def show(wanted: Sequence[Case], seed: int, *, short: bool, file: Path | None) -> int:
    """Run them, and print as they go."""
    print(f"seed {seed}", flush=True)
    print(heading(), flush=True)
    begun, rows = time.monotonic(), list[Row]()
    for row in run_all(wanted, seed, short=short, tell=lambda words: print(f"  {words}", file=sys.stderr, flush=True)):
        rows.append(row)
        print(line_of(row), flush=True)
        for words in (*troubles(row, seed, short=short), *row.report.notes):
            print(f"    {words}", flush=True)
    took = time.monotonic() - begun
    if file is not None:
        figures = written(rows, seed, short=short, seconds=took, at=datetime.datetime.now(datetime.UTC))
        file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    harm = [row for row in rows if row.report.failed and row.report.fault != LATE]
    late = [row.case.name for row in rows if row.report.fault == LATE]
    events, twice = sum(row.report.events for row in rows), sum(row.report.duplicates for row in rows)
    print(f"{len(rows)} faults, {events:,} events, {twice:,} duplicates, {took:.0f} s: ", end="")
    print(f"{len(harm)} OF THEM DID HARM." if harm else "nothing lost, nothing reordered.")
    if late:
        print(f"TOOK LONGER THAN THEY MAY: {', '.join(late)}.")
    return 1 if harm or late else 0


if __name__ == "__main__":
    sys.exit(main())
