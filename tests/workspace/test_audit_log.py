"""Every change of the workspace says in the audit log who made it, and from which value to which."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from milonga.privacy.regulation import Kind
from milonga.workspace import audit
from milonga.workspace.audit import Entry, failed_login
from milonga.workspace.commands import Commands
from milonga.workspace.errors import UserError
from milonga.workspace.keys import KeyRing
from milonga.workspace.model import DestinationState
from milonga.workspace.people import User
from milonga.workspace.regulations import FORGOTTEN, Regulations
from milonga.workspace.roles import Role
from milonga.workspace.settings import UNSET
from milonga.workspace.sources import Sources
from milonga.workspace.store import Workspace
from milonga.workspace.tokens import Tokens
from milonga.workspace.users import Users
from tests.clocks import Still
from tests.workspace.paper import open_paper

ON, OFF, PAUSED = DestinationState.on, DestinationState.off, DestinationState.paused
HUSH = "the-hushed-one-0123456789"
KEY = "kkkkeeeeyyyy"
ADA = "user:ada"
DAY = 86_400_000


@pytest.fixture
def workspace(tmp_path: Path, now: Still[int]) -> Iterator[Workspace]:
    with open_paper(tmp_path / "data", now=now) as workspace:
        workspace.sources.add("web", KEY, by="the-fixture")
        yield workspace


def told(workspace: Workspace) -> list[tuple[str, str, dict[str, tuple[Any, Any]]]]:
    """What and of what, the oldest first, but the fixture's. Everything must be by ada."""
    found = [entry for entry in reversed(workspace.audit.page(1_000)) if entry.by != "the-fixture"]
    assert {entry.by for entry in found} <= {ADA}
    return [(entry.what, entry.name, entry.changes) for entry in found]


def test_sources_and_their_keys(workspace: Workspace) -> None:
    workspace.sources.add("site", "sssssssssss", by=ADA)
    workspace.sources.set_settings("site", {"rateLimit": 5, "origins": "https://a.example"}, by=ADA)
    workspace.sources.set_settings("site", {"rateLimit": 5}, by=ADA)  # changes nothing
    workspace.sources.set_settings("site", {"origins": UNSET}, by=ADA)
    key = workspace.write_keys.add("site", by=ADA)
    workspace.write_keys.remove("site", key, by=ADA)
    workspace.sources.remove("site", by=ADA)
    masked = f"{key[:4]}…"
    assert told(workspace) == [
        ("source.added", "site", {"writeKey": (None, "ssss…")}),
        ("source.settings", "site", {"origins": ([], ["https://a.example"]), "rateLimit": (0, 5)}),
        ("source.settings", "site", {"origins": (["https://a.example"], [])}),
        ("source.key_added", "site", {"writeKey": (None, masked)}),
        ("source.key_removed", "site", {"writeKey": (masked, None)}),
        ("source.removed", "site", {}),
    ]


def test_a_short_write_key_is_not_told_by_its_beginning(workspace: Workspace) -> None:
    workspace.sources.add("short", "demo", by=ADA)
    assert told(workspace) == [("source.added", "short", {"writeKey": (None, "…")})]


def test_destinations_with_their_secrets_masked(workspace: Workspace) -> None:
    address = f"https://paper.example/in?token={HUSH}"
    settings = {"postTo": address, "token": HUSH, "concurrency": 8}
    workspace.add_destination("paper", "web", "printer", settings, ON, {0: 1}, by=ADA)
    workspace.set_settings("printer", {"token": f"{HUSH}2", "copies": 2}, by=ADA)
    workspace.set_settings("printer", {"copies": 2}, by=ADA)  # changes nothing
    workspace.set_settings("printer", {"token": "", "concurrency": UNSET}, by=ADA)
    workspace.change_state("printer", PAUSED, ADA, "holidays", {0: 2})
    workspace.change_state("printer", PAUSED, ADA, "", {0: 2})  # changes nothing
    workspace.revert_settings("printer", 1, by=ADA)
    workspace.remove_destination("printer", {0: 3}, by=ADA)
    shown = "https://paper.example/in?***"
    first = {"kind": (None, "paper"), "source": (None, "web"), "state": (None, "on")}
    assert told(workspace) == [
        (
            "destination.added",
            "printer",
            first | {"postTo": ("", shown), "token": ("", "***"), "concurrency": (64, 8)},
        ),
        ("destination.settings", "printer", {"token": ("***", "***"), "copies": (1, 2)}),
        ("destination.settings", "printer", {"token": ("***", ""), "concurrency": (8, 64)}),
        ("destination.state", "printer", {"state": ("on", "paused"), "reason": (None, "holidays")}),
        ("destination.settings", "printer", {"token": ("", "***"), "copies": (2, 1), "concurrency": (64, 8)}),
        ("destination.removed", "printer", {"state": ("paused", None)}),
    ]


