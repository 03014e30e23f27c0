"""
`milonga serve` is one command with two processes: this one collects, a child delivers. The child is started again when
it dies; when this one dies, the child sees the end of a pipe that only this one holds, hands back and goes.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

log = structlog.get_logger("milonga")

GRACE = 20.0  #: seconds the child gets to finish what is under way
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0  #: seconds before a dead child is started again
WELL = 30.0  #: seconds after which a child counts as started well


def stop_on_signals(stop: asyncio.Event) -> None:
    """SIGTERM and Ctrl-C: finish and go. A second one ends at once."""
    loop = asyncio.get_running_loop()

    def first(number: int) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, first, number)


def stop_at_end_of(life: int, stop: asyncio.Event) -> None:
    """life  reading end of the pipe whose other end the parent holds as long as it lives"""

    def ended() -> None:
        asyncio.get_running_loop().remove_reader(life)
        stop.set()

    asyncio.get_running_loop().add_reader(life, ended)


async def keep_delivery(data: Path, lock: int, options: Sequence[str], stop: asyncio.Event) -> None:
    """
    Run the delivery process, again whenever it dies, until `stop` is set; then let it finish.

    lock     open file of the data directory's lock, to be shared with the child
    options  further ones of `milonga serve`
    """
    life, held = os.pipe()
    stopping = asyncio.create_task(stop.wait())
    wait = FIRST_WAIT
    try:
        while not stop.is_set():
            started = asyncio.get_running_loop().time()
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "milonga", "serve", "--role", "delivery", "--data", str(data)),
                *("--lock-file", str(lock), "--life", str(life), *options),
                pass_fds=(lock, life),
                start_new_session=True,  # a Ctrl-C in the terminal reaches this process alone; it ends the child
            )
            ended = asyncio.create_task(child.wait())
            await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                wait = FIRST_WAIT if asyncio.get_running_loop().time() - started > WELL else min(wait * 2, LONGEST_WAIT)
                log.error("delivery.died", status=child.returncode, again_in=wait)
                await asyncio.wait((stopping,), timeout=wait)
            else:
                await _end(child, ended)
    finally:
        stopping.cancel()
        os.close(life)
        os.close(held)


async def _end(child: asyncio.subprocess.Process, ended: "asyncio.Task[int]") -> None:
    child.terminate()
    await asyncio.wait((ended,), timeout=GRACE)
    if not ended.done():
        log.error("delivery.killed", after=GRACE)
        child.kill()
        await ended
