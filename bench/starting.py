"""From the command to the first event accepted."""

import base64
import time
from http.client import HTTPConnection
from pathlib import Path

from bench.load import KEY
from bench.report import Found, row
from bench.run import Run
from bench.serving import Server

EMPTY, STORED = 1.5, 3.0  #: targets, seconds


def start(run: Run) -> Found:
    """With nothing stored, with much stored, and after a SIGKILL with much stored."""
    empty = [_first(run.fresh()) for _ in range(run.rounds)]
    stored = [_first(run.filled()) for _ in range(run.rounds)]
    killed = [_first(run.filled(), kill=True) for _ in range(run.rounds + 1)][1:]  # each starts after the last's kill
    with Server(run.filled()):
        pass
    rows = [
        row("start, empty", empty, "s", at_most=EMPTY),
        row("start, stored", stored, "s", at_most=STORED),
        row("start after SIGKILL, stored", killed, "s", at_most=STORED),
    ]
    return Found(rows, [f"{run.stored:,} events stored, all under a day old, so that all ids count."])


def _first(data: Path, *, kill: bool = False) -> float:
    """Seconds until an event was accepted."""
    began = time.perf_counter()
    with Server(data) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
        key = base64.b64encode(f"{KEY}:".encode()).decode()
        body = f'{{"userId":"u","event":"Started","messageId":"start-{time.time_ns()}"}}'
        connection.request("POST", "/v1/track", body, {"Authorization": f"Basic {key}"})
        answer = connection.getresponse()
        answer.read()
        took = time.perf_counter() - began
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"Answered with {answer.status}")
        if kill:
            time.sleep(0.2)
            server.kill()
    return took
