"""`milonga backup` and `milonga restore`: what a copy holds, what is refused, and what a kill leaves."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from milonga.cli import copying
from milonga.cli.archive import UNFINISHED, Making
from milonga.cli.copying import copy, snapshot
from milonga.delivery.rows import DeadLetter
from milonga.delivery.store import DeliveryStore
from milonga.delivery.store_reader import DeliveryReader
from milonga.eventlog.api import Position
from milonga.eventlog.lookup import EventLookup
from milonga.eventlog.segment import has_indexes, list_segments, open_to_read, path_of
from milonga.eventlog.sqlite import SqliteLog
from milonga.eventlog.writer import SealAt
from milonga.outcomes.model import Outcome, State
from milonga.outcomes.reader import OutcomeReader
from milonga.outcomes.writer import OutcomeWriter
from milonga.workspace.database import UNFINISHED as PLACEHOLDER
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace
from tests.cli.test_sources import in_a_process, milonga
from tests.delivery import paper
from tests.running import eventually

HUSH = "hush-hush-4711"
EVENTS = 120
SEGMENT = 25  #: events


async def fill_log(data: Path, events: int = EVENTS) -> None:
    """In several segments, the sealed ones with their indexes."""
    log = await SqliteLog.open(data / "log", seal_at=SealAt(events=SEGMENT))
    for n in range(0, events, SEGMENT):
        await log.append([paper.event(k + 1) for k in range(n, min(n + SEGMENT, events))])
    sealed = list_segments(data / "log")[:-1]
    await asyncio.to_thread(eventually, lambda: all(settled(data, first) for first in sealed), "indexes are made")
    await log.close()


def settled(data: Path, first: int) -> bool:
    with contextlib.closing(open_to_read(path_of(data / "log", first))) as connection:
        return has_indexes(connection)


def outcome(offset: int, state: State = State.delivered, code: str = "") -> Outcome:
    return Outcome(
        destination=1,
        position=Position(0, offset),
        state=state,
        code=code,
        attempts=1,
        perhaps=0,
        received_at=1,
        ended_at=2,
        settings_version=1,
    )


def letter(offset: int) -> DeadLetter:
    return DeadLetter(
        destination=1,
        position=Position(0, offset),
        died_at=9,
        code="http_400",
        reason="no",
        parts=frozenset(),
        event=paper.event(offset),
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Of a server that was stopped: a secret, events in five segments, two files of outcomes, a dead letter."""
    data = tmp_path / "data"
    with Workspace.open(data) as workspace:
        workspace.add_source("web", "demo")
        workspace.add_destination(
            "totango", "web", "totango", {"serviceId": "SP-1", "sdrToken": HUSH}, DestinationState.on, {0: 0}
        )
    asyncio.run(fill_log(data))
    writer = OutcomeWriter(data / "outcomes", time.time, segment_rows=50)
    writer.write([outcome(n) for n in range(1, 51)])
    writer.write([outcome(n) for n in range(51, EVENTS)] + [outcome(EVENTS, State.dead, "http_400")])
    writer.close()
    store = DeliveryStore(data / "delivery.db")
    with store.transaction():
        store.set_position(1, 0, EVENTS)
        store.add_dead(letter(EVENTS))
    store.close()
    return data


def run(*words: str | Path, **env: str) -> tuple[int, str]:
    done = milonga(*map(str, words), env=env)
    return done.returncode, done.stdout + done.stderr


def content(data: Path) -> dict[str, object]:
    """Everything one can see of it, but for the key."""
    lookup, outcomes = EventLookup(data / "log"), OutcomeReader(data / "outcomes")
    with Workspace.open(data) as workspace, contextlib.closing(DeliveryReader(data / "delivery.db")) as delivery:
        return {
            "sources": workspace.sources(),
            "destinations": [(one.name, one.kind) for one in workspace.destinations()],
            "history": workspace.history("totango"),
            "events": lookup.newest(1_000),
            "counts": lookup.counts(0, 2**40),
            "outcomes": [outcomes.of(Position(0, n)) for n in range(1, EVENTS + 1)],
            "totals": outcomes.totals(),
            "positions": delivery.watermarks(0),
            "dead": delivery.dead_letters(),
        }


