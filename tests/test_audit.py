"""What `make audit` makes of what its two programs say: above all that "nothing found" is not "nothing asked"."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

AUDIT = Path(__file__).parent.parent / ".ci" / "audit.py"

LOOKED_UP = {"name": "idna", "version": "3.6", "vulns": []}
VULNERABLE = {"name": "idna", "version": "3.6", "vulns": [{"id": "PYSEC-2024-60", "fix_versions": ["3.7"]}]}
PASSED_BY = {"name": "idna", "skip_reason": "Dependency not found on PyPI"}
NPM_FLAW = {"lodash": {"severity": "high", "range": "<4.17.21"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "browser" / "node_modules" / "dep").mkdir(parents=True)
    (folder / "requirements.lock").touch()
    (folder / "browser" / "package-lock.json").touch()
    (folder / "browser" / "node_modules" / "dep" / "package-lock.json").touch()  # not ours
    return folder


def audit(folder: Path, python: object, npm: object, *options: str) -> tuple[int, list[str]]:
    """With programs that say this: JSON, or words to stderr."""
    programs = folder.parent / "programs"
    programs.mkdir()
    for name, says in (("pip-audit", python), ("npm", npm)):
        text, to = (says, "2") if isinstance(says, str) else (json.dumps(says), "1")
        (programs / name).write_text(f"#!/bin/sh\ncat >&{to} <<'END'\n{text}\nEND\nexit 1\n")
        (programs / name).chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, str(AUDIT), *options, str(folder)],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()


def python_says(*packages: dict[str, Any]) -> dict[str, Any]:
    return {"dependencies": list(packages)}


def npm_says(**flaws: Any) -> dict[str, Any]:
    return {"vulnerabilities": flaws}


def test_where_all_was_looked_up_and_nothing_is_known_it_says_so_for_each_lock_file(folder: Path) -> None:
    assert audit(folder, python_says(LOOKED_UP), npm_says(), "--strict") == (
        0,
        [
            "audit: requirements.lock: nothing known to be vulnerable",
            "audit: browser/package-lock.json: nothing known to be vulnerable",
        ],
    )


@pytest.mark.parametrize(
    ("python", "npm", "line"),
    [
        (python_says(LOOKED_UP, VULNERABLE, PASSED_BY), npm_says(), "  idna 3.6: PYSEC-2024-60, mended in 3.7"),
        (python_says(LOOKED_UP), npm_says(**NPM_FLAW), "  lodash: high, versions <4.17.21"),
    ],
)
def test_what_is_vulnerable_is_named_and_fails(folder: Path, python: object, npm: object, line: str) -> None:
    status, lines = audit(folder, python, npm)
    assert status == 1
    assert line in lines


@pytest.mark.parametrize(
    ("python", "reason"),
    [
        (python_says(LOOKED_UP, PASSED_BY), "1 of 2 packages: Dependency not found on PyPI"),
        ("ERROR: no connection", "ERROR: no connection"),
    ],
)
def test_a_list_that_could_not_be_asked_is_not_taken_for_a_clean_one(folder: Path, python: object, reason: str) -> None:
    status, lines = audit(folder, python, npm_says())
    assert (status, lines[0]) == (0, f"audit: requirements.lock: NOT AUDITED: {reason}")


def test_with_strict_a_list_that_could_not_be_asked_fails(folder: Path) -> None:
    refused = {"message": "405 Method Not Allowed", "error": {"summary": ""}}
    status, lines = audit(folder, python_says(LOOKED_UP), refused, "--strict")
    assert status == 2
    assert lines[1].startswith("audit: browser/package-lock.json: NOT AUDITED: ")


def test_where_no_package_was_looked_up_or_there_is_no_lock_file_nothing_is_called_clean(folder: Path) -> None:
    status, lines = audit(folder, python_says(), npm_says(), "--strict")
    assert (status, lines[0]) == (2, "audit: requirements.lock: NOT AUDITED: it looked up no package")
    done = subprocess.run(
        [sys.executable, str(AUDIT), "--strict", str(folder / "browser" / "node_modules")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout.startswith("audit: NOT AUDITED: there is no lock file here\n")
