"""What CI makes of tests that failed beside others: a second chance, told, for those that were run, and for few."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

AGAIN = Path(__file__).parent.parent / ".ci" / "again.py"

UNSTEADY = """
from pathlib import Path

def test_is_well_the_second_time():
    before = Path("mark").exists()
    Path("mark").touch()
    assert before
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").touch()  # its own, whatever lies above it
    return tmp_path


def run(folder: Path, *words: str) -> tuple[int, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = (sys.executable, *words)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def failed(folder: Path, *names: str) -> None:
    """As pytest notes it."""
    path = folder / ".pytest_cache" / "v" / "cache" / "lastfailed"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(dict.fromkeys(names, True)))


def test_what_passes_by_itself_is_named_above_all_the_same(folder: Path) -> None:
    (folder / "test_it.py").write_text(UNSTEADY)
    assert run(folder, "-m", "pytest", "--numprocesses", "1")[0] == 1
    status, said = run(folder, str(AGAIN), "1")
    assert status == 0
    assert said.endswith("FAILED BESIDE OTHERS, passed alone:\n  test_it.py::test_is_well_the_second_time\n")


def test_what_fails_by_itself_too_is_wrong(folder: Path) -> None:
    (folder / "test_it.py").write_text(f"{UNSTEADY}\n\ndef test_is_wrong():\n    assert False\n")
    (folder / "mark").touch()
    failed(folder, "test_it.py::test_is_wrong", "test_it.py::test_is_well_the_second_time")
    status, said = run(folder, str(AGAIN), "1")
    assert status == 1
    assert "1 failed, 1 passed" in said
    assert "passed alone" not in said


@pytest.mark.parametrize(
    ("status", "names"),
    [
        (2, 1),  # it broke off
        (3, 1),
        (137, 1),
        (1, 0),
        (1, 11),
    ],
)
def test_there_is_no_second_chance_where_not_all_were_run_or_many_failed(folder: Path, status: int, names: int) -> None:
    failed(folder, *(f"test_it.py::test_{number}" for number in range(names)))
    assert run(folder, str(AGAIN), str(status)) == (status, "")
