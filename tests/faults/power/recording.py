"""A Milonga under strace, with a load; then its end without a word, and all that was written down."""

import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from tests.faults.case import Skipped
from tests.faults.load import Load
from tests.faults.mix import Made
from tests.faults.power.disk import Disk
from tests.faults.power.trace import COMMAND, VOLATILE, Answer, Call, calls
from tests.faults.scene import Scene
from tests.running import eventually
from tests.started import lives

PACE: Final = 500  #: events in a second: the tracer takes its time, too


class Recording(Struct, frozen=True):
    """
    disk   all that happened to it
    calls  in the order in which they ended
    acks   (line of the trace, numbers) of each request that was answered with 200
    made   number -> event, of all that was sent
    """

    disk: Disk
    calls: list[Call]
    acks: list[tuple[int, list[int]]]
    made: Mapping[int, Made]

    def acked(self, cut: int) -> set[int]:
        return {number for line, numbers in self.acks if line <= cut for number in numbers}

    def at(self, cut: int) -> float:
        """When the last of the calls had begun, unix seconds."""
        return max((call.at for call in self.calls if call.begun <= cut), default=0.0)


def traced(trace: Path) -> tuple[str, ...]:
    """What starts a server whose calls are to be written there. Skipped where that cannot be done."""
    if shutil.which("strace") is None:
        raise Skipped("there is no strace: apt-get install strace", installable=True)
    return (*COMMAND, "-o", str(trace))


def record(on: Scene, trace: Path, seed: int, events: int) -> Recording:
    """The scene's server, which is not started yet, takes so many events, and is gone in the middle of its work."""
    base = {
        str(path): None if path.is_dir() else path.read_bytes()
        for path in [on.milonga.data, *on.milonga.data.rglob("*")]
        if not str(path).endswith(VOLATILE)
    }
    on.milonga.start()
    load = Load(on.milonga, "k-faults", seed, pace=PACE, most=events).start().finish()
    server = _child(on.milonga.pid)
    os.kill(server, signal.SIGKILL)
    on.milonga.ended()
    eventually(lambda: not lives(server), "the server is gone")
    with trace.open(encoding="ascii") as lines:
        found = calls(lines, str(on.milonga.data), on.milonga.port)
    return Recording(Disk(base, found), found, _acks(found, load), load.made)


def _child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _acks(found: list[Call], load: Load) -> list[tuple[int, list[int]]]:
    """Each port's requests were answered in the order in which they were sent."""
    lines: dict[int, list[int]] = {}
    for call in found:
        if isinstance(call.what, Answer):
            lines.setdefault(call.what.port, []).append(call.begun)
    counted: dict[int, int] = {}
    acks = []
    for port, numbers in load.acks:
        place = counted.get(port, 0)
        counted[port] = place + 1
        acks.append((lines[port][place], numbers))
    return sorted(acks)
