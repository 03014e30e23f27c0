"""From a single event to its request at the receiver, while nothing else happens."""

import base64
import random
import time
from http.client import HTTPConnection
from urllib.parse import parse_qs

from bench.children import Child
from bench.load import KEY
from bench.measure import percentile
from bench.receiver import Seen, receive
from bench.report import Found, row
from bench.run import Run
from bench.serving import Server, add_totango

EVENTS = 300
WARM = 20  #: events that do not count
PAUSE = (0.01, 0.05)  #: seconds between two events; each time another part of it
PATIENCE = 10.0
P50, P99 = 15, 60  #: targets, milliseconds


def latency(run: Run) -> Found:
    """The receiver answers at once, so that nothing of what is measured is its own."""
    data = run.fresh()
    sent: dict[str, tuple[float, float]] = {}
    came: dict[str, float] = {}
    dice = random.Random(7)
    with Child(receive, run.cores.others, 0.0, True) as receiver:
        add_totango(data, receiver.hello, after=0)
        with Server(data, run.cores) as server:
            connection = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
            for number in range(-WARM, EVENTS):
                if number == 0:  # the ones before only open connections and warm up: delivery starts a little later
                    came = _came(receiver, WARM)
                name = f"n{number}"
                body = (
                    f'{{"userId":"u{number % 97}","event":"{name}","messageId":"latency-{number}",'
                    f'"context":{{"groupId":"a{number % 31}"}},"properties":{{"category":"Bench"}}}}'
                )
                began = time.perf_counter()
                connection.request("POST", "/v1/track", body, {"Authorization": f"Basic {_basic()}"})
                answer = connection.getresponse()
                answer.read()
                sent[name] = (began, time.perf_counter())
                if answer.status != 200:
                    raise RuntimeError(f"Answered with {answer.status}")
                time.sleep(dice.uniform(*PAUSE))
            connection.close()
            came |= _came(receiver, EVENTS)
    counted = [name for name in sent if not name.startswith("n-")]
    from_sending = [(came[name] - sent[name][0]) * 1000 for name in counted]
    from_answer = [(came[name] - sent[name][1]) * 1000 for name in counted]
    answered = [(sent[name][1] - sent[name][0]) * 1000 for name in counted]
    rows = [
        row("sent to received, p50", [percentile(from_sending, 0.5)], "ms", at_most=P50),
        row("sent to received, p99", [percentile(from_sending, 0.99)], "ms", at_most=P99),
        row("accepted to received, p50", [percentile(from_answer, 0.5)], "ms"),
        row("accepted to received, p99", [percentile(from_answer, 0.99)], "ms"),
        row("sent to accepted, p50", [percentile(answered, 0.5)], "ms"),
        row("sent to accepted, p99", [percentile(answered, 0.99)], "ms"),
    ]
    notes = [
        f"{EVENTS} single events, one after the other, {PAUSE[0] * 1000:g} to {PAUSE[1] * 1000:g} ms apart.",
        "Accepted: the whole answer is with the sender. Delivery need not wait for that: the request may come before.",
    ]
    return Found(rows, notes)


def _basic() -> str:
    return base64.b64encode(f"{KEY}:".encode()).decode()


def _came(receiver: Child, count: int) -> dict[str, float]:
    """When the request of each event came, by the event's name."""
    came: dict[str, float] = {}
    deadline = time.monotonic() + PATIENCE
    while len(came) < count:
        seen: Seen = receiver.ask("seen")
        for at, body in seen.kept:
            came.setdefault(parse_qs(body.decode())["sdr_a"][0], at)
        if time.monotonic() > deadline:
            raise RuntimeError(f"Only {len(came)} of {count} events came")
        time.sleep(0.05)
    return came
