"""
python -m bench [NAME ...]

Without a name all of them, in their quick form. How to read what they print: bench/README.md.
"""

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Final

import msgspec

from bench import append, clients
from bench.browser import browser
from bench.console import console
from bench.delivering import delivery
from bench.draining import drain
from bench.erasing import erasing
from bench.ingest import batch, single
from bench.isolation import isolation
from bench.latency import latency
from bench.measure import Noise
from bench.parked import parked
from bench.report import Found, machine, table
from bench.run import Run
from bench.starting import start
from bench.translating import translate
from bench.weighing import memory


def _append(_: Run) -> Found:
    """The event log by itself, without a server."""
    return _printed(append.main, ["--events", "40000"])


def _clients(_: Run) -> Found:
    """HTTP clients of delivery beside each other."""
    return _printed(clients.main, ["--seconds", "2"])


def _printed(main: Callable[[list[str]], None], words: list[str]) -> Found:
    text = io.StringIO()
    with redirect_stdout(text):
        main(words)
    return Found([], [], text.getvalue().rstrip())


BENCHES: Final[dict[str, Callable[[Run], Found]]] = {
    "ingest-single": single,
    "ingest-batch": batch,
    "translate": translate,
    "delivery": delivery,
    "latency": latency,
    "drain": drain,
    "isolation": isolation,
    "parked": parked,
    "erasing": erasing,
    "console": console,
    "start": start,
    "memory": memory,
    "browser": browser,
    "append": _append,
    "clients": _clients,
}


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("name", nargs="*", metavar="NAME", help=f"of: {', '.join(BENCHES)}")
    options.add_argument("--stored", type=int, default=1_000_000, help="events, and ids, where many matter")
    options.add_argument("--full", action="store_true", help="--stored 5000000 --rounds 5")
    options.add_argument("--rounds", type=int, default=3, help="how often each thing is measured; medians count")
    options.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="for data, on the disk to be measured")  # noqa: S108
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    names = chosen.name or list(BENCHES)
    if unknown := [name for name in names if name not in BENCHES]:
        options.error(f"no bench is called {', '.join(unknown)}")
    stored, rounds = (5_000_000, 5) if chosen.full else (chosen.stored, chosen.rounds)
    with tempfile.TemporaryDirectory(prefix="milonga-bench-", dir=chosen.folder) as folder:
        return _measure(names, Run(Path(folder), stored, rounds), as_json=chosen.json)


def _measure(names: list[str], run: Run, *, as_json: bool) -> int:
    about = machine(run.folder)
    whole: dict[str, object] = {"machine": about, "benches": (found := {})}
    if not as_json:
        print("  ".join(f"{name}: {value}" for name, value in about.items()), flush=True)
    failed = 0
    for name in names:
        began, noise = time.monotonic(), Noise()
        try:
            result = BENCHES[name](run)
        except (OSError, RuntimeError, EOFError) as error:  # the others are still worth their time
            result, failed = Found([], [f"FAILED: {type(error).__name__}: {error}"]), 1
        took, others = time.monotonic() - began, noise.share()
        found[name] = {"rows": result.rows, "notes": result.notes, "text": result.text, "noise": others}
        if not as_json:
            _show(name, result, took, others)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(whole)).decode())
    return failed


def _show(name: str, result: Found, took: float, others: float) -> None:
    print(f"\n## {name}   ({took:.0f} s; other programs took {others:.0%} of the machine)\n")
    if result.rows:
        print(table(result.rows))
    if result.text:
        print(result.text)
    for note in result.notes:
        print(f"* {note}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
