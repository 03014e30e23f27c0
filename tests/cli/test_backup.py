"""`milonga backup` and `milonga restore`: what a copy holds, and what is refused."""

import json
import os
import tarfile
from pathlib import Path

import apsw
import pytest

from milonga.cli.archive import UNFINISHED
from milonga.eventlog.lookup import EventLookup
from milonga.eventlog.segment import list_segments
from milonga.workspace.store import Workspace
from tests.cli.filled import EVENTS, HUSH, SEGMENT, content, run
from tests.commands import milonga


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
        workspace.sources.add("web", "demo")
    code, said = run("backup", tmp_path / "copy", "--data", tmp_path / "data")
    assert (code, "The key" in said, "no events yet" in said) == (0, False, True)
    code, said = run("restore", tmp_path / "copy", "--data", tmp_path / "new")
    assert (code, "no key is needed" in said) == (0, True)
    with Workspace.open(tmp_path / "new") as workspace:
        assert workspace.sources.named("web").write_keys == ("demo",)


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
    assert (code, "Put back a copy" in said) == (1, True), said
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
