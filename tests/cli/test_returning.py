"""`milonga restore` recognises users who were deleted: later, or while the backup was being made."""

import hashlib
import json
from pathlib import Path

import apsw

from milonga.cli.copying import snapshot
from milonga.eventlog.segment import list_segments, path_of
from milonga.privacy.regulation import Kind
from milonga.workspace.store import Workspace
from tests.cli.filled import EVENTS, run


def delete(data: Path, user: str, upto: int, source: str | None = None) -> None:
    """The workspace says that this has been done; the files do not show it."""
    with Workspace.open(data) as workspace:
        regulations = workspace.regulations
        one = regulations.create(Kind.delete_internal, [user], source).id
        regulations.begin([one], {0: upto})
        regulations.delivery_done([one], {})
        regulations.log_done([one], {}, [])
        regulations.finish([one])


def to_erase(data: Path) -> dict[str, int]:
    """User -> last offset that goes."""
    with Workspace.open(data) as workspace:
        found = workspace.regulations.deletions()
        return {user: (one.upto or {}).get(0, -1) for one in found for user in one.users}


def test_a_user_deleted_while_the_backup_was_made_is_deleted_again(data: Path, tmp_path: Path) -> None:
    delete(data, "ada", 60)
    delete(data, "nobody", 60)
    assert run("backup", tmp_path / "copy", "--data", data)[0] == 0
    code, said = run("restore", tmp_path / "copy", "--data", tmp_path / "new")
    assert (code, "1 deleted user came back" in said, "with --regulations-of" in said) == (0, True, True), said
    assert to_erase(tmp_path / "new") == {"ada": 60}


def test_whoever_was_signed_in_signs_in_anew(data: Path, tmp_path: Path) -> None:
    with apsw.Connection(str(data / "workspace.db")) as db:
        db.execute("INSERT INTO console_user VALUES (1, 'ada', 'viewer', NULL, 0, 1)")
        db.execute("INSERT INTO console_session VALUES (1, x'00', 1, 1, 1, '', '')")
        db.execute("INSERT INTO console_link VALUES (x'01', 1, 1, 2)")
    db.close()
    assert run("backup", tmp_path / "copy", "--data", data)[0] == 0
    assert run("restore", tmp_path / "copy", "--data", tmp_path / "new")[0] == 0
    with apsw.Connection(str(tmp_path / "new" / "workspace.db")) as db:
        counts = [db.execute(f"SELECT count(*) FROM console_{what}").get for what in ("user", "session", "link")]  # noqa: S608
    db.close()
    assert counts == [1, 0, 0]


def test_who_came_after_the_deletion_stays(data: Path, tmp_path: Path) -> None:
    with Workspace.open(data) as workspace:
        workspace.sources.add("shop")
    delete(data, "ada", 0)
    delete(data, "ada", EVENTS, "shop")
    assert run("backup", tmp_path / "copy", "--data", data)[0] == 0
    code, said = run("restore", tmp_path / "copy", "--data", tmp_path / "new")
    assert (code, "came back" in said) == (0, False), said
    assert to_erase(tmp_path / "new") == {}


def test_a_newer_backup_tells_as_much_as_the_directory_itself(data: Path, tmp_path: Path) -> None:
    assert run("backup", tmp_path / "old.tar", "--data", data)[0] == 0
    delete(data, "ada", EVENTS + 50)
    for newer in ("new.tar", "new"):
        assert run("backup", tmp_path / newer, "--data", data)[0] == 0
    for number, later in enumerate((data, tmp_path / "new.tar", tmp_path / "new")):
        target = tmp_path / f"restored-{number}"
        code, said = run("restore", tmp_path / "old.tar", "--regulations-of", later, "--data", target)
        assert (code, "Taken over: 1 later regulation," in said) == (0, True), said
        assert to_erase(target) == {"ada": EVENTS}
        assert not list(target.glob("workspace.db?*")), "nothing is left of the way there"


def test_what_tells_nothing_is_refused_and_nothing_is_restored(data: Path, tmp_path: Path) -> None:
    assert run("backup", tmp_path / "old", "--data", data)[0] == 0
    delete(data, "ada", EVENTS)
    assert run("backup", tmp_path / "new", "--data", data)[0] == 0
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "workspace.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 8_000)
    (tmp_path / "empty").mkdir()
    for backup, later, says in (
        ("old", tmp_path / "nothing", "There is no"),
        ("old", tmp_path / "empty", "There is no workspace"),
        ("old", damaged, "cannot be read"),
        ("new", tmp_path / "old", "does not know regulation 1"),
    ):
        target = tmp_path / "target"
        code, said = run("restore", tmp_path / backup, "--regulations-of", later, "--data", target)
        assert (code, says in said) == (1, True), said
        assert not target.exists() or [path.name for path in target.iterdir()] in ([], ["lock"]), list(target.iterdir())


def test_what_cannot_be_looked_through_is_named(data: Path, tmp_path: Path) -> None:
    delete(data, "ada", EVENTS)
    first = list_segments(data / "log")[0]
    segment = snapshot(path_of(data / "log", first))
    root = int(str(segment.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'events'").get))
    size = int(str(segment.pragma("page_size")))
    segment.close()
    folder = tmp_path / "copy"
    assert run("backup", folder, "--data", data)[0] == 0
    path = path_of(folder / "log", first)
    content = bytearray(path.read_bytes())
    content[(root - 1) * size : root * size] = b"\xff" * size
    path.write_bytes(content)
    manifest = folder / "manifest.json"
    manifest.write_text(signed_anew(manifest.read_text(), f"log/{path.name}", bytes(content)))
    code, said = run("restore", folder, "--data", tmp_path / "new")
    assert (code, "1 deleted user came back" in said) == (0, True), said
    assert f"log/{path.name}" in said
    assert "cannot be looked through" in said


def signed_anew(manifest: str, name: str, content: bytes) -> str:
    """As if it had been damaged when it was backed up."""
    found = json.loads(manifest)
    for file in found["files"]:
        if file["name"] == name:
            file["sha256"] = hashlib.sha256(content).hexdigest()
    return json.dumps(found)
