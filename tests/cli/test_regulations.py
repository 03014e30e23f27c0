"""`milonga regulations`, as a person and a script use it, without a server."""

import json
from pathlib import Path

from milonga.privacy.regulation import MOST_USERS
from milonga.workspace.store import Workspace
from tests.commands import milonga


def test_without_a_server_it_is_written_down_and_said_so(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    milonga("sources", "add", "web", *data)
    done = milonga("regulations", "suppress", "ada", "bob", "--source", "web", *data)
    assert (done.returncode, done.stdout) == (0, "Regulation 1: SUPPRESS_ONLY, 2 users, source web: INITIALIZED\n")
    assert "it is done when `milonga serve` runs" in done.stderr
    assert "source web by regulation 1" in milonga("regulations", "suppressed", "ada", *data).stdout
    assert "eve is not suppressed" in milonga("regulations", "suppressed", "eve", *data).stdout
    assert json.loads(milonga("regulations", "suppressed", "bob", *data, "--json").stdout) == [
        {"source": "web", "regulation": 1}
    ]
    milonga("regulations", "unsuppress", "ada", *data)
    listed = milonga("regulations", "list", *data).stdout
    assert "UNSUPPRESS" in listed
    assert "Suppressed now: 1." in listed
    assert "ada" not in listed
    shown = json.loads(milonga("regulations", "show", "1", *data, "--json").stdout)
    assert (shown["kind"], shown["users"], shown["erased"]) == ("SUPPRESS_ONLY", 2, {})
    missing = milonga("regulations", "show", "9", *data)
    assert (missing.returncode, "no regulation 9" in missing.stderr) == (1, True)


def test_deleting_needs_somebody_to_say_yes(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    milonga("sources", "add", "web", *data)
    done = milonga("regulations", "delete", "ada", *data)
    assert done.returncode == 1
    assert "--yes" in done.stderr
    with Workspace.open(tmp_path) as workspace:
        assert workspace.regulations.all() == ()
    assert "DELETE_INTERNAL" in milonga("regulations", "delete", "ada", "--yes", *data).stdout


def test_a_file_of_many_ids_makes_as_many_regulations_as_it_takes(tmp_path: Path) -> None:
    data, file = ("--data", str(tmp_path / "data")), tmp_path / "gone.txt"
    milonga("sources", "add", "web", *data)
    file.write_text("".join(f"user {n}\r\n\n" for n in range(MOST_USERS + 1)) + "user 1\n")
    done = milonga("regulations", "delete", "--suppress", "--file", str(file), "--yes", *data, "--json")
    assert [one["users"] for one in json.loads(done.stdout)] == [MOST_USERS, 1]
    with Workspace.open(tmp_path / "data") as workspace:
        assert workspace.regulations.suppressed(f"user {MOST_USERS}") == {None: 2}
    file.write_bytes(b"\xff\xfe")
    assert "not text in UTF-8" in milonga("regulations", "suppress", "--file", str(file), *data).stderr
    assert "cannot be read" in milonga("regulations", "suppress", "--file", "nowhere", *data).stderr
    file.write_text("\n\n")
    assert "names no user" in milonga("regulations", "suppress", "--file", str(file), *data).stderr
    for words in ((), ("ada", "--file", str(file))):
        assert milonga("regulations", "suppress", *words, *data).returncode == 2


def test_any_id_that_an_event_can_have_can_be_named_as_json(tmp_path: Path) -> None:
    data, file = ("--data", str(tmp_path / "data")), tmp_path / "gone.jsonl"
    milonga("sources", "add", "web", *data)
    odd = ["a\0b", "two\nlines", "\x07bell", '"quoted"', "\u2028", " "]
    file.write_text("".join(f"{json.dumps(one)}\r\n\n" for one in odd) + "42.0\n")
    done = milonga("regulations", "suppress", "--json-lines", str(file), *data, "--json")
    assert [one["users"] for one in json.loads(done.stdout)] == [7], done.stderr
    with Workspace.open(tmp_path / "data") as workspace:
        for user in (*odd, "42"):
            assert workspace.regulations.suppressed(user) == {None: 1}, user
    for line in ("ada", "null", '["ada"]', '""', "1e999", '"' + "x" * 40_000 + '"', "[" * 100_000):
        file.write_text(f'"bob"\n{line}\n')
        refused = milonga("regulations", "suppress", "--json-lines", str(file), *data)
        assert refused.returncode == 1, line[:10]
        assert "Nothing was changed" in refused.stderr
    assert milonga("regulations", "suppress", "--json-lines", str(file), "--file", str(file), *data).returncode == 2
