"""`milonga destinations filters`, as a person and a script use it."""

import json
from pathlib import Path

import pytest

from milonga.workspace.errors import UserError
from milonga.workspace.store import Workspace
from tests.commands import asked, in_a_process, milonga

EVENT = {"type": "track", "messageId": "m-1", "event": "Test", "userId": "u", "properties": {"email": "a@b", "n": "x"}}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with Workspace.open(tmp_path / "data") as workspace:
        workspace.sources.add("web", "demo")
    done = milonga(
        *("destinations", "add", "totango", "--source", "web", "--set", "serviceId=SP-1-1"),
        *("--data", str(tmp_path / "data")),
    )
    assert done.returncode == 0, done.stderr
    return tmp_path / "data"


def say(data: Path, *words: str) -> str:
    done = milonga("destinations", "filters", "totango", *words, "--data", str(data))
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(data: Path, *words: str) -> str:
    done = milonga("destinations", "filters", "totango", *words, "--data", str(data))
    assert done.returncode in {1, 2}
    return " ".join(done.stderr.replace("│", " ").split())


def names(data: Path) -> list[str]:
    return [one["name"] for one in asked("destinations", "filters", "totango", "--data", str(data))]


def test_filters_are_added_listed_moved_and_removed_in_versions_of_the_settings(data: Path) -> None:
    assert "totango has no filters" in say(data)
    assert "version 2" in say(data, "add", "no-tests", "--when", 'event.startsWith("Test")', "--drop")
    say(data, "add", "tenth", "--sample", "10%", "--by", "accountless.id")
    say(data, "add", "mail", "--mask", "properties.email", "--mask", "traits.email", "--at", "1")
    assert names(data) == ["mail", "no-tests", "tenth"]
    page = say(data)
    for words in (
        'event.startsWith("Test")',
        "drop",
        "keep 10 % by accountless.id",
        "*** for properties.email, traits",
    ):
        assert words in page
    assert "version 5" in say(data, "move", "tenth", "1")
    assert names(data) == ["tenth", "mail", "no-tests"]
    say(data, "remove", "tenth")
    assert names(data) == ["mail", "no-tests"]
    shown = asked("destinations", "show", "totango", "--data", str(data))
    assert [one["name"] for one in shown["delivery"]["filters"]] == ["mail", "no-tests"]
    assert shown["settingsVersion"] == 6
    assert "mail, no-tests" in milonga("destinations", "show", "totango", "--data", str(data)).stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("add", "f"), "Say one thing to do: --drop, --keep"),
        (("add", "f", "--drop", "--keep"), "Say one thing to do"),
        (("add", "f", "--drop", "--mask", "properties.a"), "Say one thing to do"),
        (("add", "f", "--sample", "ten"), "'ten' is no share"),
        (("add", "f", "--sample", "100%"), "sample needs a share between 0 and 1"),
        (("add", "f", "--sample", "nan"), "sample needs a share between 0 and 1"),
        (("add", "F!", "--drop"), "'F!' is no name for a filter"),
        (("add", "f", "--drop", "--by", "traits.a"), "share and by belong to sample"),
        (("add", "f", "--drop", "--when", "evnt == 1"), "The condition of f: There is no field evnt, at character 1."),
        (("add", "f", "--drop", "--when", "properties.n > 1"), "has(properties.n) && ..."),
        (("add", "f", "--mask", "userId"), "userId tells which event it is"),
        (("add", "there", "--drop"), "There is a filter there already"),
        (("add", "f", "--drop", "--at", "3"), "There is no place 3: 1 to 2"),
        (("remove", "f"), "totango has no filter f. There are: there."),
        (("move", "there", "2"), "There is no place 2: 1 to 1"),
        (("test",), "Name one of: FILE"),
        (("test", "/nowhere"), "/nowhere cannot be read"),
        (("test", "--message", "m-9"), "No event with message id m-9 is in the log"),
    ],
)
def test_what_is_not_possible_is_refused_in_words(data: Path, words: tuple[str, ...], told: str) -> None:
    say(data, "add", "there", "--drop", "--when", "type == 'page'")
    assert told in refused(data, *words)
    assert names(data) == ["there"]


