"""`milonga destinations`, as a person and a script use it."""

import os
import pty
from pathlib import Path

import pytest

from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace
from tests.commands import asked, in_a_process, milonga

HUSH = "hush-hush-4711"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with Workspace.open(tmp_path / "data") as workspace:
        workspace.sources.add("web", "demo")
    return tmp_path / "data"


def add(data: Path, *more: str) -> None:
    if "--off" not in more and not any("serviceId" in word for word in more):
        more = ("--set", "serviceId=SP-1-1", *more)
    done = milonga("destinations", "add", "totango", "--source", "web", *more, "--data", str(data))
    assert done.returncode == 0, done.stderr


def test_a_destination_goes_through_its_whole_life(data: Path) -> None:
    at = ("--data", str(data))
    add(data, "--set", "serviceId=SP-1-1", "--set", f"sdrToken={HUSH}", "--set", "trackNamedPages=no")
    (listed,) = asked("destinations", "list", *at)
    assert (listed["name"], listed["kind"], listed["source"], listed["state"]) == ("totango", "totango", "web", "on")
    assert "totango" in milonga("destinations", "list", *at).stdout

    assert milonga("destinations", "set", "totango", "--set", "region=eu1", *at).returncode == 0
    assert milonga("destinations", "set", "totango", "defaultPlan=", "--unset", "trackNamedPages", *at).returncode == 0
    for word, state in (("pause", "paused"), ("resume", "on"), ("disable", "off"), ("enable", "on")):
        done = milonga("destinations", word, "totango", *at)
        assert done.returncode == 0, done.stderr
        assert f"totango is {state}" in done.stdout
        assert "within 5 seconds" in done.stdout

    told = asked("destinations", "show", "totango", *at)
    assert (told["state"], told["settingsVersion"], told["missing"]) == ("on", 3, [])
    settings = told["settings"]
    assert (settings["serviceId"], settings["region"], settings["sdrToken"]) == ("SP-1-1", "eu1", "***")
    assert (settings["defaultPlan"], settings["trackNamedPages"]) == ("", True)
    assert [
        entry["state"] if entry["what"] == "state" else f"version {entry['version']}: {' '.join(entry['changed'])}"
        for entry in told["history"]
    ] == [
        "version 1: serviceId trackNamedPages sdrToken",
        "on",
        "version 2: region",
        "version 3: trackNamedPages defaultPlan",
        "paused",
        "on",
        "off",
        "on",
    ]
    page = milonga("destinations", "show", "totango", *at).stdout
    for word in ("on since", "serviceId", "SP-1-1", "***", "Settings, version 3", "paused: paused by hand"):
        assert word in page
    assert HUSH not in page
    assert milonga("destinations", "remove", "totango", "--yes", *at).returncode == 0
    assert asked("destinations", "list", *at) == []


def test_a_destination_can_be_named_and_begin_switched_off(data: Path) -> None:
    add(data, "--name", "first", "--off")
    add(data, "--name", "second")
    listed = asked("destinations", "list", "--data", str(data))
    assert [(one["name"], one["state"]) for one in listed] == [("first", "off"), ("second", "on")]


def test_without_a_required_setting_it_is_refused_and_can_only_be_added_switched_off(data: Path) -> None:
    at = ("--data", str(data))
    done = in_a_process("destinations", "add", "totango", "--source", "web", *at)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Without Service ID (serviceId) nothing can be sent" in done.stderr
    assert "--off" in done.stderr
    assert asked("destinations", "list", *at) == []
    blank = milonga("destinations", "add", "totango", "--source", "web", "--set", "serviceId= ", *at)
    assert blank.returncode == 1

    done = milonga("destinations", "add", "totango", "--source", "web", "--off", *at)
    assert "Service ID (serviceId) is not set" in done.stderr
    assert asked("destinations", "show", "totango", *at)["missing"] == ["serviceId"]
    assert "Needs serviceId before it can send" in milonga("destinations", "list", *at).stdout
    done = milonga("destinations", "enable", "totango", *at)
    assert done.returncode == 1
    assert "milonga destinations set totango --set serviceId=..." in done.stderr

    assert milonga("destinations", "set", "totango", "--set", "serviceId=SP-1-1", *at).stderr == ""
    assert milonga("destinations", "enable", "totango", *at).returncode == 0
    for words in (("--unset", "serviceId"), ("--set", "serviceId=")):
        done = milonga("destinations", "set", "totango", *words, *at)
        assert done.returncode == 1
        assert "milonga destinations disable totango" in done.stderr


