"""A copy made beside a writer is of one moment, and one that was killed is none."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from milonga.cli import copying
from milonga.cli.archive import UNFINISHED, Making
from milonga.cli.copying import copy, snapshot
from milonga.delivery.store import DeliveryStore
from milonga.delivery.store_reader import DeliveryReader
from milonga.eventlog.segment import list_segments, path_of
from milonga.outcomes.model import State
from milonga.outcomes.reader import OutcomeReader
from milonga.outcomes.writer import OutcomeWriter
from milonga.workspace.database import UNFINISHED as PLACEHOLDER
from milonga.workspace.store import Workspace
from tests.cli.filled import EVENTS, content, letter, outcome, run
from tests.commands import in_a_process
from tests.running import eventually

# What a kill leaves


def start(*words: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "milonga", *map(str, words)], stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Whoever wants to write to it waits."""
    db = apsw.Connection(str(path))
    db.execute("BEGIN IMMEDIATE")
    yield
    db.execute("ROLLBACK")
    db.close()


@pytest.mark.parametrize("name", ["copy", "copy.tar"])
def test_a_backup_killed_in_the_middle_is_none(name: str, data: Path, tmp_path: Path) -> None:
    half = tmp_path / f"{name}{UNFINISHED}"
    with locked(data / "delivery.db"):  # by then it has copied the sealed segments
        process = start("backup", tmp_path / name, "--data", data)
        there = half / "outcomes" / "00000001.db" if name == "copy" else half / "backup.tar"
        eventually(lambda: there.exists() and there.stat().st_size > 0, "it has begun")
        done = in_a_process("backup", str(tmp_path / name), "--data", str(data))
        assert (done.returncode, "Another backup" in done.stderr) == (1, True), done
        process.kill()
        process.wait()
    for source in (tmp_path / name, half, half / "backup.tar"):
        code, said = run("restore", source, "--data", tmp_path / "new")
        assert (code, "There is no" in said or "no complete backup" in said) == (1, True), said
    assert not (tmp_path / "new").exists()
    assert run("backup", tmp_path / name, "--data", data)[0] == 0
    assert not half.exists(), "what was left is gone"
    assert run("restore", tmp_path / name, "--data", tmp_path / "new")[0] == 0
    assert content(tmp_path / "new") == content(data)


def test_a_restore_killed_in_the_middle_is_used_by_nobody_and_can_be_done_again(data: Path, tmp_path: Path) -> None:
    assert run("backup", tmp_path / "copy", "--data", data)[0] == 0
    new, last = tmp_path / "new", tmp_path / "copy" / "workspace.db"
    last.rename(tmp_path / "kept")
    os.mkfifo(last)  # whoever reads it waits
    process = start("restore", tmp_path / "copy", "--data", new)
    eventually(lambda: (new / "workspace.db.restoring").exists(), "all but the workspace is there")
    assert (new / "delivery.db").exists()
    refused = in_a_process("serve", "--data", str(new), "--port", "0")
    assert (refused.returncode, "in use by process" in refused.stderr) == (1, True), refused
    process.kill()
    process.wait()
    last.unlink()
    (tmp_path / "kept").rename(last)

    assert (new / "workspace.db").read_bytes() == PLACEHOLDER
    for words in (("serve", "--port", "0"), ("sources", "list"), ("backup", str(tmp_path / "b")), ("check",)):
        refused = in_a_process(*words, "--data", str(new))
        assert refused.returncode == 1, refused
        assert "restor" in refused.stdout + refused.stderr, refused
        assert "Traceback" not in refused.stderr
    assert (new / "workspace.db").read_bytes() == PLACEHOLDER
    code, said = run("restore", tmp_path / "copy", "--data", new)
    assert code == 0, said
    assert content(new) == content(data)


# Beside a writer


def test_delivery_and_outcomes_are_of_one_moment_while_both_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    As delivery does it: a dead letter before its outcome, a position behind outcomes. However they are copied, no
    outcome may say `dead` without its letter, and no position may pass what has no outcome. Between the two files the
    writer gets all the time that it would need to spoil the copy, were it not held.
    """
    data = tmp_path / "data"
    Workspace.open(data).close()
    store, writer = DeliveryStore(data / "delivery.db"), OutcomeWriter(data / "outcomes", time.time, segment_rows=200)
    stop, written = threading.Event(), [0]

    def write() -> None:
        offset = 0
        while not stop.is_set():
            written[0] = offset
            offset += 1
            with store.transaction():
                store.add_dead(letter(offset))
            writer.write([outcome(offset, State.dead, "http_400")])
            with store.transaction():
                store.set_position(1, 0, offset)

    def slow_snapshot(path: Path) -> apsw.Connection:
        before, deadline = written[0], time.monotonic() + 0.3
        connection = snapshot(path)
        while path.name != "counters.db" and written[0] < before + 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        return connection

    monkeypatch.setattr(copying, "snapshot", slow_snapshot)
    thread = threading.Thread(target=write)
    thread.start()
    try:
        seen = set()
        for n in range(3):
            (tmp_path / f"b{n}").mkdir()
            copy(data, Making(tmp_path / f"b{n}", tar=False))
            reader = DeliveryReader(tmp_path / f"b{n}" / "delivery.db")
            position = reader.position(1, 0) or 0
            letters = {one.position.offset for one in reader.dead_letters(limit=1_000_000)}
            reader.close()
            ended = OutcomeReader(tmp_path / f"b{n}" / "outcomes").finished_after(1, 0, 0)
            assert ended <= letters, "an outcome rests on what is not there"
            assert set(range(1, position + 1)) <= ended, "a position has passed what has no outcome"
            seen.add(position)
            eventually(lambda: thread.is_alive() and position_of(data) > max(seen), "it goes on")
    finally:
        stop.set()
        thread.join()
        writer.close()
        store.close()
    assert len(seen) == 3


def test_no_file_is_of_a_moment_before_that_of_one_that_rests_on_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is not older than positions and outcomes, the workspace not older than anything that names its ids."""
    taken: list[str] = []

    def noted(path: Path) -> apsw.Connection:
        taken.append(path.relative_to(data).as_posix())
        return snapshot(path)

    monkeypatch.setattr(copying, "snapshot", noted)
    (tmp_path / "b").mkdir()
    copy(data, Making(tmp_path / "b", tar=False))
    assert taken[1:] == [
        *(f"log/{first:016d}.db" for first in (1, 26, 51, 76)),
        "outcomes/00000001.db",
        "log/counters.db",
        "delivery.db",
        "outcomes/00000002.db",
        "outcomes/counters.db",
        "log/0000000000000101.db",
        "workspace.db",
    ]


def position_of(data: Path) -> int:
    with contextlib.closing(DeliveryReader(data / "delivery.db")) as reader:
        return reader.position(1, 0) or 0


def test_segments_that_retention_takes_meanwhile_leave_no_hole(data: Path, tmp_path: Path) -> None:
    """The third goes just when the second has been copied; with it, as a log drops its oldest, go the first two."""

    class Slow(Making):
        def add(self, name: str, source: apsw.Connection) -> None:
            super().add(name, source)
            if name == "log/0000000000000026.db":
                for first in (1, 26, 51):
                    path_of(data / "log", first).unlink()

    (tmp_path / "b").mkdir()
    making = Slow(tmp_path / "b", tar=False)
    copied = copy(data, making)
    assert (copied.first, copied.last) == (76, EVENTS)
    assert list_segments(tmp_path / "b" / "log") == [76, 101]
    assert [name for name in making.names() if name.startswith("log/0")] == [
        "log/0000000000000076.db",
        "log/0000000000000101.db",
    ]