@pytest.mark.parametrize("name", ["copy", "copy.tar"])
def test_what_is_restored_is_what_was_backed_up(name: str, data: Path, tmp_path: Path) -> None:
    (data / "workspace.db.before-2").write_bytes(b"not part of it")
    code, said = run("backup", tmp_path / name, "--data", data)
    assert (code, f"events 1 to {EVENTS}" in said) == (0, True), said
    assert str(tmp_path / "data.key") in said
    code, said = run("restore", tmp_path / name, "--data", tmp_path / "new" / "data")
    assert code == 0, said
    assert content(tmp_path / "new" / "data") == content(data)
    assert len(list_segments(tmp_path / "new" / "data" / "log")) == EVENTS // SEGMENT + 1
    for path in [tmp_path / "new" / "data", *(tmp_path / "new" / "data").rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    assert not [path for path in tmp_path.iterdir() if UNFINISHED in path.name]


@pytest.mark.parametrize("name", ["copy", "copy.tar"])
def test_the_key_is_not_in_it_and_restore_says_which_is_needed(name: str, data: Path, tmp_path: Path) -> None:
    assert run("backup", tmp_path / name, "--data", data)[0] == 0
    key = (tmp_path / "data.key").read_bytes().strip()
    made = [path for path in [tmp_path / name, *(tmp_path / name).rglob("*")] if path.is_file()]
    assert all(key not in path.read_bytes() and HUSH.encode() not in path.read_bytes() for path in made)
    with apsw.Connection(str(data / "workspace.db")) as db:
        (key_id,) = next(db.execute("SELECT key_id FROM secret"))
    db.close()

    code, said = run("restore", tmp_path / name, "--data", tmp_path / "without")
    assert code == 0
    assert f"need the key {key_id} (it was in {tmp_path / 'data.key'})" in said
    assert str(tmp_path / "without.key") in said
    told = json.loads(milonga("restore", str(tmp_path / name), "--data", str(tmp_path / "x"), "--json").stdout)
    assert (told["keyIds"], told["keyFits"]) == ([key_id], False)
    code, said = run("restore", tmp_path / name, "--data", tmp_path / "with", MILONGA_KEY=key.decode())
    assert (code, "open with the environment variable MILONGA_KEY" in said) == (0, True), said


def test_without_secrets_no_key_is_asked_for(tmp_path: Path) -> None:
    with Workspace.open(tmp_path / "data") as workspace:
        workspace.add_source("web", "demo")
    code, said = run("backup", tmp_path / "copy", "--data", tmp_path / "data")
    assert (code, "The key" in said, "no events yet" in said) == (0, False, True)
    code, said = run("restore", tmp_path / "copy", "--data", tmp_path / "new")
    assert (code, "no key is needed" in said) == (0, True)
    with Workspace.open(tmp_path / "new") as workspace:
        assert workspace.source("web").write_keys == ("demo",)


def test_a_backup_goes_only_where_nothing_is(data: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "file.tar").touch()
    (tmp_path / "empty").mkdir()
    for target, says in (
        (tmp_path / "full", "is there already"),
        (tmp_path / "file.tar", "is there already"),
        (data / "copy", "lies in the data directory"),
        (tmp_path / "no" / "folder", "There is no folder"),
    ):
        code, said = run("backup", target, "--data", data)
        assert (code, says in said) == (1, True), said
    assert run("backup", tmp_path / "empty", "--data", data)[0] == 0
    assert run("backup", tmp_path / "other", "--data", tmp_path / "nothing")[0] == 1
    assert not (tmp_path / "other").exists()


def test_a_backup_is_restored_only_into_an_empty_directory(data: Path, tmp_path: Path) -> None:
    assert run("backup", tmp_path / "copy", "--data", data)[0] == 0
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    before = content(data)
    for target in (data, tmp_path / "full", tmp_path / "full" / "mine"):
        code, said = run("restore", tmp_path / "copy", "--data", target)
        assert (code, "not empty" in said or "is a file" in said) == (1, True), said
    assert content(data) == before
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]
    (tmp_path / "mounted" / "lost+found").mkdir(parents=True)
    assert run("restore", tmp_path / "copy", "--data", tmp_path / "mounted")[0] == 0
    assert (tmp_path / "mounted" / "lost+found").is_dir()


def spoil(path: Path, at: int = -100) -> None:
    found = bytearray(path.read_bytes())
    found[at] ^= 1
    path.write_bytes(found)