def test_an_odd_service_id_is_taken_with_a_question(data: Path) -> None:
    at = ("--data", str(data))
    done = milonga("destinations", "add", "totango", "--source", "web", "--set", "serviceId=12345", *at)
    assert done.returncode == 0
    assert "Is this right? Service ID (serviceId) is '12345'." in done.stderr
    assert "SP-12345-01" in done.stderr
    assert milonga("destinations", "set", "totango", "serviceId=SP-12345-01", *at).stderr == ""
    assert "Is this right?" in milonga("destinations", "set", "totango", "serviceId=SP-12345", *at).stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("add", "totango", "--source", "web"), "There is a destination called totango already. Give this one another"),
        (("add", "nothing", "--source", "web"), "Kinds: segment, totango, webhook"),
        (("add", "webhook", "--source", "nowhere"), "milonga sources add nowhere"),
        (("add", "webhook", "--source", "web", "--set", f"autorization={HUSH}"), "Did you mean authorization?"),
        (("add", "webhook", "--source", "web", "--set", f"url=http://ada:{HUSH}@x/"), "user name or password"),
        (("set", "totango", "--set", "region=mars"), "region (Region) must be one of"),
        (("set", "totango", "--set", f"sdrToken={HUSH}\n"), "control characters"),
        (("set", "totango", "--set", "sdrToken=@/no/such/file"), "sdrToken: the file /no/such/file cannot be read"),
        (("set", "totango", "--set", "region=eu1", "--set", "nothing=1"), "no setting called nothing"),
        (("show", "nobody"), "milonga destinations list"),
        (("disable", "nobody"), "milonga destinations list"),
        (("remove", "nobody"), "milonga destinations list"),
        (("kinds", "nothing"), "Kinds: segment, totango, webhook"),
    ],
)
def test_what_is_refused_exits_1_says_why_and_repeats_no_secret(data: Path, words: tuple[str, ...], says: str) -> None:
    add(data)
    before = asked("destinations", "show", "totango", "--data", str(data))
    at = () if words[0] == "kinds" else ("--data", str(data))
    done = milonga("destinations", *words, *at)
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
    assert HUSH not in done.stderr
    assert "Traceback" not in done.stderr
    assert asked("destinations", "show", "totango", "--data", str(data)) == before
    assert len(asked("destinations", "list", "--data", str(data))) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("set", "totango"),
        ("set", "totango", HUSH),
        ("set", "totango", "--set", "region=us", "--set", "region=eu1"),
        ("add", "totango"),
        ("add", "totango", "--source", "web", "--set", HUSH),
    ],
)
def test_wrong_use_exits_2_and_repeats_no_secret(data: Path, words: tuple[str, ...]) -> None:
    add(data)
    done = milonga("destinations", *words, "--data", str(data))
    assert (done.returncode, done.stdout) == (2, "")
    assert HUSH not in done.stderr


def test_a_secret_can_come_from_a_file_or_standard_input(data: Path, tmp_path: Path) -> None:
    add(data, "--set", "serviceId=@not-a-secret")
    file = tmp_path / "token"
    file.write_text(f"{HUSH}\n")
    milonga("destinations", "set", "totango", f"sdrToken=@{file}", "--data", str(data))
    with Workspace.open(data) as workspace:
        settings = workspace.destination("totango").settings
        assert (getattr(settings, "sdr_token", ""), getattr(settings, "service_id", "")) == (HUSH, "@not-a-secret")
    words = ("destinations", "set", "totango", "--set", "sdrToken=-", "--data", str(data))
    assert in_a_process(*words, text=f"{HUSH}-2\n").returncode == 0
    with Workspace.open(data) as workspace:
        assert getattr(workspace.destination("totango").settings, "sdr_token", "") == f"{HUSH}-2"


def test_a_paused_destination_says_why_and_goes_on_once_its_settings_are_changed(data: Path) -> None:
    at = ("--data", str(data))
    add(data, "--set", "serviceId=SP-1-1")
    with Workspace.open(data) as workspace:
        workspace.change_state("totango", DestinationState.paused, "settings", "Three answers were 401.", {})
    assert "Three answers were 401." in milonga("destinations", "list", *at).stdout
    done = milonga("destinations", "set", "totango", "--set", f"sdrToken={HUSH}", *at)
    assert "version 2. totango is on.\nIn force within 5 seconds" in done.stdout
    assert asked("destinations", "show", "totango", *at)["state"] == "on"


def test_pausing_and_resuming_what_is_off_is_refused_with_what_to_do(data: Path) -> None:
    add(data, "--off")
    for word in ("pause", "resume"):
        done = milonga("destinations", word, "totango", "--data", str(data))
        assert done.returncode == 1
        assert "milonga destinations enable totango" in done.stderr
    assert asked("destinations", "show", "totango", "--data", str(data))["state"] == "off"


def test_switching_on_what_is_on_is_done_already(data: Path) -> None:
    add(data, "--set", "serviceId=SP-1-1")
    done = milonga("destinations", "enable", "totango", "--data", str(data))
    assert (done.returncode, done.stdout, done.stderr) == (0, "Nothing to change: totango is on.\n", "")


