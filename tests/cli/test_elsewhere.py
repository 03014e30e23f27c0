"""`milonga --server URL`: commands say of a server elsewhere what they say of a data directory here."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from milonga.api.remote import BadAddress, server_at
from milonga.delivery.rows import Parked
from milonga.delivery.store import DeliveryStore
from milonga.eventlog.api import Position
from milonga.workspace.roles import Role
from tests.api.conftest import fill
from tests.api.serving import Served, served
from tests.cli.filled import EVENTS
from tests.commands import Done, milonga

TRACKING = "https://events.example.com:8443"  #: where the server elsewhere takes events


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data = tmp_path_factory.mktemp("there") / "data"
    fill(data)
    park(data)
    with served(data, TRACKING) as found:
        for role in Role:
            assert found.ask("GET", "/sources", role=role).status == 200  # when a token was used is listed, too
        yield found


def park(data: Path) -> None:
    """Two events, behind a key each."""
    store = DeliveryStore(data / "delivery.db")
    with store.transaction():
        for offset, user in ((7, "ada"), (8, "bob")):
            keys = (("acme", user),)
            at = Position(0, offset)
            store.park(1, Parked(position=at, parked_at=2, received_at=1, keys=keys, resent=False, event=None))
    store.close()


def elsewhere(there: Served, *words: str, role: Role = Role.administrator) -> Done:
    return milonga(*words, env={"MILONGA_URL": there.url, "MILONGA_TOKEN": there.tokens[role]})


@pytest.mark.parametrize(
    "words",
    [
        "sources list",
        "sources show web",
        "sources show nobody",
        "sources keys list web",
        "sources setup web --host https://e.example",
        "destinations list --all",
        "destinations show totango",
        "destinations show 2",
        "destinations show nobody",
        "destinations kinds",
        "destinations kinds totango",
        "destinations filters totango",
        "events list -n 3",
        "events list --type alias --scan 10",
        "events show m7",
        "events show nobody",
        "events discarded",
        "events counts",
        "events tail -n 2",
        f"explain m{EVENTS}",
        "explain nobody",
        "explain --account acme --limit 2",
        "explain --user nobody",
        "explain --account acme --summary",
        "dead list",
        f"dead show m{EVENTS}",
        "parked list totango",
        "replays list",
        "replays show 7",
        "replay totango --from 1970-01-01 --to 2100-01-01 --dry-run",
        "regulations list",
        "regulations show 7",
        "regulations suppressed ada",
        "users list",
        "tokens list",
        "audit",
    ],
)
@pytest.mark.parametrize("form", ["words", "json"])
def test_a_command_says_the_same_of_a_server_elsewhere(words: str, form: str, there: Served) -> None:
    given = [*words.split(), *(["--json"] if form == "json" else [])]
    here = milonga(*given, "--data", str(there.data))
    assert elsewhere(there, *given) == here
    if form == "json" and not here[0] and "tail" not in given:
        assert json.loads(here[1]) is not None


def as_data(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_dead_letters_are_exported_from_elsewhere_as_they_are_from_here(there: Served) -> None:
    for words in ("", "--code http_400 --destination totango", "--account nobody", "--destination nobody"):
        given = ["dead", "export", *words.split()]
        code, out, err = milonga(*given, "--data", str(there.data))
        told = elsewhere(there, *given)
        assert (told[0], as_data(told[1]), told[2]) == (code, as_data(out), err)
        assert (
            elsewhere(there, *given, "--format", "csv")[1].splitlines()[:1]
            == (milonga(*given, "--format", "csv", "--data", str(there.data))[1].splitlines()[:1])
        )
    rows = list(csv.DictReader(io.StringIO(elsewhere(there, "dead", "export", "--format", "csv")[1])))
    assert [json.loads(row["event"])["n"] for row in rows] == [EVENTS - 1, EVENTS]


def test_what_is_parked_is_exported_from_elsewhere_as_it_is_from_here(there: Served) -> None:
    for words in ("totango", "totango --account acme --user bob", "totango --account nobody", "nobody"):
        given = ["parked", "export", *words.split()]
        code, out, err = milonga(*given, "--data", str(there.data))
        told = elsewhere(there, *given)
        assert (told[0], as_data(told[1]), told[2]) == (code, as_data(out), err)
    given = ["parked", "export", "totango", "--key", '["acme","bob"]', "--format", "csv"]
    (row,) = csv.DictReader(io.StringIO(elsewhere(there, *given)[1]))
    assert (row["key"], json.loads(row["event"])["n"]) == ('["acme","bob"]', 8)
    for wrong in ("--account acme --key []", "--user ada", "--key 7", "--format xml"):
        assert elsewhere(there, "parked", "export", "totango", *wrong.split())[0] == 2


def test_what_is_parked_is_edited_from_elsewhere_if_it_stays_in_its_line(there: Served, tmp_path: Path) -> None:
    file, command = tmp_path / "event.json", ("parked", "edit", "totango", "--key", '["acme","bob"]')
    for said, code, words in (
        ({"userId": "bob", "event": "Mended"}, 0, "Asked for."),
        ({"userId": "eve", "event": "Mended"}, 1, "where it does not stand"),
        ({"userId": "bob"}, 1, "Nothing was changed."),
    ):
        file.write_text(json.dumps({"type": "track", "context": {"groupId": "acme"}} | said))
        told = elsewhere(there, *command, "--file", str(file))
        assert (told[0], words in told[2]) == (code, True), told
    assert elsewhere(there, *command[:3], "--account", "acme", "--file", str(file))[0] == 2
    assert elsewhere(there, *command, "--file", str(file), role=Role.viewer)[0] == 1


def test_set_up_names_the_address_of_the_server_that_was_asked(there: Served) -> None:
    for words in ("sources setup web", "sources snippet web", "sources snippet web --npm"):
        code, out, err = elsewhere(there, *words.split())
        assert code == 0, err
        assert TRACKING.removeprefix("https://") in out
        assert "8080" not in out + err
    assert "http://127.0.0.1:8080" in milonga("sources", "setup", "web", "--data", str(there.data))[1]


def test_changes_are_made_elsewhere_under_the_name_of_the_token(there: Served) -> None:
    for words in (
        "sources add shop",
        "sources set shop rateLimit=5 origins=https://a.example",
        "destinations add totango --source shop --name second --set serviceId=SP-2",
        "destinations set second sdrToken=hush --unset defaultPlan",
        "destinations undo second",
        "destinations filters second add no-tests --drop",
        "destinations pause second --reason why",
        "destinations disable second --yes",
        "destinations remove second --yes",
        "sources keys rotate shop --overlap 1d",
        "sources remove shop --yes",
        "regulations suppress grace --wait 0",
        "users add ada --role viewer",
        "users remove ada --yes",
        "tokens create short --role viewer",
        "tokens revoke short --yes",
        f"dead resend m{EVENTS}",
        "replay totango --from 1970-01-01 --yes",
    ):
        code, out, err = elsewhere(there, *words.split())
        assert (code, "Traceback" in err) == (0, False), (words, out, err)
    _, out, _ = elsewhere(there, "audit", "--json", "--by", "token:test-administrator")
    assert len(json.loads(out)) >= 17


def test_a_required_setting_that_is_missing_is_told_with_what_to_type(there: Served) -> None:
    words = ("destinations", "add", "totango", "--source", "web", "--name", "third")
    code, _, err = elsewhere(there, *words)
    assert (code, err) == milonga(*words, "--data", str(there.data))[::2]
    assert "--set serviceId=..." in err


def test_a_role_that_is_not_enough_is_told(there: Served) -> None:
    code, _, err = elsewhere(there, "sources", "add", "more", role=Role.viewer)
    assert code == 1
    assert "needs the role editor" in err


def test_without_a_good_token_it_says_where_one_is_taken_from(there: Served) -> None:
    for env in ({}, {"MILONGA_TOKEN": "mlg_nonsense"}):
        code, _, err = milonga("--server", there.url, "sources", "list", env=dict(env))
        assert code == 1
        assert "MILONGA_TOKEN or --token-file" in err


def test_a_token_is_read_from_a_file(there: Served, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(there.tokens[Role.viewer] + "\n")
    code, out, err = milonga("--server", there.url, "--token-file", str(file), "sources", "list", "--json")
    assert (code, err) == (0, "")
    assert "web" in [one["name"] for one in json.loads(out)]
    assert milonga("--server", there.url, "--token-file", str(tmp_path / "none"), "sources", "list")[0] == 2


def test_a_data_directory_that_is_named_comes_before_a_server_of_the_environment(there: Served, tmp_path: Path) -> None:
    env: dict[str, str | None] = {"MILONGA_URL": "http://127.0.0.1:1"}
    assert milonga("sources", "list", "--data", str(there.data), env=env)[0] == 0
    assert milonga("--server", there.url, "sources", "list", "--data", str(there.data))[0] == 2


@pytest.mark.parametrize(
    "words", ["serve", "demo", "check", "backup x", "restore x", "translate totango", "fake totango"]
)
def test_what_is_done_here_only_is_told_kindly(words: str) -> None:
    code, _, err = milonga("--server", "https://milonga.example", *words.split())
    assert code == 1
    assert "leave --server out" in err


@pytest.mark.parametrize("words", ["check", "backup nowhere", "restore nothing"])
def test_a_server_that_only_the_environment_names_is_not_asked_and_that_is_told(words: str, tmp_path: Path) -> None:
    env: dict[str, str | None] = {"MILONGA_URL": "https://milonga.example", "MILONGA_DATA": str(tmp_path / "here")}
    said = f"MILONGA_URL is set, but `milonga {words.split()[0]}` works on this machine only: on {tmp_path}/here."
    assert said in milonga(*words.split(), env=env)[2]
    assert "MILONGA_URL" not in milonga(*words.split(), "--data", str(tmp_path / "here"), env=env)[2]


def test_a_server_is_not_started_here_without_a_word_while_the_environment_names_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "milonga", "serve", "--tls-cert", "without-its-key"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "MILONGA_URL": "https://milonga.example", "MILONGA_DATA": "mine"},
    )
    assert done.returncode == 2
    assert f"`milonga serve` works on this machine only: on {tmp_path}/mine." in done.stderr


def test_a_server_that_is_not_there_is_told_in_words(there: Served) -> None:
    code, _, err = milonga("--server", "http://127.0.0.1:1", "sources", "list")
    assert code == 1
    assert "cannot be reached" in err
    code, _, err = milonga("--server", f"https://127.0.0.1:{there.port}", "sources", "list")
    assert code == 1
    assert "cannot be reached" in err
    code, _, err = milonga("--server", f"{there.url}/elsewhere", "sources", "list")
    assert code == 1
    assert "is no API of Milonga's" in err


@pytest.mark.parametrize(
    "url", ["", "x", "ftp://a", "http://", "http://a:b", "http://u:p@a", "http://a?b", "http://a b"]
)
def test_an_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(BadAddress):
        server_at(url, "")


@pytest.mark.parametrize(
    ("url", "clear"),
    [
        ("http://127.0.0.1:8081", False),
        ("http://[::1]:8081/", False),
        ("http://localhost:8081", False),
        ("https://a.example/milonga/", False),
        ("http://a.example", True),
    ],
)
def test_who_may_read_along_is_known(url: str, clear: bool) -> None:
    server = server_at(url, "")
    assert server.in_the_clear is clear
    assert server_at(server.url, "") == server


def test_a_token_that_could_not_be_sent_is_refused() -> None:
    with pytest.raises(ValueError, match="token"):
        server_at("https://a.example", "two words")


def test_the_kinds_of_answers_are_checked(there: Served) -> None:
    found: Any = elsewhere(there, "events", "list", "-n", "2", "--json")
    assert len(json.loads(found[1])) == 2
