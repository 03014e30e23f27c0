"""`milonga replay --dry-run`: what became of each event, what would be sent now, and in what that differs."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from milonga.delivery.replay_rows import Replay, ReplayState, Way
from milonga.delivery.selection import Selection
from milonga.delivery.store import DeliveryStore
from milonga.eventlog.api import Position
from milonga.eventlog.sqlite import SqliteLog
from milonga.outcomes.model import State
from milonga.outcomes.writer import OutcomeWriter
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace
from tests.cli.filled import HUSH, outcome
from tests.commands import asked, milonga
from tests.delivery import paper

T = 1_709_640_000_000  #: 2024-03-05T12:00:00Z, when the first event arrived; one more each second
RANGE = ("--from", "2024-03-05", "--to", "2024-03-06")

EVENTS: list[dict[str, Any]] = [
    {"type_": "group", "traits": {"plan": "free", "seats": 1}},  # 1: came before the destination was added
    {"type_": "group", "traits": {"plan": "trial", "seats": 2}},  # 2: delivered
    {"event": "Bought", "properties": {}},  # 3: delivered
    {"event": "Bought", "properties": {"category": "Shop"}},  # 4: delivered
    {"event": "Bought", "integrations": {"Totango": False}},  # 5: skipped, disabled
    {"event": "Bought", "account": None},  # 6: skipped, missing_group_id
    {"event": "Bought"},  # 7: dead
    {"event": "Sold", "user": "bob"},  # 8: expired
    {"type_": "group", "traits": {"plan": "paid"}},  # 9: delivered: newer than 1 and 2
    {"event": "Bought"},  # 10: waits
    {"event": "Other", "source": paper.OTHER_SOURCE},  # 11: of another source
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Delivered under the settings of version 1; since then the module is another one, and the endpoint."""
    data = tmp_path_factory.mktemp("replay") / "data"
    with Workspace.open(data) as workspace:
        workspace.sources.add("web", "demo")
        workspace.sources.add("app", "demo2")
        settings = {"serviceId": "SP-1", "sdrToken": HUSH}
        workspace.add_destination("totango", "web", "totango", settings, DestinationState.on, {0: 1})
        workspace.set_settings("totango", {"defaultModule": "Backoffice", "sdrToken": "another-" + HUSH}, {0: 9})

    async def fill() -> None:
        log = await SqliteLog.open(data / "log")
        events = [paper.event(n, received_at=T + n * 1000, **said) for n, said in enumerate(EVENTS, 1)]
        await log.append(events)
        await log.close()

    asyncio.run(fill())
    writer = OutcomeWriter(data / "outcomes", lambda: T / 1000)
    writer.write([outcome(n) for n in (2, 3, 4, 9)])
    writer.write([outcome(5, State.skipped, "disabled"), outcome(6, State.skipped, "missing_group_id")])
    writer.write([outcome(7, State.dead, "http_400"), outcome(8, State.expired, "too_old")])
    writer.close()
    with contextlib.closing(DeliveryStore(data / "delivery.db")) as store, store.transaction():
        store.set_position(1, 0, 9)
    return data


def replay(data: Path, *words: str) -> Any:
    return asked("replay", "totango", *RANGE, "--dry-run", *words, "--data", str(data))


def fates(told: Any) -> dict[tuple[str, ...], int]:
    return {
        (f"{one['first']} {one['firstCode']}".strip(), one["now"], one["code"]): one["events"]
        for one in told["outcomes"]
    }


def test_a_dry_run_counts_what_became_of_each_event_and_what_would_be_sent_now(data: Path) -> None:
    told = replay(data)
    assert told["looked"] == 11
    assert told["events"] == 10
    assert told["types"] == {"track": 7, "group": 3}
    assert fates(told) == {
        ("never", "skipped", "superseded"): 1,
        ("delivered", "changed", ""): 1,
        ("delivered", "same", ""): 3,
        ("skipped disabled", "new", ""): 1,
        ("skipped missing_group_id", "skipped", "missing_group_id"): 1,
        ("dead http_400", "new", ""): 1,
        ("expired too_old", "new", ""): 1,
        ("waiting", "waiting", ""): 1,
    }


