"""Events coming in: one by one beside a bare server, in batches beside decoding alone and appending alone."""

import time
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from bench.append import through_apsw
from bench.bare import serve
from bench.children import Child, once
from bench.load import Load, Took, batch_in_pieces, generate
from bench.measure import own_cpu
from bench.report import Found, row
from bench.run import Run
from bench.samples import message_ids, mix
from bench.serving import Server
from milonga.spec.decode import decode

SECONDS = 2.0  #: of one round
BATCH = 100
CONNECTIONS_OF_BATCHES = 16
WARM = 3.0  #: seconds of load that do not count: what a start leaves to do, `start` measures
TARGET = 50_000  #: events a second on one core
OF_BARE = 0.40  #: of what bare uvicorn takes; why: docs/decisions/0030-two-numbers-set-anew.md


def single(run: Run) -> Found:
    """`POST /v1/track` over 64 kept connections: durable before the answer, ids checked for duplicates."""
    bare: list[Took] = []
    ours: list[Took] = []
    data = run.fresh()
    with (
        Child(generate, run.cores.others) as generator,
        Child(serve, run.cores.measured) as limit,
        Server(data, run.cores) as server,
    ):
        for _ in range(run.rounds):
            bare.append(generator.ask(Load(port=limit.hello, seconds=SECONDS, watch=(limit.pid,))))
            ours.append(generator.ask(Load(port=server.port, seconds=SECONDS, watch=(server.pid,))))
    limit_is = "bare uvicorn: reads the body, stores nothing, same core"
    rates = [took.rate for took in ours]
    most = [took.rate for took in bare]
    rows = [
        row("single events", rates, "events/s", limit=most, limit_is=limit_is, at_least=OF_BARE, of="ratio"),
        row("single, per CPU second", _per_core(ours), "events/s", limit=_per_core(bare)),
        row("single, p50", [took.p50 for took in ours], "ms", limit=[took.p50 for took in bare]),
        row("single, p99", [took.p99 for took in ours], "ms", limit=[took.p99 for took in bare]),
    ]
    return Found(rows, [*_refused(ours), _generator(bare + ours)])


def batch(run: Run) -> Found:
    """Batches of 100, with many ids remembered, each under a day old."""
    data = run.filled()
    decoding: list[float] = []
    strict: list[float] = []
    storing: list[tuple[float, float]] = []
    ours: list[Took] = []
    with Child(generate, run.cores.others) as generator, Server(data, run.cores) as server:
        load = Load(
            port=server.port,
            connections=CONNECTIONS_OF_BATCHES,
            batch=BATCH,
            seconds=SECONDS,
            watch=(server.pid,),
        )
        generator.ask(replace(load, warm=WARM))
        for _ in range(run.rounds):
            ours.append(generator.ask(load))
            plain, whole = once(decode_alone, run.cores.measured)
            decoding.append(plain)
            strict.append(whole)
            storing.append(once(_append_alone, run.cores.measured, run))
    rates = [took.rate for took in ours]
    both = [1 / (1 / d + 1 / s) for d, (_, s) in zip(decoding, storing, strict=True)]
    rows = [
        row("batches of 100", rates, "events/s", at_least=TARGET),
        row(
            "batches, per CPU second",
            _per_core(ours),
            "events/s",
            limit=both,
            limit_is="msgspec alone, then apsw alone, per CPU second",
            at_least=TARGET,
        ),
        row("batches, p50", [took.p50 for took in ours], "ms"),
        row("batches, p99", [took.p99 for took in ours], "ms"),
        row("msgspec.json.decode alone", decoding, "events/s"),
        row("milonga.spec.decode alone", strict, "events/s", limit=decoding, limit_is="msgspec.json.decode alone"),
        row("apsw alone, groups of 1000", [wall for wall, _ in storing], "events/s"),
        row("apsw alone, per CPU second", [per_cpu for _, per_cpu in storing], "events/s"),
    ]
    return Found(rows, [f"{run.stored:,} ids remembered before.", *_refused(ours), _generator(ours)])


def decode_alone() -> tuple[float, float]:
    """Events per second: msgspec to plain objects, and our strict decoder."""
    pieces = batch_in_pieces(0, mix(BATCH))
    pieces[1::2] = message_ids(BATCH)
    body = b"".join(pieces).partition(b"\r\n\r\n")[2]
    decoded = decode(body, None)
    assert decoded is not None
    assert len(decoded.events) == BATCH
    return _speed(lambda: msgspec.json.decode(body)), _speed(lambda: decode(body, None))


def _speed(work: Callable[[], object]) -> float:
    """Events per CPU second, of batches of 100."""
    count, end, cpu = 0, time.perf_counter() + 0.5, own_cpu()
    while time.perf_counter() < end:
        work()
        count += BATCH
    return count / (own_cpu() - cpu)


def _append_alone(run: Run) -> tuple[float, float]:
    return through_apsw(run.folder, "", 30_000, 1000)


def _per_core(rounds: list[Took]) -> list[float]:
    return [took.events / sum(took.cpu.values()) for took in rounds]


def _refused(rounds: list[Took]) -> list[str]:
    refused = sum(took.refused for took in rounds)
    return [f"{refused:,} requests were not answered with 200!"] if refused else []


def _generator(rounds: list[Took]) -> str:
    busiest = max(took.own for took in rounds)
    return f"The generator was busy for {busiest:.0%} of its core at most; near 100 % it would be what is measured."
