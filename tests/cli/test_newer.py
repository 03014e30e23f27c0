"""A Milonga that finds what a newer one has written: every kind of file is refused in words, and left as it is."""

from collections.abc import Mapping
from pathlib import Path

import apsw
import pytest

from tests.commands import in_a_process, milonga
from tests.running import Client, Milonga, eventually, track

KINDS: Mapping[str, str] = {
    "workspace": "workspace.db",
    "delivery": "delivery.db",
    "log": "log/0000000000000101.db",
    "outcomes": "outcomes/00000002.db",
}


@pytest.fixture(params=KINDS)
def newer(request: pytest.FixtureRequest, data: Path) -> Path:
    """The file, in `data`, that a newer Milonga has written."""
    path = data / KINDS[request.param]
    with apsw.Connection(str(path)) as db:
        db.execute("CREATE TABLE tomorrow (x)")
        db.pragma("user_version", 99)
    db.close()
    return path


def test_a_server_says_so_and_changes_nothing(newer: Path, data: Path, tmp_path: Path) -> None:
    before = newer.read_bytes()
    if newer.name in {"workspace.db", "0000000000000101.db"}:
        refused = in_a_process("serve", "--data", str(data), "--port", "0")
        assert refused.returncode == 1
        said = refused.stdout + refused.stderr
    else:  # it takes events, and delivers them once a Milonga runs that can
        with Milonga(data) as running:
            running.start()
            eventually(lambda: "cannot_start" in running.log_text(), "it says that delivery cannot start")
            with Client(running.port, "demo") as client:
                client.send([track(1, "ada", "acme")])
            assert running.stop() == 0
            said = running.log_text()
    assert newer.name in said
    assert "written by" in said or "has format 99" in said
    assert "Traceback" not in said
    assert newer.read_bytes() == before
    assert not list(newer.parent.glob("*.damaged-*"))


@pytest.mark.parametrize(
    "words", [("destinations", "list"), ("events", "list"), ("explain", "m-1"), ("dead", "list"), ("events", "counts")]
)
def test_a_command_that_cannot_read_it_says_so_in_words(words: tuple[str, ...], newer: Path, data: Path) -> None:
    before = newer.read_bytes()
    done = in_a_process(*words, "--data", str(data))
    needed = newer.name != "0000000000000101.db" or words[0] in {"events", "explain"}
    assert done.returncode == int(needed), done
    if needed:
        assert newer.name in done.stderr
        assert "Nothing was changed" in done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert newer.read_bytes() == before


def test_check_names_it_and_backup_refuses(newer: Path, data: Path, tmp_path: Path) -> None:
    done = milonga("check", "--data", str(data))
    assert done.returncode == 1
    assert "written by a newer Milonga (format 99" in done.stdout
    assert newer.relative_to(data).as_posix() in done.stdout
    done = milonga("backup", str(tmp_path / "copy"), "--data", str(data))
    assert (done.returncode, "newer Milonga" in done.stderr or "has format 99" in done.stderr) == (1, True), done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("copy")] == []