def test_only_what_newer_events_have_set_is_left_out(data: Path) -> None:
    one, both = replay(data, "--type", "group"), replay(data, "--type", "group", "--overwrite")
    assert (one["send"], one["leftOut"], one["requests"]) == (2, 1, 2)
    assert (both["send"], both["leftOut"], both["requests"]) == (3, 0, 3)


def test_the_fields_that_differ_are_named_with_examples(data: Path) -> None:
    told = replay(data, "--event", "Bought", "--account", "acme")
    assert told["fields"] == [{"field": "activity.sdr_m", "events": 1}]
    (example,) = [one for one in told["examples"] if one["now"] == "changed"]
    assert example["messageId"] == "m3"
    assert example["changes"] == [{"field": "activity.sdr_m", "before": "Application", "now": "Backoffice"}]


def test_no_secret_is_printed(data: Path) -> None:
    for words in (["--json"], []):
        done = milonga("replay", "totango", *RANGE, "--dry-run", *words, "--data", str(data))
        assert done.returncode == 0
        assert HUSH not in done.stdout + done.stderr


def test_a_person_reads_the_same_and_since_when_what_is_earlier_is_gone(data: Path) -> None:
    done = milonga("replay", "totango", "--from", "2024-03-01", "--to", "2024-03-06", "--dry-run", "--data", str(data))
    assert (
        "10 events arrived from 2024-03-01T00:00:00.000Z to 2024-03-06T00:00:00.000Z: 7 track, 3 group." in done.stdout
    )
    assert "activity.sdr_m: Application -> Backoffice" in done.stdout
    assert "The log keeps events since 2024-03-05T12:00:01.000Z: what may have arrived earlier is gone." in done.stderr


def test_times_types_accounts_and_names_narrow_it(data: Path) -> None:
    assert replay(data, "--event", "Sold")["events"] == 1
    assert replay(data, "--account", "nobody")["events"] == 0
    at = ["--from", "2024-03-05T12:00:02Z", "--to", "2024-03-05T12:00:04Z"]
    assert asked("replay", "totango", *at, "--dry-run", "--data", str(data))["events"] == 2


def test_what_ended_with_a_code_is_found_and_nothing_that_was_delivered(data: Path) -> None:
    told = replay(data, "--code", "disabled")
    assert (told["looked"], told["events"], told["send"]) == (1, 1, 1)
    assert fates(told) == {("skipped disabled", "new", ""): 1}
    told = replay(data, "--code", "missing_group_id", "--type", "track")
    assert fates(told) == {("skipped missing_group_id", "skipped", "missing_group_id"): 1}
    assert replay(data, "--code", "http_400", "--user", "bob")["events"] == 0
    assert replay(data, "--code", "never_seen")["events"] == 0
    assert replay(data, "--user", "bob")["events"] == 1


def test_single_events_are_chosen_by_their_place(data: Path) -> None:
    told = replay(data, "--at", "0-4", "--at", "0-5", "--at", "0-900")
    assert fates(told) == {("delivered", "same", ""): 1, ("skipped disabled", "new", ""): 1}
    assert replay(data, "--at", "0-4", "--at", "0-5", "--code", "disabled")["events"] == 1
    done = milonga("replay", "totango", *RANGE, "--at", "5", "--dry-run", "--data", str(data))
    assert (done.returncode, "Expected a place of the log" in done.stderr) == (2, True)


def test_what_names_no_account_is_filed_under_the_one_of_its_users_group_calls(data: Path) -> None:
    told = replay(data, "--code", "missing_group_id", "--find-accounts")
    assert fates(told) == {("skipped missing_group_id", "new", ""): 1}
    assert (told["filed"], told["several"]) == (1, 0)
    assert [one["filed"] for one in told["examples"]] == ["acme"]
    printed = milonga(
        *("replay", "totango", *RANGE, "--code", "missing_group_id", "--find-accounts", "--dry-run"),
        *("--data", str(data)),
    ).stdout
    assert "1 event would be filed under the account that group calls of the same user name." in printed


