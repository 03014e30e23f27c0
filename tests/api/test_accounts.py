"""Accounts, modules and activities by the API, from the index that is made beside it."""

import asyncio
from collections.abc import Iterator

import msgspec
import pytest

from milonga.api import shapes
from milonga.eventlog.sqlite import SqliteLog
from milonga.workspace.commands import milliseconds
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.api.serving import Served, served
from tests.index.model import Told
from tests.running import eventually


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Of three accounts, one of them without a group call, and an event that could have had an account."""
    data = tmp_path_factory.mktemp("accounts") / "data"
    now = milliseconds()
    events = [
        Told(type="group", account="acme", user="ada", name="Acme Corporation", message="m-1", at=now - 3),
        Told(type="track", account="acme", user="ada", name="Paid", category="Billing", message="m-2", at=now - 2),
        Told(type="track", account="hooli", user="eve", name="Paid", message="m-3", at=now - 1),
        Told(type="track", user="ada", name="Paid", message="m-4", at=now),
        Told(type="group", account="initech", user="bob", name=None, message="m-5", at=now),
    ]

    async def append() -> None:
        log = await SqliteLog.open(data / "log", reserve=0)
        await log.append([one.stamped() for one in events])
        await log.close()

    with Workspace.open(data) as workspace:
        workspace.sources.add("web")
    asyncio.run(append())
    with served(data) as found:
        eventually(lambda: len(found.ask("GET", "/accounts").data) == 3, "the index has all of it")
        yield found


def test_accounts_come_in_pages_those_last_heard_of_first(indexed: Served) -> None:
    whole = indexed.ask("GET", "/accounts").data
    assert [one["account"] for one in whole] == ["initech", "hooli", "acme"]
    assert [one["account"] for one in indexed.ask("GET", "/accounts?unnamed=true").data] == ["hooli"]
    assert [one["name"] for one in indexed.ask("GET", "/accounts?text=CORP").data] == ["Acme Corporation"]
    assert [one["lastAt"] for one in whole] == sorted((one["lastAt"] for one in whole), reverse=True)
    rows, cursor = [], ""
    while True:
        page = indexed.ask("GET", f"/accounts?count=1&cursor={cursor}").json
        rows += page["data"]
        cursor = page["pagination"]["next"]
        if cursor is None:
            break
    assert rows == whole


def test_one_account_has_users_and_activities(indexed: Served) -> None:
    first = indexed.ask("GET", "/accounts").data[0]["account"]
    found = indexed.ask("GET", f"/account?id={first}").data
    assert found["account"] == first
    assert found["events"] == sum(found["types"].values()) > 0
    assert found["users"] == len(found["newestUsers"])
    answer = indexed.ask("GET", "/account?id=nobody")
    assert (answer.status, answer.json["code"]) == (404, "not_found")


def test_a_cursor_of_another_list_is_refused(indexed: Served) -> None:
    assert indexed.ask("GET", "/accounts?cursor=WyJub25zZW5zZSJd").json["field"] == "cursor"


def test_activities_are_counted(indexed: Served) -> None:
    answer = indexed.ask("GET", "/activities").json
    assert [(one["name"], one["events"], one["accounts"], sum(one["days"])) for one in answer["data"]] == [
        ("Paid", 3, 2, 3)
    ]
    assert answer["pagination"]["names"] == 1
    assert {one["name"] for one in indexed.ask("GET", "/modules?source=web").data} == {"Billing", "Application"}
    assert indexed.ask("GET", "/activities?source=nobody").status == 404


def test_an_event_that_could_have_had_an_account_is_named(indexed: Served) -> None:
    found = indexed.ask("GET", "/counts/without-account").data
    assert (found["events"], found["withUser"], found["nameable"]) == (1, 1, 1)
    assert [one["event"]["offset"] for one in found["examples"]] == [4]
    assert [one["groupCall"]["offset"] for one in found["examples"]] == [1]


def test_whether_something_is_wrong_with_an_account_is_told_the_worst_first(indexed: Served) -> None:
    found = indexed.ask("GET", "/account/standing?id=hooli", role=Role.viewer).data
    msgspec.convert(found, shapes.AccountStanding)
    assert (found["account"], found["looked"], found["destinations"]) == ("hooli", 1, [])
    assert [(one["severity"], one["title"]) for one in found["findings"]] == [("warn", "No group call has named it")]
    assert indexed.ask("GET", "/account/standing?id=nobody").status == 404


def test_events_are_found_by_module_too(indexed: Served) -> None:
    found = indexed.ask("GET", "/events?module=Billing&name=Paid").data
    assert [one["account"] for one in found] == ["acme"]
