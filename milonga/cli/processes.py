"""
`milonga serve` is one command with three processes: this one collects, one child delivers, another shows the console.
A child is started again when it dies; when this one dies, a child sees the end of a pipe that only this one holds,
hands back and goes.
"""

import asyncio
import gc
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog
from msgspec import Struct

log = structlog.get_logger("milonga")

GRACE = 20.0  #: seconds the child gets to finish what is under way
ORPHANED = 1.5  #: seconds it gets when its parent died: soon somebody will start a new one
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0  #: seconds before a dead child is started again
WELL = 30.0  #: seconds after which a child counts as started well


def stop_on_signals(stop: asyncio.Event, hurry: asyncio.Event | None = None) -> None:
    """
    SIGTERM, Ctrl-C, and the end of the terminal unless `nohup` said otherwise: finish and go.

    hurry  set by a second signal; without it, that one ends the process at once
    """
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)

    def told() -> None:
        if hurry is None:
            for number in numbers:
                signal.signal(number, signal.SIG_DFL)
        elif stop.is_set():
            hurry.set()
        stop.set()

    for number in numbers:
        asyncio.get_running_loop().add_signal_handler(number, told)


def stop_at_end_of(life: int, stop: asyncio.Event) -> None:
    """
    A process whose parent died stops, and is gone soon, whatever it is busy with: a thread sees to that.

    life  reading end of a pipe whose other end the parent holds as long as it lives; nothing else comes through it
    """
    loop = asyncio.get_running_loop()
    if select.select([life], [], [], 0)[0]:
        stop.set()

    def watch() -> None:
        os.read(life, 1)
        with suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(stop.set)
        time.sleep(ORPHANED)
        os._exit(1)

    threading.Thread(target=watch, name="life", daemon=True).start()


def settle() -> None:
    """
    To be called once a process is at work. What it has loaded by then stays for good, and Python's garbage collector
    would look through all of it again and again, in the middle of everything: 12 to 20 ms each time.
    """
    gc.collect()
    gc.freeze()


class Child(Struct, frozen=True, kw_only=True):
    """
    A process of its own for a part of `milonga serve`.

    role      "delivery", "console"
    options   further ones of `milonga serve`
    files     open files that it gets, by the numbers they have here
    meanwhile what is so as long as it cannot start, for people
    """

    role: str
    options: Sequence[str]
    files: Sequence[int] = ()
    meanwhile: str


async def keep(of: Child, data: Path, lock: int, stop: asyncio.Event) -> None:
    """
    Run it, again whenever it dies, until `stop` is set; then let it finish.

    lock     open file of the data directory's lock, to be shared with the child
    """
    life, held = os.pipe()
    loop = asyncio.get_running_loop()
    stopping = asyncio.create_task(stop.wait())
    wait, told = FIRST_WAIT, ""
    try:
        while not stop.is_set():
            started = loop.time()
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "milonga", "serve", "--role", of.role, "--data", str(data)),
                *("--lock-file", str(lock), "--life", str(life), *of.options),
                stdout=asyncio.subprocess.PIPE,
                pass_fds=(lock, life, *of.files),
                start_new_session=True,  # a Ctrl-C in the terminal reaches this process alone; it ends the child
            )
            ended = asyncio.create_task(_ended(child))
            try:
                await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not ended.done():
                    await _end(of, child, ended)
            if stop.is_set():
                return
            words = ended.result()
            wait = FIRST_WAIT if loop.time() - started > WELL else min(wait * 2, LONGEST_WAIT)
            if not words:
                log.error("process.died", role=of.role, status=child.returncode, again_in=wait)
            elif words != told:  # once, not every few seconds
                log.error(
                    "process.cannot_start", role=of.role, why=words, then=f"{of.meanwhile}, and it is tried again"
                )
            told = words
            await asyncio.wait((stopping,), timeout=wait)
    finally:
        stopping.cancel()
        os.close(life)
        os.close(held)


async def _ended(child: asyncio.subprocess.Process) -> str:
    """Wait for its end. On its standard output it says nothing but why it could not go on."""
    words, _ = await child.communicate()
    return words.decode(errors="replace").strip()


async def _end(of: Child, child: asyncio.subprocess.Process, ended: "asyncio.Task[str]") -> None:
    child.terminate()
    await asyncio.wait((ended,), timeout=GRACE)
    if not ended.done():
        log.error("process.killed", role=of.role, after=GRACE)
        child.kill()
        await ended