def test_wrong_use_is_told_in_words(data: Path) -> None:
    where = ["--data", str(data)]
    done = milonga("replay", "nobody", *RANGE, "--dry-run", *where)
    assert (done.returncode, "no destination" in done.stderr) == (1, True)
    done = milonga("replay", "totango", "--from", "2d", "--to", "3d", "--dry-run", *where)
    assert (done.returncode, "is not before" in done.stderr) == (2, True)
    assert milonga("replay", "totango", "--from", "soon", "--dry-run", *where).returncode == 2


def test_a_replay_is_only_begun_by_who_has_been_told_what_it_does(data: Path) -> None:
    where = ["--data", str(data)]
    done = milonga("replay", "totango", *RANGE, *where)
    assert done.returncode == 1
    assert "Totango dates what arrives by its arrival" in done.stderr
    assert "Nobody is here to answer: say so with --yes" in done.stderr
    assert milonga("replay", "totango", *RANGE, "--account", "nobody", *where).stderr.endswith("would be sent.\n")
    with Workspace.open(data) as workspace:
        assert workspace.commands.pending() == ()


def test_without_a_server_it_is_asked_for_and_a_destination_that_is_off_takes_none(data: Path) -> None:
    where = ["--data", str(data)]
    done = milonga("replay", "totango", *RANGE, "--yes", *where)
    assert done.returncode == 0
    assert "it is done when `milonga serve` runs" in done.stderr
    with Workspace.open(data) as workspace:
        (command,) = workspace.commands.pending()
        assert (command.kind, command.args["destination"], command.args["rate"]) == ("replay", 1, 50.0)
        workspace.change_state(1, DestinationState.off, "cli", "", {0: 11})
    try:
        done = milonga("replay", "totango", *RANGE, "--yes", *where)
        assert (done.returncode, "totango is off" in done.stderr) == (1, True)
    finally:
        with Workspace.open(data) as workspace:
            workspace.change_state(1, DestinationState.on, "cli", "", {0: 11})
    assert "Nothing was replayed." in milonga("replays", "list", *where).stdout
    assert milonga("replays", "show", "7", *where).stderr == (
        "milonga: There is no replay 7. See `milonga replays list`.\n"
    )


def test_replays_are_listed_with_what_became_of_their_events(data: Path) -> None:
    wanted = Selection(source=1, since=T, until=T + 10_000, type="track", code="too_old", positions=(Position(0, 5),))
    row = Replay(id=3, destination=1, asked_at=T, by="cli", wanted=wanted, rate=5.0, overwrite=False)
    with contextlib.closing(DeliveryStore(data / "delivery.db")) as store, store.transaction():
        store.replays.begin(row)
        store.replays.set_way(3, 0, Way(4, 11))
        store.replays.advance(3, 0, 6, {("left", "superseded"): 2})
        store.replays.leave(1, Position(0, 5), 3, "delivered", "")
    where = ["--data", str(data)]
    (told,) = asked("replays", "list", *where)
    assert (told["replay"], told["state"], told["left"], told["type"]) == (3, "running", 5, "track")
    assert told["outcomes"] == [
        {"state": "delivered", "code": "", "events": 1},
        {"state": "left", "code": "superseded", "events": 2},
    ]
    assert "2 not sent superseded" in milonga("replays", "list", *where).stdout
    assert (told["code"], told["chosen"], told["user"]) == ("too_old", 1, None)
    shown = milonga("replays", "show", "3", *where).stdout
    assert "No server is running" in shown
    assert "only type track, code too_old, 1 chosen event" in shown
    assert "it is done when" in milonga("replays", "stop", "3", *where).stderr
    with contextlib.closing(DeliveryStore(data / "delivery.db")) as store, store.transaction():
        store.replays.set_state(3, ReplayState.stopped, "", T)
    assert "5 were not looked at any more" in milonga("replays", "show", "3", *where).stdout
    done = milonga("replays", "pause", "3", *where)
    assert (done.returncode, "has ended already: stopped" in done.stderr) == (1, True)
