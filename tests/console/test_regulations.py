"""Suppressing and deleting users in the console: on a real server, with what was sent of them."""

import json
import re
from html import unescape

import pytest

from milonga.privacy.regulation import LONGEST_USER, MOST_USERS, Kind, Status
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.console.corpus import ATTACKS
from tests.console.harness import Answer, Console
from tests.console.reading import words
from tests.running import Client, eventually, track

KEY = "k-regulated"
ADMINISTRATOR = Role.administrator


@pytest.fixture(scope="module", autouse=True)
def sent(console: Console) -> None:
    """Events of two users at a source of its own."""
    with Workspace.open(console.data) as workspace:
        workspace.sources.add("regulated", KEY)
    with Client(console.milonga.port, KEY) as client:
        client.send([track(number, user, "acme") for number, user in enumerate(("leaver", "stayer", "leaver"))])


def checked(console: Console, kind: Kind, users: str, **more: str) -> Answer:
    return console.post("/regulations/check", {"kind": kind.value, "users": users, **more}, ADMINISTRATOR)


def asked(console: Console, page: Answer, typed: str = "") -> Answer:
    """What the page before it is done would send."""
    hidden = dict(re.findall(r'<input type="hidden" name="(kind|source|ids)" value="([^"]*)">', page.text))
    form = {name: unescape(value) for name, value in hidden.items()}
    return console.post("/regulations", form | ({"typed": typed} if typed else {}), ADMINISTRATOR)


def number_of(answer: Answer) -> int:
    assert answer.status == 303, answer.text
    return int(answer.headers["location"].rpartition("/")[2])


def test_a_user_is_deleted_once_somebody_has_typed_what_cannot_be_taken_back(console: Console) -> None:
    page = checked(console, Kind.delete_internal, "leaver\r\n leaver \n\nnobody\n")
    assert page.status == 200
    assert "Nobody can take this back" in page.text
    assert "type: delete 2 users" in page.text
    with Workspace.open(console.data) as workspace:
        before = [one.id for one in workspace.regulations.all()]
    for typed in ("", "delete 1 user", "delete"):
        refused = asked(console, page, typed)
        assert (refused.status, "Type exactly: delete 2 users" in refused.text) == (422, True)
    with Workspace.open(console.data) as workspace:
        assert [one.id for one in workspace.regulations.all()] == before, "nothing was done yet"
    number = number_of(asked(console, page, "Delete 2 users "))

    def finished() -> bool:
        return "FINISHED" in words(console.get(f"/regulations/{number}").text)

    eventually(finished, "the user is erased")
    told = words(console.get(f"/regulations/{number}", ADMINISTRATOR).text)
    assert "Delete DELETE_INTERNAL Whom 2 users, at all sources" in told
    assert "by the-administrator" in told
    assert "Events the log 2" in told
    assert "hx-trigger" not in console.get(f"/regulations/{number}").text, "what has ended does not renew itself"
    with Workspace.open(console.data) as workspace:
        (entry,) = workspace.audit.page(1, what="regulation")
    assert (entry.by, entry.name) == ("user:the-administrator", str(number))
    assert entry.changes == {"kind": (None, "DELETE_INTERNAL"), "users": (None, 2)}
    for path in ("/regulations", f"/regulations/{number}", "/audit"):
        assert ">leaver<" not in console.get(path, ADMINISTRATOR).text


def test_users_are_suppressed_looked_for_and_let_in_again(console: Console) -> None:
    number = number_of(asked(console, checked(console, Kind.suppress_only, "eve\nmallory", source="regulated")))
    eventually(lambda: "FINISHED" in words(console.get(f"/regulations/{number}").text), "in force")
    found = console.post("/regulations/look", {"user": "eve"}, Role.viewer)
    assert f"eve is suppressed at source regulated, by regulation {number} ." in words(found.text)
    assert "At source regulated 2 users" in words(found.text)
    assert "Eve is not suppressed." in words(console.post("/regulations/look", {"user": "Eve"}, Role.viewer).text)
    number_of(asked(console, checked(console, Kind.unsuppress, "eve")))
    assert "eve is not suppressed." in words(console.post("/regulations/look", {"user": "eve"}, Role.viewer).text)
    assert "At source regulated 1 user" in words(console.get("/regulations").text)


