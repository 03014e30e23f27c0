"""
A backlog going out to a receiver with a latency, beside the HTTP client alone with the same bytes and the same
receiver. Both in processes of their own, on the measured core.
"""

import asyncio
import os
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from bench.children import Child
from bench.measure import own_cpu
from bench.receiver import Seen, receive
from bench.report import Found, row
from bench.run import Run
from bench.samples import mix, stamped
from bench.serving import add_totango, fill
from milonga.cli import logs
from milonga.delivery.encode import outgoing
from milonga.delivery.manager import Delivery
from milonga.delivery.outgoing import Outgoing, Reply
from milonga.delivery.sender import Sender
from milonga.destinations import registry
from milonga.destinations.contract import Answer, Skip
from milonga.eventlog.reader import SqliteLogReader
from milonga.facts.directory import LOG_FOLDER
from milonga.outcomes.model import State
from milonga.outcomes.reader import OutcomeReader
from milonga.spec.read import read_stamped
from milonga.workspace.store import Workspace

EVENTS = 15_000
LATENCY = 0.05  #: seconds, of the receiver
IN_FLIGHT = 256
PATIENCE = 60.0  #: seconds for one round
OWN_COST, PER_CORE = 120, 3_500  #: targets: microseconds; requests per CPU second


def delivery(run: Run) -> Found:
    """From the log to the receiver, outcomes written."""
    alone: list[tuple[float, float]] = []
    whole: list[tuple[float, float]] = []
    with Child(receive, run.cores.others, LATENCY, False) as receiver:
        for _ in range(run.rounds):
            with Child(client_alone, run.cores.measured, receiver.hello, EVENTS) as client:
                cpu = client.ask("go", PATIENCE)
                alone.append((_seconds(receiver.ask("seen")), cpu))
            data = run.fresh()
            fill(data, run.source, EVENTS, run.cores.all)
            number = add_totango(data, receiver.hello, after=0, concurrency=IN_FLIGHT)
            with Child(deliver_backlog, run.cores.measured, data) as process:
                process.tell("go")
                _wait_for(data, number, EVENTS)
                cpu = process.ask("stop")
                whole.append((_seconds(receiver.ask("seen")), cpu))
    each = [cpu / EVENTS * 1e6 for _, cpu in whole]
    client_each = [cpu / EVENTS * 1e6 for _, cpu in alone]
    own = [a - b for a, b in zip(each, client_each, strict=True)]
    limit_is = f"the HTTP client alone: same requests, same receiver ({LATENCY * 1000:g} ms), {IN_FLIGHT} in flight"
    rows = [
        row("delivery, per CPU second", [1e6 / us for us in each], "requests/s",
            limit=[1e6 / us for us in client_each], limit_is=limit_is, at_least=PER_CORE),
        row("delivery", [EVENTS / s for s, _ in whole], "requests/s", limit=[EVENTS / s for s, _ in alone]),
        row("CPU of one event", each, "us", limit=client_each),
        row("own cost of one event", own, "us", at_most=OWN_COST),
    ]  # fmt: skip
    return Found(rows, [f"{EVENTS:,} events of 5,000 users in 1,000 accounts; one request each."])


def _seconds(seen: Seen) -> float:
    if seen.count < EVENTS:
        raise RuntimeError(f"Only {seen.count:,} of {EVENTS:,} requests came")
    return seen.last - seen.first + LATENCY


def _wait_for(data: Path, destination: int, events: int) -> None:
    """Until so many outcomes are durable."""
    reader = OutcomeReader(data / "outcomes")
    deadline = time.monotonic() + PATIENCE
    while True:
        time.sleep(0.1)
        totals = reader.totals() if (data / "outcomes").exists() else {}
        if sum(totals.values()) >= events:
            break
        if time.monotonic() > deadline:
            raise RuntimeError(f"After {PATIENCE:g} s only {totals} of {events:,} outcomes")
    if totals != {(destination, State.delivered, ""): events}:
        raise RuntimeError(f"Not everything was delivered: {totals}")


def deliver_backlog(pipe: Connection, data: Path) -> None:
    """The delivery half of `milonga serve`, from "go" to "stop"; sends the CPU seconds it took."""
    logs.configure()
    pipe.send("ready")
    pipe.recv()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader = SqliteLogReader(data / LOG_FOLDER, bell="delivery")
        with Workspace.open(data) as workspace:
            process = Delivery(data, workspace, reader, allow_private=True)

            def told() -> None:
                loop.remove_reader(pipe.fileno())
                os.set_blocking(pipe.fileno(), True)  # the loop had made it otherwise
                process.stop()

            loop.add_reader(pipe.fileno(), told)
            await process.run()
            await reader.close()

    before = own_cpu()
    uvloop.run(main())
    pipe.recv()
    pipe.send(own_cpu() - before)
    pipe.recv()


def client_alone(pipe: Connection, port: int, count: int) -> None:
    """Sends so many requests, made beforehand, after "go"; sends the CPU seconds it took."""
    waiting = _requests(port, count)
    pipe.send("ready")
    pipe.recv()

    async def main() -> None:
        sender = Sender(asyncio.get_running_loop(), allow_private=True, max_connections=IN_FLIGHT)
        ended = asyncio.get_running_loop().create_future()
        left = count

        def done(reply: Reply, _: float) -> None:
            nonlocal left
            left -= 1
            if not isinstance(reply, Answer):
                waiting.clear()
                if not ended.done():
                    ended.set_exception(RuntimeError(str(reply)))
            elif waiting:
                sender.send(waiting.pop(), done)
            elif not left:
                ended.set_result(None)

        for _ in range(IN_FLIGHT):
            sender.send(waiting.pop(), done)
        await ended
        await sender.close(1.0)

    before = own_cpu()
    uvloop.run(main())
    pipe.send(own_cpu() - before)
    pipe.recv()


def _requests(port: int, count: int) -> list[Outgoing]:
    kind = registry.kind("totango")
    values: dict[str, Any] = {"serviceId": "SP-12345-01", "endpoint": f"http://127.0.0.1:{port}/pixel.gif/"}
    settings = msgspec.convert(values, kind.settings)
    made = []
    for one in stamped(mix(5_000), 1, count):
        result = kind.translate(read_stamped(one), settings)
        if isinstance(result, Skip) or len(result) != 1:
            raise RuntimeError(f"A sample does not become one request: {result}")
        made.append(outgoing(result[0], timeout=30.0, now=0.0))
    return made