def test_what_the_pipeline_does_by_itself_and_what_ends_its_pause(workspace: Workspace) -> None:
    workspace.add_destination("paper", "web", "printer", {}, ON, {}, by="cli")
    workspace.change_state("printer", PAUSED, "settings", "401: no such token", {})
    workspace.change_state("printer", ON, "probe", "", {})
    workspace.change_state("printer", PAUSED, "settings", "401: no such token", {})
    workspace.set_settings("printer", {"token": HUSH}, by=ADA)
    rows = [(entry.by, entry.what, entry.changes) for entry in reversed(workspace.audit.page())][2:]
    refused = {"state": ("on", "paused"), "reason": (None, "401: no such token")}
    assert rows == [
        ("settings", "destination.state", refused),
        ("probe", "destination.state", {"state": ("paused", "on")}),
        ("settings", "destination.state", refused),
        (ADA, "destination.settings", {"token": ("", "***")}),
        (ADA, "destination.state", {"state": ("paused", "on"), "reason": (None, "settings were changed")}),
    ]


def test_commands_without_what_events_said(workspace: Workspace) -> None:
    number = workspace.add_destination("paper", "web", "printer", {}, ON, {}, by="the-fixture").id
    ask = workspace.commands.ask
    ask("resend", {"destination": number, "positions": [[0, 1], [0, 2]], "wanted": None, "by": "somebody"}, by=ADA)
    ask("discard", {"destination": number, "positions": None, "wanted": {"code": "http_400", "user": HUSH}}, by=ADA)
    ask("discard", {"destination": number, "positions": None, "wanted": {"code": None, "user": None}}, by=ADA)
    wanted = {"source": 1, "since": 1_700_000_000_000, "until": 2**60, "type": "track", "account": HUSH, "name": None}
    ask("replay", {"destination": number, "wanted": wanted, "rate": 5, "overwrite": False}, by=ADA)
    chosen = {"code": "filter:odd", "user": HUSH, "positions": [[0, 1], [0, 2]]}
    ask("replay", {"destination": number, "wanted": chosen}, by=ADA)
    ask("set_replay", {"replay": 3, "state": "stopped"}, by=ADA)
    ask("parked_retry", {"destination": number, "lines": [[HUSH, 0, 1]], "whole": True}, by=ADA)
    ask("edit", {"destination": number, "position": [0, 7], "event": HUSH, "died_at": 5}, by=ADA)
    ask("some_day", {"destination": number, "more": {"userId": HUSH, "deep": [HUSH]}, "text": HUSH}, by=ADA)
    ask("test", {"destination": number}, by=ADA)
    replay = {"since": (None, "2023-11-14T22:13:20Z"), "until": (None, 2**60), "type": (None, "track")}
    assert told(workspace) == [
        ("command.resend", "printer", {"events": (None, 2)}),
        ("command.discard", "printer", {"code": (None, "http_400"), "user": (None, "***")}),
        ("command.discard", "printer", {"events": (None, "all")}),
        (
            "command.replay",
            "printer",
            {**replay, "account": (None, "***"), "rate": (None, 5), "overwrite": (None, False)},
        ),
        ("command.replay", "printer", {"code": (None, "filter:odd"), "user": (None, "***"), "events": (None, 2)}),
        ("command.set_replay", "", {"replay": (None, 3), "state": (None, "stopped")}),
        ("command.parked_retry", "printer", {"keys": (None, 1), "whole": (None, True)}),
        ("command.edit", "printer", {"event": (None, "0-7")}),
        ("command.some_day", "printer", {"userId": (None, "***"), "deep": (None, "***"), "text": (None, "***")}),
    ]
    assert HUSH not in str(workspace.audit.page(100))


