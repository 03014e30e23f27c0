"""`milonga sources`, as a person and a script use it."""

import json
import re
from pathlib import Path

import apsw
import pytest

from milonga.cli.showing import text
from milonga.facts import setup
from milonga.workspace.fields import fields_of
from milonga.workspace.model import SourceSettings
from tests.commands import asked, in_a_process, milonga

ROOT = Path(__file__).parents[2]


def test_a_source_is_added_listed_and_removed(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    done = in_a_process("sources", "add", "web", *data)
    where = f"New workspace: {tmp_path}/data. From other folders, name it with --data or MILONGA_DATA.\n"
    assert (done.returncode, done.stderr) == (0, where)
    (listed,) = asked("sources", "list", *data)
    assert listed["name"] == "web"
    (key,) = listed["writeKeys"]
    assert len(key) == 32
    assert f"Its write key: {key}\n" in done.stdout
    assert "within 5 seconds" in done.stdout
    assert "`milonga sources snippet web`" in done.stdout
    assert "`milonga sources setup web`" in done.stdout
    table = milonga("sources", "list", *data).stdout
    assert "web" in table
    assert key in table
    assert milonga("sources", "remove", "web", "--yes", *data).returncode == 0
    assert asked("sources", "list", *data) == []


def test_a_write_key_can_be_chosen(tmp_path: Path) -> None:
    added = asked("sources", "add", "web", "--write-key", "demo", "--data", str(tmp_path / "data"))
    assert added["writeKeys"] == ["demo"]


def test_the_data_directory_comes_from_the_environment_too_and_the_option_wins(tmp_path: Path) -> None:
    env = {"MILONGA_DATA": str(tmp_path / "one")}
    assert milonga("sources", "add", "web", env=env).returncode == 0
    assert milonga("sources", "add", "web", "--data", str(tmp_path / "two"), env=env).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("sources", "add", "web"), "There is a source called web already"),
        (("sources", "add", "a b"), "letters, digits"),
        (("sources", "add", "other", "--write-key", "a:b"), "no space and no colon"),
        (("sources", "remove", "api"), "There is no source called api"),
    ],
)
def test_what_is_refused_exits_1_and_says_why_on_stderr(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    data = ("--data", str(tmp_path / "data"))
    milonga("sources", "add", "web", *data)
    done = in_a_process(*words, *data)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("milonga: ")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words", [("sources",), ("sources", "add"), ("sources", "list", "--colour"), ("sources", "burn")]
)
def test_wrong_use_exits_2_and_makes_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = milonga(*words, env={"MILONGA_DATA": str(tmp_path / "data")})
    assert done.returncode == 2
    assert "Usage" in done.stderr + done.stdout
    assert list(tmp_path.iterdir()) == []


