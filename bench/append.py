"""
Durable append: Milonga's log beside the same rows through bare apsw, in one run.

    python -m bench.append [--events 200000] [--remembered 1000000] [--folder DIR]

Events are about 930 bytes. "remembered" are stored first, under a day old, so that each new id is checked against them.
"""

import argparse
import asyncio
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import apsw

from milonga.eventlog.api import Position
from milonga.eventlog.record import insert, record
from milonga.eventlog.sqlite import SqliteLog, now_ms
from milonga.spec.stored import Stamp, Stamped

BODY = (
    b'{"type":"track","event":"Completed Purchase","userId":"user-%d","context":{"groupId":"account-%d",'
    b'"library":{"name":"bench","version":"1"}},"properties":{"category":"Conversion","text":"' + b"x" * 720 + b'"}}'
)


def events(count: int, accounts: int = 1000) -> list[Stamped]:
    now = now_ms()
    return [
        Stamped(
            Stamp(
                source=1,
                type="track",
                message_id=str(uuid.UUID(bytes=os.urandom(16))),
                own_message_id=True,
                user_id=f"user-{number % 5000}",
                anonymous_id=None,
                account=f"account-{number % accounts}",
                account_found="context.groupId",
                received_at=now,
                timestamp=now,
                original_timestamp="2026-11-22T10:10:10.123Z",
                sent_at="2026-11-22T10:10:10.223Z",
            ),
            BODY % (number % 5000, number % accounts),
        )
        for number in range(count)
    ]


def percentile(times: list[float], share: float) -> str:
    return f"{sorted(times)[min(len(times) - 1, int(len(times) * share))] * 1000:.1f}"


def report(name: str, count: int, seconds: float, cpu: float, times: list[float]) -> None:
    if not name:
        return
    tail = f"p50 {percentile(times, 0.5)} p99 {percentile(times, 0.99)} max {percentile(times, 1)} ms"
    print(f"{name:34} {count / seconds:9,.0f} events/s  {cpu / count * 1e6:5.1f} us CPU each  {tail}", flush=True)


async def through_the_log(log: SqliteLog, name: str, count: int, batch: int, tasks: int) -> None:
    """`tasks` callers, each appending `batch` events at a time and waiting for the answer."""
    times: list[float] = []
    made = [events(batch) for _ in range(count // batch)]
    began, cpu = time.perf_counter(), time.process_time()

    async def caller() -> None:
        while made:
            mine = made.pop()
            start = time.perf_counter()
            answers = await log.append(mine)
            times.append(time.perf_counter() - start)
            assert all(isinstance(answer, Position) for answer in answers)

    await asyncio.gather(*(caller() for _ in range(tasks)))
    report(name, count, time.perf_counter() - began, time.process_time() - cpu, times)


def through_apsw(folder: Path, name: str, count: int, group: int) -> tuple[float, float]:
    """The limit: the same rows, made beforehand, one transaction for each group. Events per second, per CPU second."""
    connection = apsw.Connection(str(folder / "raw.db"))
    connection.pragma("page_size", 16384)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.execute(
        "CREATE TABLE events (offset INTEGER PRIMARY KEY, received_at, source, message_id, user_id, account, stamp,"
        " body, crc)"
    )
    rows = [(number, *record(event)) for number, event in enumerate(events(count), 1)]
    times: list[float] = []
    began, cpu = time.perf_counter(), time.process_time()
    for place in range(0, count, group):
        start = time.perf_counter()
        connection.execute("BEGIN")
        connection.executemany(insert(1), rows[place : place + group])
        connection.execute("COMMIT")
        times.append(time.perf_counter() - start)
    seconds, spent = time.perf_counter() - began, time.process_time() - cpu
    report(name, count, seconds, spent, times)
    connection.close()
    (folder / "raw.db").unlink()
    return count / seconds, count / spent


async def measure(folder: Path, count: int, remembered: int) -> None:
    through_apsw(folder, "apsw alone, groups of 100", min(count, 50_000), 100)
    through_apsw(folder, "apsw alone, groups of 1000", min(count, 50_000), 1000)
    log = await SqliteLog.open(folder / "log")
    done = 0
    while done < remembered:
        await asyncio.gather(*(log.append(events(500)) for _ in range(20)))
        done += 10_000
    if remembered:
        print(f"{remembered:,} remembered", flush=True)
        await log.close()
        began = time.perf_counter()
        log = await SqliteLog.open(folder / "log")
        opened = time.perf_counter() - began
        await log.append(events(1))
        print(f"open {opened:.2f} s, first event accepted {time.perf_counter() - began:.2f} s", flush=True)
        await asyncio.sleep(10)
    await through_the_log(log, "batches of 100, 16 callers", count, 100, 16)
    await through_the_log(log, "batches of 100, 1 caller", count // 4, 100, 1)
    await through_the_log(log, "single events, 64 callers", count // 4, 1, 64)
    await through_the_log(log, "single events, 1 caller", 3_000, 1, 1)
    await log.close()


def main(words: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=200_000)
    options.add_argument("--remembered", type=int, default=0)
    options.add_argument("--folder", type=Path, help="kept afterwards; default: a temporary one here")
    chosen = options.parse_args(words)
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="bench-append-", dir="."))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        asyncio.run(measure(folder, chosen.events, chosen.remembered))
    finally:
        if chosen.folder is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
