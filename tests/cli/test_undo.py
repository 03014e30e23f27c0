"""`milonga destinations undo` and `test`: back to earlier settings, and whether a receiver can be reached."""

from pathlib import Path

import pytest

from milonga.destinations.totango.fake import pretend
from milonga.workspace.store import Workspace
from tests.commands import asked, milonga
from tests.receiving import Receiving

HUSH = "hush-hush-4711"


@pytest.fixture
def at(tmp_path: Path) -> tuple[str, str]:
    with Workspace.open(tmp_path / "data") as workspace:
        workspace.sources.add("web", "demo")
    at = ("--data", str(tmp_path / "data"))
    done = milonga("destinations", "add", "totango", "--source", "web", "--set", "serviceId=SP-1-1", *at)
    assert done.returncode == 0, done.stderr
    return at


def test_the_last_change_is_undone_and_the_history_tells_both(at: tuple[str, str]) -> None:
    milonga("destinations", "set", "totango", "region=eu1", f"sdrToken={HUSH}", "concurrency=8", *at)
    done = milonga("destinations", "undo", "totango", *at)
    assert done.returncode == 0, done.stderr
    assert "Settings of totango: version 3, as version 1." in done.stdout
    told = asked("destinations", "show", "totango", *at)
    assert (told["settings"]["region"], told["settings"]["sdrToken"], told["delivery"]["concurrency"]) == ("", "", 64)
    last = told["history"][-1]
    assert (last["version"], last["by"]) == (3, "cli")
    assert {(one["name"], one["before"], one["after"]) for one in last["changes"]} == {
        *(("region", "eu1", ""), ("sdrToken", "***", ""), ("concurrency", 8, 64)),
    }
    page = milonga("destinations", "show", "totango", *at).stdout
    assert "region empty -> eu1" in page
    assert "sdrToken *** -> empty" in page
    assert HUSH not in page
    assert milonga("destinations", "undo", "totango", *at).returncode == 0
    assert asked("destinations", "show", "totango", *at)["settings"]["sdrToken"] == "***"


def test_any_earlier_version_can_be_named(at: tuple[str, str]) -> None:
    for region in ("eu1", "us"):
        milonga("destinations", "set", "totango", f"region={region}", *at)
    assert milonga("destinations", "undo", "totango", "--to", "1", *at).returncode == 0
    assert asked("destinations", "show", "totango", *at)["settings"]["region"] == ""
    assert "already" in milonga("destinations", "undo", "totango", "--to", "1", *at).stdout
    done = milonga("destinations", "undo", "totango", "--to", "9", *at)
    assert (done.returncode, "from 1 to 4" in done.stderr) == (1, True)


def test_what_is_on_does_not_go_back_to_settings_it_cannot_send_with(at: tuple[str, str]) -> None:
    milonga("destinations", "disable", "totango", "--yes", *at)
    milonga("destinations", "set", "totango", "serviceId=", *at)
    milonga("destinations", "set", "totango", "serviceId=SP-2-2", *at)
    milonga("destinations", "enable", "totango", *at)
    done = milonga("destinations", "undo", "totango", *at)
    assert done.returncode == 1
    assert "Without Service ID" in done.stderr
    assert asked("destinations", "show", "totango", *at)["settings"]["serviceId"] == "SP-2-2"


def test_a_connection_is_tested_with_settings_stored_or_not(at: tuple[str, str]) -> None:
    with Receiving(pretend) as totango:
        done = milonga("destinations", "test", "totango", f"endpoint={totango.url}", *at)
        assert done.returncode == 1
        assert "loopback" in done.stdout
        here = ("--allow-private-destinations", *at)
        told = asked("destinations", "test", "totango", f"endpoint={totango.url}", *here)
        assert (told["reached"], told["address"], told["secure"]) == (True, "127.0.0.1", False)
        milonga("destinations", "set", "totango", f"endpoint={totango.url}", *at)
        done = milonga("destinations", "test", "totango", *here)
        assert done.returncode == 0
        assert "is reachable" in done.stdout
        assert "confirms neither" in done.stdout
        assert totango.requests() == []
    done = milonga("destinations", "test", "totango", "region=mars", *at)
    assert (done.returncode, "must be one of" in done.stderr) == (1, True)