def test_listing_where_nothing_is_says_so_and_makes_nothing(tmp_path: Path) -> None:
    for noun in ("sources", "destinations"):
        done = milonga(noun, "list", "--json", "--data", str(tmp_path / "data"))
        assert (done.returncode, json.loads(done.stdout)) == (0, [])
        assert f"There is no workspace in {tmp_path}/data yet" in done.stderr
        assert "--data or MILONGA_DATA" in done.stderr
    done = milonga("sources", "remove", "web", "--data", str(tmp_path / "data"))
    assert done.returncode == 1
    assert "--data" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_source_with_destinations_is_kept_and_the_commands_that_free_it_are_given(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    milonga("sources", "add", "web", *data)
    assert milonga("destinations", "add", "webhook", "--source", "web", "--off", *data).returncode == 0
    done = milonga("sources", "remove", "web", *data)
    assert done.returncode == 1
    assert "milonga destinations remove webhook" in done.stderr
    assert milonga("destinations", "remove", "webhook", "--yes", *data).returncode == 0
    assert milonga("sources", "remove", "web", "--yes", *data).returncode == 0


# Settings


@pytest.fixture
def data(tmp_path: Path) -> tuple[str, str]:
    there = ("--data", str(tmp_path / "data"))
    assert milonga("sources", "add", "web", "--write-key", "web-key", *there).returncode == 0
    return there


def test_settings_are_shown_with_label_and_help_changed_and_put_back(data: tuple[str, str]) -> None:
    shown = milonga("sources", "show", "web", *data).stdout
    for field in fields_of(SourceSettings):
        assert f"\n{field.name}: " in shown
        assert f"  {field.label} ({field.kind}" in shown
        assert field.help.split(",")[0][:40] in shown
    done = milonga("sources", "set", "web", "rateLimit=50", "origins=https://a.example,https://b.example", *data)
    assert (done.returncode, done.stderr) == (0, "")
    assert "within 5 seconds" in done.stdout
    settings = asked("sources", "show", "web", *data)["settings"]
    assert settings["rateLimit"] == 50
    assert settings["origins"] == ["https://a.example", "https://b.example"]
    assert 'origins: ["https://a.example","https://b.example"]' in milonga("sources", "show", "web", *data).stdout
    again = milonga("sources", "set", "web", "rateLimit=50", *data)
    assert "Nothing to change" in again.stdout
    assert asked("sources", "set", "web", "--unset", "origins", *data)["settings"]["origins"] == []


def test_a_source_is_switched_off_and_on(data: tuple[str, str]) -> None:
    done = milonga("sources", "disable", "web", *data)
    assert "takes no events" in done.stdout
    assert asked("sources", "list", *data)[0]["settings"]["enabled"] is False
    assert "off" in milonga("sources", "list", *data).stdout.splitlines()[2]
    assert asked("sources", "enable", "web", *data)["settings"]["enabled"] is True


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("set", "web", "colour=red"), "A source has no setting called colour"),
        (("set", "web", "origins=https://a.example/path"), "without a path"),
        (("set", "api", "rateLimit=1"), "There is no source called api"),
        (("enable", "api"), "There is no source called api"),
        (("disable", "api"), "There is no source called api"),
        (("show", "api"), "There is no source called api. See `milonga sources list`.\n"),
        (("remove", "api"), "There is no source called api. See `milonga sources list`.\n"),
        (("keys", "add", "api"), "There is no source called api"),
        (("keys", "remove", "web", "web-key", "--yes"), "the only write key"),
        (("keys", "remove", "web", "other", "--yes"), "no such write key"),
        (("snippet", "web", "--write-key", "other"), "no such write key"),
        (("snippet", "web", "--host", "https://a.example/path"), "without a path"),
        (("snippet", "web", "--host", "javascript:alert(1)"), "is no address"),
        (("setup", "web", "--host", 'a.example"'), "is no address"),
    ],
)
def test_what_cannot_be_done_with_a_source_exits_1_and_says_why(
    data: tuple[str, str], words: tuple[str, ...], says: str
) -> None:
    done = milonga("sources", *words, *data)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("milonga: ")
    assert says in done.stderr


def test_setting_nothing_is_wrong_use(data: tuple[str, str]) -> None:
    assert milonga("sources", "set", "web", *data).returncode == 2
    assert milonga("sources", "set", "web", "rateLimit", *data).returncode == 2


def test_damaged_settings_are_told_wherever_the_source_is(data: tuple[str, str]) -> None:
    with apsw.Connection(f"{data[1]}/workspace.db") as db:
        db.execute("UPDATE source SET settings = '{'")
    db.close()
    for words in (("list",), ("show", "web")):
        done = milonga("sources", *words, "--json", *data)
        assert done.returncode == 0
        assert json.loads(done.stdout)
        assert "Source web: its stored settings are damaged" in done.stderr
    assert milonga("sources", "set", "web", "rateLimit=5", *data).returncode == 0
    assert milonga("sources", "show", "web", *data).stderr == ""


# Write keys


def test_write_keys_are_exchanged_with_an_overlap(data: tuple[str, str]) -> None:
    new = asked("sources", "keys", "add", "web", *data)["writeKey"]
    assert asked("sources", "show", "web", *data)["writeKeys"] == ["web-key", new]
    refused = in_a_process("sources", "keys", "remove", "web", "web-key", *data)
    assert refused.returncode == 1
    assert "--yes" in refused.stderr
    assert milonga("sources", "keys", "remove", "web", "web-key", "--yes", *data).returncode == 0
    assert asked("sources", "list", *data)[0]["writeKeys"] == [new]


# What is pasted


def test_the_snippet_is_segments_own_with_our_host(data: tuple[str, str]) -> None:
    done = milonga("sources", "snippet", "web", "--host", "https://events.example.com", *data)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("<script>\n")
    assert done.stdout.endswith("\n</script>\n")
    assert '"https://events.example.com/analytics.js/v1/" + key + "/analytics.min.js"' in done.stdout
    assert 'analytics.load("web-key")' in done.stdout
    assert 'SNIPPET_VERSION="5.2.0"' in done.stdout
    assert "__" not in done.stdout.replace("__t", "")
    assert "segment.com" not in done.stdout
    same = milonga("sources", "snippet", "web", "--host", "events.example.com/", *data)
    assert same.stdout == done.stdout


