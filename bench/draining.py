"""What delivery takes from the collector while it works off a backlog."""

import time

from bench.children import Child
from bench.load import Load, Took, generate
from bench.receiver import Seen, receive
from bench.report import Found, row
from bench.run import Run
from bench.serving import Server, add_totango, fill, switch
from milonga.workspace.model import DestinationState

BACKLOG = 30_000
LATENCY = 0.05
SECONDS = 1.5
SWITCHED = 1.2  #: seconds until a change of state is in force for sure
PACE = 4_000  #: requests per second of the load that leaves the others some of their core


def drain(run: Run) -> Found:
    """Single events, as many as it takes and at a fixed pace, with the destination paused and on in turns."""
    idle: list[Took] = []
    draining: list[Took] = []
    paced_idle: list[Took] = []
    paced_draining: list[Took] = []
    delivered: list[float] = []
    data = run.fresh()
    fill(data, run.source, BACKLOG, run.cores.all)
    with (
        Child(generate, run.cores.others) as generator,
        Child(receive, run.cores.others, LATENCY, False) as receiver,
    ):
        add_totango(data, receiver.hello, after=0, state=DestinationState.paused)
        with Server(data, run.cores) as server:
            most = Load(port=server.port, seconds=SECONDS, watch=(server.pid,))
            paced = Load(port=server.port, seconds=SECONDS, watch=(server.pid,), per_second=PACE)
            for _ in range(run.rounds):
                idle.append(generator.ask(most))
                paced_idle.append(generator.ask(paced))
                switch(data, DestinationState.on)
                time.sleep(SWITCHED)
                receiver.ask("seen")
                draining.append(generator.ask(most))
                paced_draining.append(generator.ask(paced))
                delivered.append(_rate(receiver.ask("seen")))
                switch(data, DestinationState.paused)
                time.sleep(SWITCHED)
    rows = [
        row("ingest while draining", [took.rate for took in draining], "events/s", limit=[took.rate for took in idle],
            limit_is="the same with the destination paused", at_least=0.80, of="ratio"),
        row("  its p99", [took.p99 for took in draining], "ms", limit=[took.p99 for took in idle]),
        row("  collector's CPU of an event", _each(draining), "us", limit=_each(idle)),
        row(f"at {PACE:,}/s while draining", [took.rate for took in paced_draining], "events/s",
            limit=[took.rate for took in paced_idle], at_least=0.80, of="ratio"),
        row("  its p99 ", [took.p99 for took in paced_draining], "ms", limit=[took.p99 for took in paced_idle]),
        row("delivered meanwhile", delivered, "requests/s"),
    ]  # fmt: skip
    notes = [run.shared]
    if run.cores.count <= 2:
        notes.append(
            "The target speaks of a free core for delivery, and there is none here: what the generator loses to it "
            "looks like a slower collector. The collector's CPU of an event is free of that."
        )
    return Found(rows, notes)


def _each(rounds: list[Took]) -> list[float]:
    return [sum(took.cpu.values()) / took.events * 1e6 for took in rounds]


def _rate(seen: Seen) -> float:
    return seen.count / (seen.last - seen.first)
