"""The docs are true: their commands run, their links lead somewhere, their drawings match the code."""

import os
import random
import re
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from typer.main import get_command

from milonga.cli import main
from milonga.delivery.breaker import TRANSITIONS, Policy
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.fields import fields_of

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md"), *ROOT.glob("milonga/**/*.md")]
)


def free_ports(count: int) -> list[int]:
    """None that a system gives away by itself: no other test can have it by the time it is used."""
    found: list[int] = []
    for port in random.sample(range(20_000, 30_000), 1_000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            break
    return found


def test_the_tutorial_runs_from_beginning_to_end(tmp_path: Path) -> None:
    script = "\n".join(re.findall(r"```sh\n(.*?)```", (ROOT / "docs/tutorial.md").read_text(), re.DOTALL))
    for written, free in zip(("8080", "8090"), free_ports(2), strict=True):
        script = script.replace(written, str(free))
    kill_all = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"
    done = subprocess.run(
        ["bash", "-c", f"set -eu; set -m; {kill_all}\n{script}"],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode in {0, 143}, (done.stdout, done.stderr)
    assert "sdr_a = DROP TABLE" in done.stdout
    assert "the-right-token" not in done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link


def test_each_decision_has_a_number_of_its_own_and_its_heading_has_it_too() -> None:
    pages = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [page.name[:5] for page in pages] == [f"{number:04}-" for number in range(1, len(pages) + 1)]
    assert [page.read_text().split(" ")[1] for page in pages] == [f"{number}." for number in range(1, len(pages) + 1)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_named_in_the_docs_exist(page: Path) -> None:
    top = get_command(main.made(main.COMMANDS))
    known = {name: getattr(command, "commands", {}) for name, command in top.commands.items()}  # type: ignore[attr-defined]
    for words in re.findall(r"(?:^|`|\| ?)milonga ([a-z]+)(?: ([a-z]+))?", page.read_text(), re.MULTILINE):
        noun, verb = words
        assert noun in known, words
        if known[noun] and verb:
            assert verb in known[noun], words


def test_the_page_for_operators_has_every_delivery_setting() -> None:
    page = (ROOT / "docs/operate.md").read_text()
    assert not [field.name for field in fields_of(DeliverySettings) if f"| `{field.name}` |" not in page]


def test_what_the_page_says_of_the_breaker_are_its_numbers() -> None:
    page = (ROOT / "docs/how-it-works.md").read_text()
    policy = Policy()
    assert (policy.failures, policy.accounts) == (10, 3)
    assert "Ten failures in a row, for at least three different accounts" in page
    assert f"{policy.first:g} s, {2 * policy.first:g} s, {4 * policy.first:g} s, ... {policy.longest:g} s" in page


def test_the_drawing_of_the_breaker_is_made_from_its_table() -> None:
    rows = "\n".join(f"| {a} | {sign} | {b} |" for a, signs in TRANSITIONS.items() for sign, b in signs.items())
    table = f"| state | sees | becomes |\n|---|---|---|\n{rows}\n"
    assert table in (ROOT / "docs/how-it-works.md").read_text(), table
