"""One running Milonga for each data directory, however the one before ended."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from milonga.workspace.errors import UserError
from milonga.workspace.lock import DataLock, holders

PARENT = """
import subprocess, sys, time
from pathlib import Path
from milonga.workspace.lock import DataLock
lock = DataLock.acquire(Path(sys.argv[1]), "serve", wait=0)
child = None
if len(sys.argv) > 2:
    child = subprocess.Popen([sys.executable, "-c", sys.argv[2], str(lock.fileno())], pass_fds=[lock.fileno()],
                             stdout=subprocess.PIPE, text=True)
    print(child.stdout.readline().strip(), flush=True)
else:
    print("held", flush=True)
sys.stdin.readline()
"""

CHILD = """
import sys, time
from milonga.workspace.lock import DataLock
import os
lock = DataLock.adopt(int(sys.argv[-1]), "delivery")
print(os.getpid(), flush=True)
while True:
    time.sleep(1)
"""


def hold(data: Path, *more: str) -> tuple[subprocess.Popen[str], str]:
    """A process that holds the lock, and the line it said."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(data), *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=30)


def test_a_second_holder_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first, _ = hold(data)
    try:
        with pytest.raises(UserError, match="in use by process") as refused:
            DataLock.acquire(data, "serve")
        assert f"process {first.pid} (serve: -c {data})" in str(refused.value)
        assert f"kill {first.pid}" in str(refused.value)
        assert [(holder.pid, holder.role) for holder in holders(data)] == [(first.pid, "serve")]
    finally:
        end(first)


def test_the_lock_is_free_at_once_when_its_holder_was_killed(tmp_path: Path) -> None:
    first, _ = hold(tmp_path / "data")
    end(first)
    assert holders(tmp_path / "data") == ()
    with DataLock.acquire(tmp_path / "data", "serve"):
        assert [holder.pid for holder in holders(tmp_path / "data")] == [os.getpid()]
    assert holders(tmp_path / "data") == ()


def test_whoever_waits_gets_the_lock_when_its_holder_ends_in_time(tmp_path: Path) -> None:
    first, _ = hold(tmp_path / "data")
    program = f"import os, time; time.sleep(0.3); os.kill({first.pid}, {int(signal.SIGKILL)})"
    killer = subprocess.Popen([sys.executable, "-c", program])
    with DataLock.acquire(tmp_path / "data", "serve", wait=30):
        assert killer.wait(30) == 0
    end(first)


NOT_YET = """
import os, time
print(os.getpid(), flush=True)
while True:
    time.sleep(1)
"""


def test_a_child_that_has_not_said_yet_who_it_is_is_waited_for_after_its_parent_was_killed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    parent, said = hold(data, NOT_YET)
    try:
        with pytest.raises(UserError, match=rf"in use by process {parent.pid} "):
            DataLock.take_over(data, "serve", wait=600)  # it is alive: refused at once
    finally:
        parent.kill()
    os.waitid(os.P_PID, parent.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is left for somebody to ask how
    killer = subprocess.Popen([sys.executable, "-c", f"import os, time; time.sleep(0.3); os.kill({said}, 9)"])
    with DataLock.take_over(data, "serve", wait=60):
        assert killer.wait(30) == 0
    end(parent)


def test_a_child_that_adopted_the_lock_keeps_it_after_its_parent_was_killed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    parent, said = hold(data, CHILD)
    child = int(said)
    try:
        assert [(holder.pid, holder.role) for holder in holders(data)] == [(parent.pid, "serve"), (child, "delivery")]
        end(parent)
        with pytest.raises(UserError, match=rf"in use by process {child} \(delivery: ") as refused:
            DataLock.acquire(data, "serve")
        assert str(parent.pid) not in str(refused.value).replace(str(child), "")
    finally:
        os.kill(child, signal.SIGKILL)
    DataLock.acquire(data, "serve", wait=30).release()


def test_a_parent_that_lets_go_does_not_take_the_lock_from_its_child(tmp_path: Path) -> None:
    data = tmp_path / "data"
    lock = DataLock.acquire(data, "serve")
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(lock.fileno())], pass_fds=[lock.fileno()], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    child.stdout.readline()
    lock.release()
    lock.release()
    try:
        with pytest.raises(UserError, match=f"process {child.pid} "):
            DataLock.acquire(data, "serve")
    finally:
        end(child)


def test_a_process_started_without_handing_the_lock_down_does_not_keep_it(tmp_path: Path) -> None:
    with DataLock.acquire(tmp_path / "data", "serve"):
        other = subprocess.Popen(
            [sys.executable, "-c", "print('up', flush=True); input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            close_fds=False,
        )
        assert other.stdout is not None
        other.stdout.readline()
    try:
        assert holders(tmp_path / "data") == ()
        DataLock.acquire(tmp_path / "data", "serve").release()
        assert other.poll() is None
    finally:
        other.kill()
        other.communicate(timeout=30)


ASKING = """
import sys
from pathlib import Path
from milonga.workspace.lock import holders
print("asking", flush=True)
while True:
    holders(Path(sys.argv[1]))
"""


def test_asking_who_holds_a_free_lock_never_gets_a_starting_server_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    DataLock.acquire(data, "serve").release()
    asking = subprocess.Popen([sys.executable, "-c", ASKING, str(data)], stdout=subprocess.PIPE, text=True)
    try:
        assert asking.stdout is not None
        asking.stdout.readline()
        for _ in range(500):
            DataLock.acquire(data, "serve").release()
        assert asking.poll() is None
    finally:
        end(asking)


def test_the_lock_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    with DataLock.acquire(tmp_path / "data", "serve"):
        assert stat.S_IMODE((tmp_path / "data" / "lock").stat().st_mode) == 0o600
