"""
The index of a large log: how fast it is made, what it takes, how quickly it answers.

    python -m bench.indexing [--events 10000000] [--folder DIR] [--keep DIR]

10 million events take some 16 GB and half an hour.
"""

import argparse
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench.many import ACCOUNTS, ACTIVITIES, MODULES, WEEK, account_name, activity_name, fill, user_name
from bench.report import machine
from milonga.eventlog.sqlite import now_ms
from milonga.index.index import EventIndex
from milonga.index.news import DAY
from milonga.index.search import Query

ROUNDS: Final = 30


def size_of(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def build(data: Path, count: int) -> EventIndex:
    began, cpu = time.perf_counter(), time.process_time()
    index = EventIndex(data, reserve=0, rest=0.0)
    index.start()
    while not index.standing.settled:
        time.sleep(0.2)
        if time.perf_counter() - began > 60 and index.standing.trouble:
            raise SystemExit(index.standing.trouble)
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    print(
        f"made: {count / seconds:,.0f} events/s, {used / count * 1e6:.1f} µs CPU each; "
        f"{size_of(data / 'index') / count:.0f} bytes each (log: {size_of(data / 'log') / count:.0f}); "
        f"largest memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB",
        flush=True,
    )
    return index


def asked(index: EventIndex, count: int, now: int) -> dict[str, Callable[[random.Random], Any]]:
    """What is asked, by what it is called."""

    def search(**given: Any) -> Any:
        return index.search(Query(**given), 50)

    def through(**given: Any) -> Any:
        """Until the end."""
        before = None
        while (found := index.search(Query(**given), 50, before)).before is not None and not found.events:
            before = found.before
        return found

    return {
        "the newest events": lambda _: search(),
        "one message id": lambda _: search(message_id="id-0" + "0" * 32),
        "one user": lambda d: search(user=user_name(int(ACCOUNTS * d.random()), 3)),
        "one account": lambda d: search(account=account_name(int(ACCOUNTS * d.random()))),
        "the account with a tenth of all": lambda _: search(account=account_name(0)),
        "a rare activity": lambda d: search(name=activity_name(int(ACTIVITIES * d.random()))),
        "a user who is not there": lambda _: search(user="nobody"),
        "account and activity": lambda d: search(
            account=account_name(0), name=activity_name(int(ACTIVITIES * d.random()))
        ),
        "type, module, source": lambda d: search(
            type="page", module=f"Module {int(MODULES * d.random())}", sources=frozenset([3])
        ),
        "two frequent things that never meet": lambda _: through(account=account_name(0), sources=frozenset([2])),
        "three that never meet": lambda _: through(type="group", module="Module 1", sources=frozenset([1])),
        "an hour five days ago": lambda _: search(type="track", since=now - 5 * DAY, until=now - 5 * DAY + 3_600_000),
        "an account in an hour five days ago": lambda d: search(
            account=account_name(int(ACCOUNTS * d.random())), since=now - 5 * DAY, until=now - 5 * DAY + 3_600_000
        ),
        "account page": lambda d: index.account(account_name(int(ACCOUNTS * d.random() ** 3))),
        "page of the largest account": lambda _: index.account(account_name(0)),
        "accounts": lambda _: index.accounts(),
        "accounts by text": lambda d: index.accounts(str(int(ACCOUNTS * d.random()))),
        "accounts by text that none has": lambda _: index.accounts("nobody"),
        "accounts never named": lambda _: index.accounts(unnamed=True),
        "catalogue": lambda _: index.catalogue(),
        "catalogue of a source": lambda _: index.catalogue(2),
        "without account": lambda _: index.without_account(now - WEEK, now),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--folder", default="/var/tmp")  # noqa: S108 - as the other benches: it is on a disk
    parser.add_argument("--keep", help="a data directory to make there, or to use again")
    options = parser.parse_args()
    data = Path(options.keep or tempfile.mkdtemp(dir=options.folder))
    try:
        print(machine(data.parent), flush=True)
        if not (data / "log").exists():
            began = time.perf_counter()
            fill(data / "log", options.events, now_ms())
            print(f"{options.events:,} events written in {time.perf_counter() - began:.0f} s", flush=True)
        shutil.rmtree(data / "index", ignore_errors=True)
        index = build(data, options.events)
        newest = index.search(Query(), 1).events[0].event.stamp.received_at
        dice = random.Random(3)
        print(f"{'asked':40} {'first':>8} {'p50':>8} {'p99':>8}  ms")
        for name, ask in asked(index, options.events, newest).items():
            times = []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                ask(dice)
                times.append((time.perf_counter() - began) * 1000)
            ordered = sorted(times)
            print(f"{name:40} {times[0]:8.1f} {ordered[len(times) // 2]:8.1f} {ordered[-1]:8.1f}", flush=True)
        index.stop()
    finally:
        if not options.keep:
            shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    main()