def test_regulations_without_whom_they_are_about(workspace: Workspace, tmp_path: Path) -> None:
    workspace.regulations.create(Kind.suppress_only, [HUSH, "other"], "web", by=ADA)
    workspace.regulations.create(Kind.unsuppress, [HUSH], by=ADA)
    assert told(workspace) == [
        ("regulation.created", "1", {"kind": (None, "SUPPRESS_ONLY"), "users": (None, 2), "source": (None, "web")}),
        ("regulation.created", "2", {"kind": (None, "UNSUPPRESS"), "users": (None, 1)}),
    ]


def test_words_of_a_receiver_that_name_a_deleted_user_are_forgotten(workspace: Workspace) -> None:
    workspace.add_destination("paper", "web", "printer", {}, ON, {}, by="cli")
    workspace.change_state("printer", PAUSED, "settings", f"401: {HUSH} may not", {})
    workspace.change_state("printer", ON, "probe", "", {})
    workspace.change_state("printer", PAUSED, "settings", "401: somebody else", {})
    one = workspace.regulations.create(Kind.delete_internal, [HUSH])
    workspace.regulations.log_done([one.id], {}, [])
    reasons = [entry.changes["reason"][1] for entry in workspace.audit.page(by="settings")]
    assert reasons == ["401: somebody else", FORGOTTEN]


def test_people_and_tokens_without_their_secrets(workspace: Workspace, tmp_path: Path) -> None:
    _, link = workspace.users.add("ada", Role.administrator, by=ADA)
    workspace.users.use_link(link, "$argon2id$x")
    workspace.users.add("grace", Role.viewer, by=ADA)
    workspace.users.set_role("grace", Role.editor, by=ADA)
    workspace.users.set_role("grace", Role.editor, by=ADA)  # changes nothing
    _, reset = workspace.users.reset("Grace", by=ADA)
    workspace.users.set_disabled("grace", disabled=True, by=ADA)
    workspace.users.set_disabled("grace", disabled=False, by=ADA)
    workspace.users.remove("grace", by=ADA)
    workspace.users.change_password(workspace.users.named("ada"), "$argon2id$x", "$argon2id$y")
    _, shows = workspace.tokens.create("ci", Role.editor, days=3, by=ADA)
    workspace.tokens.revoke("CI", by=ADA)
    assert told(workspace) == [
        ("user.added", "ada", {"role": (None, "administrator")}),
        ("user.password", "ada", {}),
        ("user.added", "grace", {"role": (None, "viewer")}),
        ("user.role", "grace", {"role": ("viewer", "editor")}),
        ("user.link", "grace", {}),
        ("user.disabled", "grace", {"disabled": (False, True)}),
        ("user.enabled", "grace", {"disabled": (True, False)}),
        ("user.removed", "grace", {"role": ("editor", None)}),
        ("user.password", "ada", {}),
        ("token.created", "ci", {"role": (None, "editor"), "days": (None, 3)}),
        ("token.revoked", "ci", {"role": ("editor", None)}),
    ]
    stored = "".join(map(str, workspace.audit.page(1_000)))
    assert not [one for one in (link, reset, shows, "argon2id") if one in stored]


BY_THEMSELVES = {"first_link", "use_link", "change_password", "rehash"}
"""Of users: who does it stands in it, or nobody does."""

CARRIED_OUT = {"begin", "delivery_done", "log_done", "finish", "troubled", "scrub", "note_use"}
"""Of regulations, commands and write keys: what a running server notes of what it was asked."""


@pytest.mark.parametrize("of", [Workspace, Sources, KeyRing, Commands, Regulations, Users, Tokens])
def test_every_method_that_changes_something_is_told_by_whom(of: type) -> None:
    for name, method in inspect.getmembers(of, inspect.isfunction):
        changes = "database.write()" in inspect.getsource(method) or "._set(" in inspect.getsource(method)
        if changes and not name.startswith("_") and name not in BY_THEMSELVES | CARRIED_OUT:
            if name in ("find", "open"):
                continue  # only notes when it was used
            assert "by" in inspect.signature(method).parameters, f"{of.__name__}.{name}"


def test_a_change_that_fails_leaves_no_row(workspace: Workspace) -> None:
    before = workspace.audit.page()
    for refused in (
        lambda: workspace.sources.add("web"),
        lambda: workspace.write_keys.remove("web", KEY),
        lambda: workspace.sources.set_settings("web", {"rateLimit": "much"}),
        lambda: workspace.add_destination("paper", "nowhere", "x", {}, ON, {}),
        lambda: workspace.set_settings("nothing", {"copies": 2}),
    ):
        with pytest.raises(UserError):
            refused()
    assert workspace.audit.page() == before


