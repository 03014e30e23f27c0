"""Replays from a form: first looked at, then begun, held and stopped; and what a dry run says."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser

from milonga.console.dry_runs import DryRuns, Wanted
from milonga.delivery.selection import Selection
from milonga.destinations.totango.fake import pretend
from milonga.outcomes.reader import OutcomeReader
from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationState
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.console.harness import Console, console_of
from tests.console.test_problems import text
from tests.receiving import Receiving
from tests.running import Client, eventually, track

KEY = "k-replays"
EVENTS = 20


@pytest.fixture(scope="module")
def totango() -> Iterator[Receiving]:
    with Receiving(pretend) as receiving:
        yield receiving


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory, totango: Receiving) -> Iterator[Console]:
    """EVENTS were delivered; since then the settings have changed."""
    with console_of(tmp_path_factory.mktemp("replays")) as running:
        settings = {"serviceId": "SP-1-01", "endpoint": f"{totango.url}/pixel.gif/"}
        with Workspace.open(running.data) as workspace:
            workspace.sources.add("web", KEY)
            workspace.add_destination("totango", "web", "totango", settings, DestinationState.on, {0: 0})
        with Client(running.milonga.port, KEY) as client:
            client.send([track(n, f"u-{n % 3}", "acme", properties={}) for n in range(EVENTS)])
        reader = OutcomeReader(running.data / "outcomes")
        eventually(lambda: sum(reader.totals().values()) >= EVENTS, "all are delivered")
        with Workspace.open(running.data) as workspace:
            workspace.set_settings("totango", {"defaultModule": "Backoffice"})
        yield running


def test_what_is_mistyped_comes_back_with_what_is_wrong(console: Console) -> None:
    for given, words in (
        ({"destination": "totango", "from": "yesterday", "rate": "50"}, "is no moment"),
        ({"destination": "totango", "from": "1h", "to": "2h", "rate": "50"}, "not after the beginning"),
        ({"destination": "totango", "from": "1h", "rate": "a lot"}, "Expected a number"),
        ({"destination": "nobody", "from": "1h", "rate": "50"}, "nobody"),
        ({"destination": "totango", "from": "1h", "rate": "50", "type": "all"}, "no such call"),
    ):
        answer = console.post("/replays/look", given)
        assert answer.status == 422
        assert words in answer.text
        assert f'value="{given["from"]}"' in answer.text, "what was typed is still there"
    assert console.get("/replays/99").status == 404
    assert console.get("/replays/dry-runs/99").status == 404


def test_a_replay_is_looked_at_begun_and_followed(console: Console, totango: Receiving, browser: Browser) -> None:
    before = totango.received()
    with console.visiting(browser, Role.editor) as page:
        page.goto(f"{console.url}/replays")
        page.get_by_role("link", name="New replay").first.click()
        page.get_by_text("Totango dates what arrives by its arrival").wait_for()
        page.get_by_label("Account", exact=True).fill("acme")
        page.get_by_role("button", name="Dry run").click()
        page.get_by_text("What would be different").wait_for()
        assert "activity.sdr_m" in page.locator("#run").inner_text()
        assert "Backoffice" in page.locator("#run").inner_text()
        assert totango.received() == before, "nothing was sent"
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Start the replay").click()
        page.get_by_text("has begun.").wait_for()
        page.get_by_role("link", name="to totango").click()
        page.locator("#replay").get_by_text("done", exact=True).wait_for()
    assert totango.received() == before + EVENTS
    assert f"{EVENTS} delivered" in text(console.get("/replays"))
    with Workspace.open(console.data) as workspace:
        assert [row.by for row in workspace.audit.page(what="command.replay")] == ["user:the-editor"]


def test_a_replay_is_held_and_stopped(console: Console) -> None:
    answer = console.post("/replays/look", {"destination": "totango", "from": "1h", "rate": "0.1"})
    run = answer.headers["location"]
    eventually(lambda: "Start the replay" in console.get(run, Role.editor).text, "the dry run is done")
    assert "Start the replay" not in console.get(run).text, "not for a viewer"
    assert console.post(f"{run}/start").status == 303
    eventually(lambda: "Hold" in console.get("/replays", Role.editor).text, "it goes on")
    (number,) = {
        word.split("/")[2] for word in console.get("/replays", Role.editor).text.split('"') if word.endswith("/hold")
    }
    assert console.post(f"/replays/{number}/hold").status == 303
    eventually(lambda: "paused" in text(console.get(f"/replays/{number}")), "held")
    assert console.post(f"/replays/{number}/stop").status == 303
    eventually(lambda: "stopped" in text(console.get(f"/replays/{number}")), "stopped")
    again = console.post(f"/replays/{number}/stop")
    assert again.status == 422
    assert "has ended already" in again.text


def test_a_replay_to_a_paused_destination_says_before_and_after_that_it_waits(console: Console) -> None:
    with Workspace.open(console.data) as workspace:
        workspace.change_state("totango", DestinationState.paused, "cli", "until Monday", {0: EVENTS})
    answer = console.post("/replays/look", {"destination": "totango", "from": "1h", "rate": "50"})
    run = answer.headers["location"]
    eventually(lambda: "Start the replay" in console.get(run, Role.editor).text, "the dry run is done")
    assert "Once started, the replay waits: totango is paused." in text(console.get(run, Role.editor))
    said = unquote(console.post(f"{run}/start").headers["set-cookie"])
    assert "is asked for. It waits: totango is paused." in said
    (number,) = re.findall(r"Replay ([0-9]+) to totango", said)
    eventually(lambda: f"/replays/{number}/stop" in console.get("/replays", Role.editor).text, "delivery knows of it")
    shown = text(console.get(f"/replays/{number}"))
    assert "waiting" in shown
    assert "running" not in shown
    assert console.post(f"/replays/{number}/stop").status == 303
    eventually(lambda: "stopped" in text(console.get(f"/replays/{number}")), "stopped")


def wanted(destination: int) -> Wanted:
    selection = Selection(source=1, since=0, until=1_000_000_000_000)
    return Wanted(destination=destination, name="totango", selection=selection, rate=50, overwrite=False)


def endless(_data: Path, _wanted: Wanted) -> list[str]:
    """A dry run that says how far it is, and never comes to its end."""
    script = "import sys, time; print('[\"Comparing\", 5, 10]', file=sys.stderr, flush=True); time.sleep(3600)"
    return [sys.executable, "-c", script]


def test_dry_runs_are_few_and_one_for_each_destination(tmp_path: Path) -> None:
    runs = DryRuns(tmp_path, endless)
    first = runs.begin(wanted(1), "user:ada")
    with pytest.raises(UserError, match="A dry run for totango is under way"):
        runs.begin(wanted(1), "user:ada")
    second = runs.begin(wanted(2), "user:ada")
    with pytest.raises(UserError, match="Other dry runs are under way"):
        runs.begin(wanted(3), "user:ada")
    eventually(lambda: second.progress == ("Comparing", 5, 10), "it says how far it is")
    second.cancel()
    assert second.state == "cancelled"
    assert runs.begin(wanted(3), "user:ada").id == 3
    assert [run.id for run in runs.all()] == [3, 2, 1]
    runs.close()
    assert {run.state for run in runs.all()} == {"cancelled"}
    with pytest.raises(UserError):
        runs.begin(wanted(1), "user:ada")
    assert first.found is None


def test_a_dry_run_that_fails_says_why(tmp_path: Path) -> None:
    runs = DryRuns(tmp_path / "nothing")
    run = runs.begin(wanted(1), "user:ada")
    eventually(lambda: run.state != "running", "it ends")
    assert run.state == "failed"
    assert "There is no workspace" in " ".join(run.notes)
    runs.close()