def test_without_tls_the_snippet_says_http_and_the_command_says_why(data: tuple[str, str]) -> None:
    done = milonga("sources", "snippet", "web", "--host", "http://10.0.0.5:8080", *data)
    assert '"http://10.0.0.5:8080/analytics.js/v1/"' in done.stdout
    assert "https" not in done.stdout
    assert "TLS" in done.stderr
    local = milonga("sources", "snippet", "web", *data)
    assert '"http://127.0.0.1:8080/analytics.js/v1/"' in local.stdout
    assert "--host https://" in local.stderr


def test_the_snippet_has_the_newest_write_key_unless_another_is_chosen(data: tuple[str, str]) -> None:
    milonga("sources", "keys", "add", "web", "--write-key", "new-key", *data)
    assert asked("sources", "snippet", "web", *data)["writeKey"] == "new-key"
    assert asked("sources", "snippet", "web", "--write-key", "web-key", *data)["writeKey"] == "web-key"


@pytest.mark.parametrize("key", ["</script>", '"+alert(1)+"', "a/b", "a?b", "a#b", "a%b", "a\\"])
def test_a_write_key_that_fits_into_no_address_is_pasted_nowhere(data: tuple[str, str], key: str) -> None:
    milonga("sources", "keys", "add", "web", "--write-key", key, *data)
    for words in (("snippet", "web"), ("snippet", "web", "--npm"), ("setup", "web")):
        done = milonga("sources", *words, *data)
        assert (done.returncode, done.stdout) == (1, "")
        assert "keys add" in done.stderr


def test_npm_users_get_the_same_as_code(data: tuple[str, str]) -> None:
    code = milonga("sources", "snippet", "web", "--npm", "--host", "https://events.example.com", *data).stdout
    assert '{ writeKey: "web-key", cdnURL: "https://events.example.com" }' in code
    assert '"Segment.io": { apiHost: "events.example.com/v1", protocol: "https" }' in code
    plain = milonga("sources", "snippet", "web", "--npm", *data).stdout
    assert '{ apiHost: "127.0.0.1:8080/v1", protocol: "http" }' in plain


def test_every_sdk_of_servers_and_phones_is_set_up_in_one_line(data: tuple[str, str]) -> None:
    told = asked("sources", "setup", "web", "--host", "https://events.example.com:8443", *data)
    assert len(told) > 10
    for one in told:
        assert "\n" not in one["text"]
        assert "web-key" in one["text"], one
        assert "events.example.com" in one["text"], one
        assert "8443" in one["text"], one
    done = milonga("sources", "setup", "web", *data)
    assert "Kotlin: analytics-kotlin (https only)" in done.stdout
    assert "speak https only. Serve it with `milonga serve --tls-cert" in done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("Every call but group needs context.groupId")
    compared = (ROOT / "docs/compatibility.md").read_text()
    assert setup.PLUGIN in compared
    for form in ('context: { groupId: "acme" }', 'context={"groupId": "acme"}'):
        assert form in last
        assert form in compared


# The docs


@pytest.mark.parametrize("page", ["README.md", "docs/browsers.md"])
def test_the_docs_show_what_the_commands_print(page: str) -> None:
    shown = (ROOT / page).read_text()
    at = setup.address_of("https://events.example.com")
    printed = setup.snippet("YOUR_WRITE_KEY", at) if page == "README.md" else setup.npm("YOUR_WRITE_KEY", at)
    assert f"\n{printed}\n" in shown


def test_the_docs_name_every_setting_of_a_source_with_its_default() -> None:
    section = (ROOT / "docs/browsers.md").read_text().split("\n## Settings of a source\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", section, re.MULTILINE)
    fields = fields_of(SourceSettings)
    assert [name for name, _ in rows] == [field.name for field in fields]
    for (_, default), field in zip(rows, fields, strict=True):
        assert default.startswith("none" if field.default == () else f"`{text(field.default)}`"), field.name


def test_the_docs_show_every_line_that_sdks_are_set_up_with_and_how_each_names_the_account() -> None:
    shown = (ROOT / "docs/compatibility.md").read_text().replace("\n", " ")
    for one in setup.sdks("KEY", setup.address_of("https://events.example.com")):
        assert one.kind != "server" or one.account in shown, one.sdk
        if one.kind != "other":
            told = re.sub(
                r", port: 443|analytics.write_key = \"KEY\"; |^createClient\((?=Conf)|^new Analytics\((?=new Conf)",
                "",
                one.text,
            )
            assert told.rstrip(")") in shown, one.sdk