# Pages


def fill(workspace: Workspace, *rows: tuple[int, str, str, str]) -> None:
    with workspace._database.write() as db:
        for at, by, what, name in rows:
            audit.record(db, at, by, what, name, {})


def test_pages_go_by_time_and_then_by_row_newest_first_and_none_is_missed(
    workspace: Workspace, now: Still[int]
) -> None:
    fill(workspace, *[(now.at - 1_000 * (n % 4), "cli", "source.settings", f"s{n}") for n in range(40)])
    whole = [(entry.at, entry.id) for entry in workspace.audit.page(1_000)]
    assert whole == sorted(whole, reverse=True)
    assert len(whole) == 41
    seen: list[tuple[int, int]] = []
    page: tuple[Entry, ...] = workspace.audit.page(7)
    while page:
        seen += [(entry.at, entry.id) for entry in page]
        page = workspace.audit.page(7, before=seen[-1])
    assert seen == whole


def test_rows_are_found_by_who_did_it_what_was_done_and_with_what(workspace: Workspace, now: Still[int]) -> None:
    fill(
        workspace,
        (now.at, "cli", "source.settings", "a"),
        (now.at, ADA, "destination.settings", "a"),
        (now.at, ADA, "destination.state", "b"),
        (now.at, ADA, "destinations_of_old", "b"),
    )

    def names(**wanted: str) -> list[tuple[str, str]]:
        return [(entry.what, entry.name) for entry in reversed(workspace.audit.page(**wanted))]  # type: ignore[arg-type]

    assert names(what="destination") == [("destination.settings", "a"), ("destination.state", "b")]
    assert names(what="destination.state") == [("destination.state", "b")]
    assert names(by=ADA, name="a") == [("destination.settings", "a")]
    assert names(what="dest") == names(by="nobody") == names(name="' OR 1 = 1 --") == []
    assert workspace.audit.who() == ("cli", "the-fixture", ADA)


def test_rows_stay_for_four_hundred_days(workspace: Workspace, now: Still[int]) -> None:
    now.at += 399 * DAY
    workspace.sources.add("later", by=ADA)
    assert len(workspace.audit.page()) == 2
    now.at += 2 * DAY
    workspace.sources.add("last", by=ADA)
    assert [entry.name for entry in workspace.audit.page()] == ["last", "later"]
    with workspace._database.read() as db:
        assert db.execute("SELECT count(*) FROM audit").get == 2


def test_a_destination_that_flaps_pushes_nothing_out_that_people_did(workspace: Workspace, now: Still[int]) -> None:
    fill(workspace, *[(now.at + n, "settings", "destination.state", "x") for n in range(30)])
    fill(workspace, *[(now.at + n, "cli", "source.settings", f"s{n}") for n in range(8)])
    with workspace._database.write() as db:
        audit.bound(db, most=5, most_own=10)
    rows = workspace.audit.page(1_000)
    assert [entry.name for entry in rows if entry.by == "cli"] == ["s7", "s6", "s5", "s4", "s3"]
    assert [entry.at - now.at for entry in rows if entry.by == "settings"] == list(range(29, 19, -1))