def test_without_the_key_it_says_what_is_missing_and_what_to_do(data: Path) -> None:
    at = ("--data", str(data))
    add(data, "--set", f"sdrToken={HUSH}")
    data.with_name("data.key").unlink()
    told = asked("destinations", "show", "totango", *at)
    assert told["state"] == "paused"
    assert told["settings"]["sdrToken"] == "***"
    assert f"{data}.key" in told["reason"]
    done = milonga("destinations", "enable", "totango", *at)
    assert "Nothing to change: totango is paused: sdrToken of destination totango cannot be read" in done.stdout
    done = milonga("destinations", "set", "totango", "--set", "sdrToken=new", *at)
    assert done.returncode == 1
    assert "--new-key" in done.stderr
    done = milonga("destinations", "set", "totango", "--set", "sdrToken=new", "--new-key", *at)
    assert (done.returncode, "totango is on" in done.stdout) == (0, True)


@pytest.mark.parametrize(("answer", "status", "state"), [("n", 1, "on"), ("y", 0, "off")])
def test_at_a_terminal_switching_off_asks_first(data: Path, answer: str, status: int, state: str) -> None:
    add(data)
    person, terminal = pty.openpty()
    try:
        os.write(person, f"{answer}\n".encode())
        done = in_a_process("destinations", "disable", "totango", "--data", str(data), stdin=terminal)
    finally:
        os.close(person)
        os.close(terminal)
    assert done.returncode == status, done.stderr
    assert "Switch totango off?" in done.stderr
    assert asked("destinations", "show", "totango", "--data", str(data))["state"] == state


def test_the_kinds_and_their_settings_can_be_looked_up_without_a_workspace() -> None:
    assert [one["kind"] for one in asked("destinations", "kinds")] == ["segment", "totango", "webhook"]
    settings = {one["name"]: one for one in asked("destinations", "kinds", "totango")}
    assert settings["serviceId"]["required"]
    assert settings["sdrToken"]["secret"]
    assert "Service ID (text, required)" in milonga("destinations", "kinds", "totango").stdout


def test_how_a_destination_is_delivered_to_is_set_shown_and_explained_beside_its_own_settings(data: Path) -> None:
    at = ("--data", str(data))
    add(data, "--set", "concurrency=8")
    done = milonga("destinations", "set", "totango", "rateLimit=0.5", "region=eu1", "--unset", "concurrency", *at)
    assert done.returncode == 0, done.stderr
    told = asked("destinations", "show", "totango", *at)
    assert (told["delivery"]["concurrency"], told["delivery"]["rateLimit"]) == (64, 0.5)
    assert "concurrency" not in told["settings"]
    assert told["history"][-1]["changed"] == ["region", "concurrency", "rateLimit"]
    page = milonga("destinations", "show", "totango", *at).stdout
    assert "Delivery settings" in page
    assert "0.5" in page
    listed = {one["name"]: one for one in asked("destinations", "kinds", "totango")}
    assert (listed["rateLimit"]["group"], listed["serviceId"]["group"]) == ("delivery", "settings")
    assert "rateLimit: Requests a second (number)" in milonga("destinations", "kinds", "totango").stdout
    done = milonga("destinations", "set", "totango", "concurrency=0", *at)
    assert (done.returncode, "concurrency (Requests at once)" in done.stderr) == (1, True)


def test_a_destination_of_a_kind_that_this_milonga_lacks_is_refused_in_words_by_every_command(data: Path) -> None:
    add(data)
    with Workspace.open(data) as workspace, workspace._database.write() as db:
        db.execute("UPDATE destination SET kind = 'gone'")
    at = ("--data", str(data))
    for words in (("set", "totango", "serviceId=SP-2"), ("enable", "totango"), ("disable", "totango", "--yes")):
        done = milonga("destinations", *words, *at)
        assert done.returncode in (0, 1)
        assert "Traceback" not in done.stderr
        assert "Error" not in done.stderr
    done = milonga("destinations", "set", "totango", "serviceId=SP-2", *at)
    assert done.returncode == 1
    assert "of kind 'gone', which this Milonga does not have" in done.stderr
    assert "gone" in milonga("destinations", "list", *at).stdout
    assert "gone" in milonga("destinations", "show", "totango", *at).stdout


def test_the_query_of_an_address_is_shown_nowhere(data: Path) -> None:
    at = ("--data", str(data))
    url = f"url=https://receiver.example/hook?token={HUSH}"
    done = milonga("destinations", "add", "webhook", "--source", "web", "--set", url, *at)
    told = [
        done,
        milonga("destinations", "add", "webhook", "--source", "web", "--name", "two", "--set", url, "--json", *at),
    ]
    listings = (("list",), ("list", "--json"), ("show", "webhook"), ("show", "webhook", "--json"))
    told += [milonga("destinations", *words, *at) for words in listings]
    for done in told:
        assert done.returncode == 0, done.stderr
        assert HUSH not in done.stdout + done.stderr
    assert asked("destinations", "show", "webhook", *at)["settings"]["url"] == "https://receiver.example/hook?***"
    done = milonga("destinations", "set", "webhook", "--set", "url=https://receiver.example/hook?***", *at)
    assert done.returncode == 1
    assert "give the whole of it" in done.stderr
