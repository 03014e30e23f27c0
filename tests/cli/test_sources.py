"""`milonga sources`, as a person and a script use it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from milonga.cli.main import app


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def milonga(*words: str, env: Mapping[str, str] | None = None) -> Done:
    """In this process, which is ten times quicker; `in_a_process` is the real thing."""
    clean: dict[str, str | None] = {name: None for name in os.environ if name.startswith("MILONGA_")}
    result = CliRunner().invoke(app, words, env={**clean, **(env or {})}, prog_name="milonga")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def in_a_process(*words: str, text: str | None = None, stdin: int | None = None) -> Done:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MILONGA_")}
    done = subprocess.run(
        [sys.executable, "-m", "milonga", *words],
        input=text,
        stdin=subprocess.DEVNULL if text is None and stdin is None else stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=clean,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def asked(*words: str) -> Any:
    done = milonga(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_source_is_added_listed_and_removed(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    done = in_a_process("sources", "add", "web", *data)
    assert (done.returncode, done.stderr) == (0, "")
    (listed,) = asked("sources", "list", *data)
    assert listed["name"] == "web"
    (key,) = listed["writeKeys"]
    assert len(key) == 32
    assert f"Its write key: {key}\n" in done.stdout
    assert "within 5 seconds" in done.stdout
    table = milonga("sources", "list", *data).stdout
    assert "web" in table
    assert key in table
    assert milonga("sources", "remove", "web", "--yes", *data).returncode == 0
    assert asked("sources", "list", *data) == []


def test_a_write_key_can_be_chosen(tmp_path: Path) -> None:
    added = asked("sources", "add", "web", "--write-key", "demo", "--data", str(tmp_path / "data"))
    assert added["writeKeys"] == ["demo"]


def test_the_data_directory_comes_from_the_environment_too_and_the_option_wins(tmp_path: Path) -> None:
    env = {"MILONGA_DATA": str(tmp_path / "one")}
    assert milonga("sources", "add", "web", env=env).returncode == 0
    assert milonga("sources", "add", "web", "--data", str(tmp_path / "two"), env=env).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("sources", "add", "web"), "There is a source called web already"),
        (("sources", "add", "a b"), "letters, digits"),
        (("sources", "add", "other", "--write-key", "a:b"), "no space and no colon"),
        (("sources", "remove", "api"), "There is no source called api"),
    ],
)
def test_what_is_refused_exits_1_and_says_why_on_stderr(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    data = ("--data", str(tmp_path / "data"))
    milonga("sources", "add", "web", *data)
    done = in_a_process(*words, *data)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("milonga: ")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words", [("sources",), ("sources", "add"), ("sources", "list", "--colour"), ("sources", "burn")]
)
def test_wrong_use_exits_2_and_makes_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = milonga(*words, env={"MILONGA_DATA": str(tmp_path / "data")})
    assert done.returncode == 2
    assert "Usage" in done.stderr + done.stdout
    assert list(tmp_path.iterdir()) == []


def test_listing_where_nothing_is_says_so_and_makes_nothing(tmp_path: Path) -> None:
    for noun in ("sources", "destinations"):
        done = milonga(noun, "list", "--json", "--data", str(tmp_path / "data"))
        assert (done.returncode, json.loads(done.stdout)) == (0, [])
        assert "There is no workspace" in done.stderr
    done = milonga("sources", "remove", "web", "--data", str(tmp_path / "data"))
    assert done.returncode == 1
    assert "--data" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_source_with_destinations_is_kept_and_the_commands_that_free_it_are_given(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    milonga("sources", "add", "web", *data)
    assert milonga("destinations", "add", "webhook", "--source", "web", "--off", *data).returncode == 0
    done = milonga("sources", "remove", "web", *data)
    assert done.returncode == 1
    assert "milonga destinations remove webhook" in done.stderr
    assert milonga("destinations", "remove", "webhook", "--yes", *data).returncode == 0
    assert milonga("sources", "remove", "web", "--yes", *data).returncode == 0
