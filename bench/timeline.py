"""
Where an event's time goes between its 200 and its request at the receiver. In the process of delivery three functions
are wrapped before it begins (bench/probe), so that nothing of the product knows of it; each event of the accounts that
are watched leaves one line for each:

    read     it was read from the log and is let in
    sent     its request was handed to the HTTP client
    written  libcurl begins to write it

and each garbage collection of over a millisecond leaves one, too.
"""

import gc
import os
import re
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from bench.arrivals import WHAT
from bench.flooding import Times
from bench.measure import percentile

VARIABLE: Final = "MILONGA_BENCH_TIMELINE"
HERE: Final = Path(__file__).parent
WATCHED: Final = "other-"  #: how the names of accounts begin whose events are looked at
IN_FORM: Final = b"sdr_o=" + WATCHED.encode()
NAME: Final = re.compile(rb'"event":"([0-9]+)"')
FLUSH: Final = 0.5  #: seconds, for the process may be killed
LONG: Final = 0.001  #: seconds, of a garbage collection worth a line

STEPS: Final = ("accepted to read", "read to sent", "sent to written", "written to received")


def environment(file: Path) -> dict[str, str]:
    """For the server: what its delivery writes where."""
    path = [str(HERE / "probe"), str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {VARIABLE: str(file), "PYTHONPATH": os.pathsep.join(path)}


def install(file: str) -> None:
    """In the process of delivery."""
    from milonga.delivery.admission import Admission
    from milonga.delivery.curlcall import Call
    from milonga.delivery.sender import Sender

    out, now = Path(file).open("a", buffering=1 << 20), time.perf_counter  # noqa: SIM115 - as long as the process lives
    admit, send, may_write = Admission.admit, Sender.send, Call._may_write

    def admitting(self: Any, item: Any, *rest: Any) -> None:
        if (item.event.stamp.account or "").startswith(WATCHED):
            found = NAME.search(item.event.body)
            out.write(f"read {found[1].decode() if found else 0} {now()}\n")
        admit(self, item, *rest)

    def sending(self: Any, outgoing: Any, done: Any) -> None:
        if IN_FORM in outgoing.body:
            out.write(f"sent {_number(outgoing.body)} {now()}\n")
        send(self, outgoing, done)

    def writing(self: Any, *ends: Any) -> int:
        if IN_FORM in self._outgoing.body:
            out.write(f"written {_number(self._outgoing.body)} {now()}\n")
        return may_write(self, *ends)

    began = 0.0

    def collecting(phase: str, _: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = now()
        elif now() - began > LONG:
            out.write(f"collected {(now() - began) * 1000} {now()}\n")

    def flush() -> None:
        while True:
            time.sleep(FLUSH)
            out.flush()

    Admission.admit, Sender.send, Call._may_write = admitting, sending, writing  # type: ignore[method-assign, assignment]
    gc.callbacks.append(collecting)
    threading.Thread(target=flush, name="timeline", daemon=True).start()


def _number(form: bytes) -> int:
    return int(dict(WHAT.findall(form))[b"a"])


class Timeline:
    """
    What the wrapped functions wrote.

    collected  (milliseconds, when) of garbage collections
    """

    def __init__(self, file: Path) -> None:
        self._at: dict[str, Times] = {"read": {}, "sent": {}, "written": {}}
        self.collected: list[tuple[float, float]] = []
        lines = file.read_text().splitlines() if file.exists() else []
        for line in lines:
            what, which, at = line.split()
            if what == "collected":
                self.collected.append((float(which), float(at)))
            else:
                self._at[what].setdefault(int(which), float(at))

    def steps(self, accepted: Times, received: Times, share: float = 0.99) -> dict[str, float]:
        """
        Of the slowest events, from their `share` on: what each step takes in the mean, milliseconds. What happened
        before the sender had its 200 took no time.
        """
        known = [n for n in accepted if n in received and all(n in times for times in self._at.values())]
        waits = {n: received[n] - accepted[n] for n in known}
        least = percentile(waits.values(), share) if known else 0.0
        slow = [list(self._of(n, accepted[n], received[n])) for n in known if waits[n] >= least]
        return {step: sum(one[place] for one in slow) / max(1, len(slow)) for place, step in enumerate(STEPS)}

    def _of(self, number: int, accepted: float, received: float) -> Iterable[float]:
        before = accepted
        for at in (*(times[number] for times in self._at.values()), received):
            yield max(0.0, at - before) * 1000
            before = max(before, at)