def test_ids_that_no_line_holds_are_written_as_json(console: Console) -> None:
    page = checked(console, Kind.suppress_only, '"with\\u0000nul"\n42\n" blank "', json="1")
    assert page.status == 200
    number_of(asked(console, page))
    with Workspace.open(console.data) as workspace:
        for user in ("with\0nul", "42", " blank "):
            assert workspace.regulations.suppressed(user), user
    wrong = checked(console, Kind.suppress_only, '"ada"\nnot json', json="1")
    assert (wrong.status, "Line 2 is no user id in JSON" in wrong.text) == (422, True)


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"users": " \n\r\n"}, "one user id a line"),
        ({"users": "\n".join(map(str, range(MOST_USERS + 1)))}, "5,001 users"),
        ({"users": "x" * (LONGEST_USER + 3)}, "no user id"),
        ({"kind": "DELETE_EVERYTHING"}, "no such kind"),
        ({"kind": ""}, "no such kind"),
        ({"source": "nowhere"}, "no source called nowhere"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(console: Console, form: dict[str, str], says: str) -> None:
    given = {"kind": Kind.delete_internal.value, "users": "ada-again", **form}
    answer = console.post("/regulations/check", given, ADMINISTRATOR)
    assert (answer.status, says in unescape(answer.text)) == (422, True)
    assert given["users"].strip()[:1_000] in unescape(answer.text)


@pytest.mark.parametrize("ids", ["", "no json", "[1]", '["a", null]', "[]", json.dumps(["x"] * 3 + [""])])
def test_a_form_that_no_page_of_ours_sent_does_nothing(console: Console, ids: str) -> None:
    with Workspace.open(console.data) as workspace:
        before = [one.id for one in workspace.regulations.all()]
    form = {"kind": Kind.suppress_only.value, "source": "", "ids": ids}
    assert console.post("/regulations", form, ADMINISTRATOR).status == 422
    with Workspace.open(console.data) as workspace:
        assert [one.id for one in workspace.regulations.all()] == before


def test_a_list_as_long_as_may_be_is_taken_and_counted(console: Console) -> None:
    page = checked(console, Kind.suppress_only, "\n".join(f"many-{n}@example.com" for n in range(MOST_USERS)))
    assert "and 4,980 more" in words(page.text)
    number = number_of(asked(console, page))
    with Workspace.open(console.data) as workspace:
        made = workspace.regulations.regulation(number)
    assert (made.users, made.status in (Status.initialized, Status.finished)) == (MOST_USERS, True)


def test_ids_are_hostile_and_do_nothing_in_a_page(console: Console) -> None:
    hostile = "\n".join(one.replace("\n", " ").replace("\r", " ") for one in ATTACKS)
    for page in (
        checked(console, Kind.delete_internal, hostile),
        console.post("/regulations/look", {"user": ATTACKS[0]}, ADMINISTRATOR),
        checked(console, Kind.suppress_only, ATTACKS[0], source=ATTACKS[0]),
        console.get("/regulations/new?user=%3Cscript%3Ealert(1)%3C/script%3E&kind=%22%3E%3Cb%3E", ADMINISTRATOR),
    ):
        assert page.status in (200, 422)
        for attack in ATTACKS:
            assert "<" not in attack or attack not in page.text


def test_there_is_no_page_of_what_is_none(console: Console) -> None:
    for number in ("0", "999", "x", "-1", "9" * 30, "%F0%9F%92%83"):
        assert console.get(f"/regulations/{number}").status == 404
    assert console.get("/regulations?before=x").status == 200
    assert "There are no regulations." in words(console.get("/regulations?before=1").text)