def test_rows_are_bounded_as_they_are_written(
    workspace: Workspace, now: Still[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MOST_OWN", 10)
    fill(workspace, *[(now.at + n, "probe", "destination.state", "x") for n in range(450)])
    assert len(workspace.audit.page(1_000, by="probe")) <= 110


def test_a_value_as_long_as_a_book_is_cut_and_a_damaged_row_still_shown(workspace: Workspace, tmp_path: Path) -> None:
    workspace.sources.set_settings("web", {"origins": [f"https://{n}.example" for n in range(1_000)]}, by=ADA)
    (entry,) = workspace.audit.page(by=ADA)
    before, after = entry.changes["origins"]
    assert (before, len(after)) == ([], audit.LONGEST + 1)
    assert len(msgspec.json.encode(entry)) < 2 * audit.LONGEST + 300
    with apsw.Connection(str(tmp_path / "data" / "workspace.db")) as db:
        db.execute("UPDATE audit SET changes = '[1' WHERE id = ?", (entry.id,))
    db.close()
    assert [one.changes for one in workspace.audit.page(by=ADA)] == [{}]


# Coming in and going


def person(workspace: Workspace, name: str) -> tuple[User, str]:
    """And the hash of a password."""
    _, link = workspace.users.add(name, Role.viewer, by="the-fixture")
    return workspace.users.use_link(link, "$argon2id$x"), "$argon2id$x"


def sessions_told(workspace: Workspace) -> list[tuple[str, str, str, dict[str, tuple[Any, Any]]]]:
    return [(one.what, one.by, one.name, one.changes) for one in reversed(workspace.audit.page(100, what="session"))]


def test_logging_in_and_out_and_being_logged_out_elsewhere_leave_rows(workspace: Workspace) -> None:
    ada, password = person(workspace, "ada")
    first = workspace.sessions.begin(ada, password, "192.0.2.1", "Firefox/128.0 on Linux")
    for number in (2, 3, 4):
        workspace.sessions.begin(ada, password, f"192.0.2.{number}", "")
    (newest, *_) = workspace.sessions.of(ada)
    workspace.sessions.end_one(ada, newest.id)
    workspace.sessions.end_one(ada, newest.id)
    assert workspace.sessions.end_others(ada, first) == 2
    workspace.sessions.end(first)
    workspace.sessions.end(first)
    workspace.sessions.end("nobody's")
    rows = sessions_told(workspace)
    assert {(by, name) for _, by, name, _ in rows} == {(ADA, "ada")}
    assert [(what, changes) for what, _, _, changes in rows] == [
        ("session.begun", {"address": (None, "192.0.2.1"), "browser": (None, "Firefox/128.0 on Linux")}),
        *(("session.begun", {"address": (None, f"192.0.2.{number}")}) for number in (2, 3, 4)),
        ("session.ended", {"address": (None, "192.0.2.4")}),
        ("session.ended", {"sessions": (None, 2)}),
        ("session.ended", {"address": (None, "192.0.2.1")}),
    ]


def test_attempts_that_fail_are_gathered_by_name_and_address_and_unknown_names_are_not_told(
    workspace: Workspace, now: Still[int]
) -> None:
    person(workspace, "ada")
    here, there = "192.0.2.1", "192.0.2.2"
    attempts = {("ADA", here): 1, ("ada", there): 2, (HUSH, here): 3, ("other", here): 1}
    workspace.audit.gathered({failed_login(*one): n for one, n in attempts.items()})
    now.at += audit.GATHERED - 1
    workspace.audit.gathered({failed_login("ada", here): 4})
    now.at += 1
    workspace.audit.gathered({failed_login("ada", here): 1})
    assert [(name, *(both[1] for both in changes.values())) for _, _, name, changes in sessions_told(workspace)] == [
        ("ada", here, 5),
        ("ada", there, 2),
        ("", here, 4),
        ("ada", here, 1),
    ]
    assert {by for _, by, _, _ in sessions_told(workspace)} == {"stranger"}
    assert HUSH not in str(workspace.audit.page(100))


def test_whoever_guesses_or_comes_and_goes_pushes_out_nothing_else(workspace: Workspace, now: Still[int]) -> None:
    fill(workspace, *[(now.at + n, "cli", "source.settings", f"s{n}") for n in range(5)])
    fill(workspace, *[(now.at + n, ADA, "session.begun", "ada") for n in range(20)])
    fill(workspace, *[(now.at + n, "stranger", "session.failed", "") for n in range(40)])
    fill(workspace, *[(now.at + n, "stranger", "token.refused", "") for n in range(40)])
    fill(workspace, *[(now.at + n, ADA, "export.events", "") for n in range(40)])
    with workspace._database.write() as db:
        audit.bound(db, most=5, most_own=1, most_sessions=10, most_failed=3, most_refused=2, most_taken=6)
    assert len(workspace.audit.page(100, what="session.begun")) == 10
    assert [entry.at - now.at for entry in workspace.audit.page(100, what="session.failed")] == [39, 38, 37]
    assert [entry.at - now.at for entry in workspace.audit.page(100, what="token.refused")] == [39, 38]
    assert len(workspace.audit.page(100, what="export")) == 6
    assert len(workspace.audit.page(100, what="source")) == 5


def test_failures_are_bounded_as_they_are_written(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MOST_FAILED", 10)
    for number in range(350):
        workspace.audit.gathered({failed_login("nobody", f"192.0.2.{number}"): 1})
    assert len(workspace.audit.page(1_000, what="session.failed")) <= 110
    assert len(workspace.audit.page(1_000, by="the-fixture")) == 1