def test_a_damaged_backup_is_refused_and_leaves_nothing(data: Path, tmp_path: Path) -> None:
    assert run("backup", tmp_path / "copy", "--data", data)[0] == 0
    segment = tmp_path / "copy" / "log" / "0000000000000026.db"
    whole = segment.read_bytes()
    for damage in (lambda: spoil(segment), lambda: segment.write_bytes(whole[:-1]), segment.unlink):
        segment.write_bytes(whole)
        damage()
        code, said = run("restore", tmp_path / "copy", "--data", tmp_path / "new")
        assert (code, "log/0000000000000026.db" in said) == (1, True), said
        assert {path.name for path in (tmp_path / "new").iterdir()} == {"lock"}
    segment.write_bytes(whole)
    assert run("restore", tmp_path / "copy", "--data", tmp_path / "new")[0] == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 2}, "newer Milonga"),
        ({"formats": {"workspace": 99}}, "newer Milonga"),
        ({"formats": {"log": 99}}, "cannot read its log"),
        ({"files": [{"name": "../evil", "size": 1, "sha256": ""}]}, "no data directory has"),
        ({"files": [{"name": "log/../../evil.db", "size": 1, "sha256": ""}]}, "no data directory has"),
        ({"files": []}, "no workspace.db"),
        ({"files": "all"}, "damaged"),
    ],
)
def test_a_manifest_that_is_odd_is_refused(change: dict[str, object], says: str, data: Path, tmp_path: Path) -> None:
    assert run("backup", tmp_path / "copy", "--data", data)[0] == 0
    manifest = json.loads((tmp_path / "copy" / "manifest.json").read_text())
    (tmp_path / "copy" / "manifest.json").write_text(json.dumps({**manifest, **change}))
    code, said = run("restore", tmp_path / "copy", "--data", tmp_path / "new")
    assert (code, says in said) == (1, True), said
    assert not (tmp_path / "new").exists() or {path.name for path in (tmp_path / "new").iterdir()} == {"lock"}


def test_a_file_cut_short_anywhere_is_refused(data: Path, tmp_path: Path) -> None:
    assert run("backup", tmp_path / "copy.tar", "--data", data)[0] == 0
    whole = (tmp_path / "copy.tar").read_bytes()
    with tarfile.open(tmp_path / "copy.tar") as tar:
        (manifest,) = [member for member in tar if member.name == "manifest.json"]
    end = manifest.offset_data + manifest.size
    cuts = [*range(0, end, end // 20), manifest.offset, manifest.offset + 1, manifest.offset_data, end - 1]
    for cut in cuts:
        (tmp_path / "cut.tar").write_bytes(whole[:cut])
        code, said = run("restore", tmp_path / "cut.tar", "--data", tmp_path / "new")
        assert code == 1, cut
        assert "Traceback" not in said
        assert not (tmp_path / "new").exists() or {path.name for path in (tmp_path / "new").iterdir()} == {"lock"}


def test_what_is_no_backup_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "some.tar").write_bytes(b"no archive" * 1_000)
    for source in (data, tmp_path / "some.tar", tmp_path / "nothing"):
        code, said = run("restore", source, "--data", tmp_path / "new")
        assert (code, "no complete backup" in said or "There is no" in said) == (1, True), said
        assert not (tmp_path / "new").exists()


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


def test_what_cannot_be_read_is_left_out_and_told(data: Path, tmp_path: Path) -> None:
    for name in ("outcomes/00000001.db", "log/0000000000000051.db"):
        (data / name).write_bytes(b"no database " * 2_000)
    code, said = run("backup", tmp_path / "copy", "--data", data)
    assert code == 1
    assert "outcomes/00000001.db is not in it" in said
    assert "log/0000000000000051.db is not in it" in said
    code, said = run("restore", tmp_path / "copy", "--data", tmp_path / "new")
    assert (code, "log/0000000000000051.db is not in it" in said) == (0, True)
    lookup = EventLookup(tmp_path / "new" / "log")
    assert len(lookup.newest(1_000)) == EVENTS - SEGMENT
    (data / "workspace.db").write_bytes(b"no database " * 2_000)
    code, said = run("backup", tmp_path / "other", "--data", data)
    assert (code, "A damaged workspace" in said) == (1, True), said
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("other")]


def test_a_full_disk_is_told_before_anything_is_written(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs(tmp_path)
    nearly = os.statvfs_result((*real[:4], 1, *real[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _path: nearly)
    code, said = run("backup", tmp_path / "copy", "--data", data)
    assert (code, "has no room" in said) == (1, True), said
    assert not (tmp_path / "copy").exists()
