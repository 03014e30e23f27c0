"""What can be wrong with a disk, and how it is made so for a while, for a server that runs."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from shutil import which
from typing import Final

from tests.faults.case import Skipped
from tests.running import PATIENCE, eventually
from tests.started import lives

WRITES: Final = "pwrite64,ftruncate,fsync,fdatasync,rename,unlink,mkdir"
READ_ONLY: Final = f"{WRITES}:error=EROFS"
"""As after an error of the disk, when Linux mounts it anew for reading only: every change is refused."""
BROKEN: Final = "pwrite64,fsync,fdatasync:error=EIO:when=2+7"
"""Every seventh change fails, in each thread by itself."""
SLOW: Final = "fsync,fdatasync:delay_exit=100000"
"""A tenth of a second for each sync, ten times what an ordinary disk takes."""


@contextmanager
def injected(what: str, *pids: int) -> Iterator[None]:
    """
    strace's way to fail calls, in these processes and all their threads, as long as it lasts. Skipped where it cannot.

    what  as in its option `inject`
    """
    if which("strace") is None:
        raise Skipped("there is no strace: apt-get install strace", installable=True)
    names = what.partition(":")[0]
    attach = [option for pid in pids for option in ("-p", str(pid))]
    process = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={names}", "-e", f"inject={what}", *attach],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        eventually(lambda: process.poll() is not None or all(_is_traced(pid) for pid in pids), "strace has attached")
        if process.returncode is not None:
            assert process.stderr is not None
            raise Skipped(f"strace cannot attach here: {process.stderr.read().strip()}")
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)  # it lets go of them
        process.wait(PATIENCE)
        assert process.stderr is not None
        process.stderr.close()


def _is_traced(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:  # noqa: PTH123 - short-lived
            return any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in status)
    except OSError:
        return not lives(pid)