def test_help_and_words_in_another_order_say_where_the_destination_comes(data: Path) -> None:
    told = milonga("destinations", "filters", "add", "--help")
    assert (told.returncode, "--drop-field" in told.stdout) == (0, True)
    told = milonga("destinations", "filters", "add", "totango", "f", "--drop", "--data", str(data))
    assert (told.returncode, "The destination comes first" in told.stderr) == (2, True)


def test_they_are_checked_however_they_are_set(data: Path) -> None:
    at = ("--data", str(data))
    done = milonga("destinations", "set", "totango", 'filters=[{"name": "f", "do": "drop", "when": "nope()"}]', *at)
    assert done.returncode == 1
    assert "The condition of f: There is no function nope()" in done.stderr
    done = milonga("destinations", "set", "totango", 'filters=[{"name": "f", "do": "drop"}]', *at)
    assert done.returncode == 0, done.stderr
    assert names(data) == ["f"]


def test_an_event_is_tried_step_by_step(data: Path, tmp_path: Path) -> None:
    say(data, "add", "mail", "--mask", "properties.email")
    say(data, "add", "odd", "--drop-field", "properties.n", "--when", "has(properties.n) && properties.n > 3")
    file = tmp_path / "events.jsonl"
    file.write_text(json.dumps(EVENT))
    page = say(data, "test", str(file))
    assert "cannot be decided" in page
    assert "changed properties.email" in page
    assert "It goes on to the destination." in page
    say(data, "add", "no-tests", "--when", 'event.startsWith("Test")', "--drop")
    file.write_text(f"{json.dumps(EVENT)}\n\n{json.dumps({**EVENT, 'integrations': {'All': False}})}\n")
    first, second = json.loads(say(data, "test", str(file), "--json"))
    assert [(one["name"], one["met"], one["does"]) for one in first["filters"]] == [
        ("mail", True, "changed properties.email"),
        ("odd", None, "changed properties.n"),
        ("no-tests", True, "dropped"),
    ]
    assert (first["skip"]["code"], first["event"]) == ("filter:no-tests", None)
    assert "milonga destinations filters totango remove no-tests" in first["skip"]["fix"]
    assert (second["skip"]["code"], second["filters"]) == ("FILTERED_BY_INTEGRATIONS_OBJECT", [])
    file.write_text("{}\n[]")
    assert "Line 1 is no event" in refused(data, "test", str(file))
    file.write_text("{")
    assert "This is no event" in refused(data, "test", str(file))


def test_translate_takes_filters_and_consent_among_the_settings() -> None:
    filters = [{"name": "mail", "do": "mask", "fields": ["properties.email"]}]
    settings = {"url": "https://x.example/", "filters": filters, "consentCategories": ["ads"]}
    refuses = {**EVENT, "context": {"consent": {"categoryPreferences": {}}}}
    given = f"{json.dumps(EVENT)}\n{json.dumps(refuses)}\n"
    done = in_a_process("translate", "webhook", "--settings", json.dumps(settings), text=given)
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["requests"][0]["properties"] == {"email": "***", "n": "x"}
    assert second["skip"]["code"] == "FILTERED_BY_END_USER_CONSENT"
    settings["filters"] = [{"name": "f", "do": "drop", "when": "1"}]
    done = in_a_process("translate", "webhook", "--settings", json.dumps(settings), text="")
    assert done.returncode == 2
    assert "The condition of f" in done.stderr


def test_two_who_change_them_at_once_do_not_lose_each_others(data: Path) -> None:
    with Workspace.open(data) as workspace:
        version = workspace.destination("totango").settings_version
        workspace.set_settings("totango", {"concurrency": 3})
        with pytest.raises(UserError, match="at the same moment"):
            workspace.set_settings("totango", {"filters": ()}, if_settings_version=version)
