"""
One running Milonga for each data directory: an flock on `<data>/lock`, which the kernel lets go when its last holder
dies, however it dies.

The lock belongs to an open file, not to a process. A parent shares it with a child by handing the file down:

    with DataLock.acquire(data, "serve", wait=2.0) as lock:
        child = subprocess.Popen([..., str(lock.fileno())], pass_fds=[lock.fileno()])

and the child, first of all, does `DataLock.adopt(int(argv[-1]), "delivery")`. From then on the directory stays locked
until both have ended: after a SIGKILL of the parent alone nobody else gets in beside the child, and the refusal names
the child.
"""

import contextlib
import fcntl
import os
import shlex
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from milonga.workspace.errors import UserError
from milonga.workspace.files import FILE_MODE, make_data_directory

NAME = "lock"
_AGAIN = 0.02  #: seconds between two tries while waiting
_ENDED = frozenset({"Z", "X"})  #: states of a process, proc(5)
_LEAST = 0.1  #: seconds to wait at least: `holders` takes a free lock for an instant


class Holder(Struct, frozen=True, kw_only=True):
    """
    A line of the lock file: who holds it. Only for people; the lock itself is the kernel's.

    role   "serve", "delivery", ...
    since  unix seconds
    """

    pid: int
    role: str
    command: str
    host: str
    since: int


class DataLock:
    """Held from `acquire` or `adopt` until `release`, the end of the `with` block, or the end of the process."""

    def __init__(self, file: int) -> None:
        self._file = file

    @classmethod
    def acquire(cls, data: Path, role: str, wait: float = 0.0) -> Self:
        """
        role  what this process is, for the refusal of others
        wait  seconds to wait for the one before to end. UserError names it if it does not
        """
        make_data_directory(data)
        path = data / NAME
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        except OSError as error:
            raise UserError(f"{path} cannot be opened: {error.strerror}.") from error
        try:
            _lock(file, path, wait)
            os.ftruncate(file, 0)
        except BaseException:
            os.close(file)
            raise
        _sign(file, role)
        return cls(file)

    @classmethod
    def take_over(cls, data: Path, role: str, wait: float) -> Self:
        """
        As `acquire`, but one of the same role that is alive is not waited for. Whoever else holds the lock hands over,
        or is a child that its killed parent left before it could say who it is.
        """
        alive = any(holder.role == role and _alive(holder) for holder in holders(data))
        return cls.acquire(data, role, 0.0 if alive else wait)

    @classmethod
    def adopt(cls, file: int, role: str) -> Self:
        """The lock a parent handed down as an open file. Close-on-exec from here on, so that it goes no further."""
        os.set_inheritable(file, False)
        _sign(file, role)
        return cls(file)

    def fileno(self) -> int:
        """To hand down with `pass_fds`."""
        return self._file

    def release(self) -> None:
        """
        Gives up this process's share. It closes and never unlocks: LOCK_UN would take the lock from a child as well.
        """
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def holders(data: Path) -> tuple[Holder, ...]:
    """Who holds the lock of this directory; none if it is free."""
    try:
        file = os.open(data / NAME, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return ()
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _signed(file)
    finally:
        os.close(file)
    return ()


def _lock(file: int, path: Path, wait: float, now: Callable[[], float] = time.monotonic) -> None:
    deadline = now() + max(wait, _LEAST)
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if now() >= deadline:
                raise UserError(_refusal(path, _signed(file))) from None
            time.sleep(_AGAIN)
        except OSError as error:
            raise UserError(
                f"{path} cannot be locked: {error.strerror}. Keep the data directory on a local disk."
            ) from error
        else:
            return


def _sign(file: int, role: str) -> None:
    """Add a line about this process. A full disk costs the refusal its name, not the lock."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name  # python -m milonga
    command = shlex.join([name or "python", *sys.argv[1:]])[:300]
    holder = Holder(pid=os.getpid(), role=role, command=command, host=socket.gethostname(), since=int(time.time()))
    with contextlib.suppress(OSError):
        os.pwrite(file, msgspec.json.encode(holder) + b"\n", os.fstat(file).st_size)


def _signed(file: int) -> tuple[Holder, ...]:
    """Those still alive; all of them if none of this machine seems to be."""
    found = []
    for line in os.pread(file, 10_000, 0).splitlines():
        with contextlib.suppress(msgspec.DecodeError):
            found.append(msgspec.json.decode(line, type=Holder))
    return tuple(holder for holder in found if _alive(holder)) or tuple(found)


def _alive(holder: Holder) -> bool:
    if holder.host != socket.gethostname():
        return True  # not ours to ask
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:  # one that was killed, and whose parent has not asked how it ended, holds no file any more
        return Path(f"/proc/{holder.pid}/stat").read_text().rpartition(")")[2].split()[0] not in _ENDED
    except (OSError, IndexError):
        return True  # no such file on this kind of machine


def _refusal(path: Path, found: tuple[Holder, ...]) -> str:
    if not found:
        return f"Another process holds {path}. Stop it first, or choose another directory with --data."
    here = socket.gethostname()
    who = " and ".join(
        f"process {one.pid}{'' if one.host == here else f' on {one.host}'} ({one.role}: {one.command})" for one in found
    )
    ending = f"Stop it first (kill {found[0].pid}), or choose another directory with --data."
    return f"The data directory {path.parent} is in use by {who}. {ending}"
