"""Sources: their settings and write keys, also after damage and across versions, and what browsers may know."""

import re
from pathlib import Path
from typing import Any

import apsw
import pytest
from structlog.testing import capture_logs

from milonga.collector.origins import allows
from milonga.destinations.contract import Destination
from milonga.workspace.errors import UserError
from milonga.workspace.fields import fields_of
from milonga.workspace.migrate import migrate, migrations
from milonga.workspace.model import BrowserDestination, DestinationState, Source, SourceSettings, is_write_key
from milonga.workspace.secrets import KeyProvider
from milonga.workspace.settings import UNSET
from milonga.workspace.store import Workspace
from tests.workspace.paper import PAPER, Clock, Settings, all_well, no_keys, open_paper, skip_all

ON, OFF, PAUSED = DestinationState.on, DestinationState.off, DestinationState.paused


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with open_paper(tmp_path / "data") as workspace:
        workspace.sources.add("web", "web-key")
    return tmp_path / "data"


def stored(data: Path, sql: str, *values: str) -> Any:
    with apsw.Connection(str(data / "workspace.db")) as db:
        found = db.execute(sql, values).get
    db.close()
    return found


def set_stored(data: Path, text: str) -> None:
    stored(data, "UPDATE source SET settings = ?", text)


# Settings


def test_a_new_source_has_the_defaults_and_every_setting_has_a_label_and_help(data: Path) -> None:
    with open_paper(data) as workspace:
        assert workspace.sources.named("web").settings == SourceSettings()
    for field in fields_of(SourceSettings):
        assert field.label != field.name, field.name
        assert len(field.help) > 40, field.name


def test_settings_are_read_as_typed_kept_and_in_force_for_everybody(data: Path) -> None:
    with open_paper(data) as workspace, open_paper(data) as other:
        token = other.token()
        changes = {"enabled": "no", "origins": "https://a.example, https://b.example:8443", "rateLimit": "50"}
        after = workspace.sources.set_settings("web", changes | {"ip": "never"})
        wanted = SourceSettings(
            enabled=False, origins=("https://a.example", "https://b.example:8443"), rate_limit=50, ip="never"
        )
        assert after.settings == wanted
        assert other.changed_since(token)
        assert other.sources.named("web").settings == wanted
        again = workspace.sources.set_settings("web", {"origins": UNSET, "enabled": True, "new_accounts_cap": 7})
        assert again.settings == SourceSettings(rate_limit=50, ip="never", new_accounts_cap=7)


def test_only_what_was_chosen_is_stored_so_that_better_defaults_come_through(data: Path) -> None:
    with open_paper(data) as workspace:
        workspace.sources.set_settings("web", {"rateLimit": 5, "newAccountsAlarm": 100})
    assert stored(data, "SELECT settings FROM source") == '{"rateLimit":5}'


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("https://WWW.Example.com/", ("https://www.example.com",)),
        ("https://*.example.com,http://localhost:3000", ("https://*.example.com", "http://localhost:3000")),
        ("capacitor://localhost, null", ("capacitor://localhost", "null")),
        ('["https://a.example"]', ("https://a.example",)),
        ("http://[::1]:8080", ("http://[::1]:8080",)),
        ("", ()),
        (" , ", ()),
        ("*", ()),
        (" * ,", ()),
    ],
)
def test_origins_are_kept_as_browsers_write_them(data: Path, typed: str, kept: tuple[str, ...]) -> None:
    with open_paper(data) as workspace:
        assert workspace.sources.set_settings("web", {"origins": typed}).settings.origins == kept


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"origins": "https://a.example/shop"},
            r"Source web: .*https://a\.example/shop.* is no origin.*without a path",
        ),
        ({"origins": "https://a b"}, "is no origin"),
        ({"origins": "https://"}, "is no origin"),
        (
            {"origins": "app.example.com"},
            r"'app\.example\.com' is no origin\. Write it like https://app\.example\.com,",
        ),
        ({"origins": "https://a.example, localhost:3000"}, "'localhost:3000' is no origin"),
        ({"origins": "https://a.example, *"}, r"'\*' is no origin.*a lone \* for any"),
        ({"origins": "*.example.com"}, "is no origin"),
        ({"origins": '["https://a.example", 5]'}, "must be texts, separated by commas"),
        ({"rateLimit": "-1"}, r"rateLimit \(Rate limit\) must be a whole number of at least 0, not '-1'"),
        ({"rateLimit": "many"}, r"rateLimit \(Rate limit\) must be a whole number, not 'many'"),
        ({"ip": "sometimes"}, "must be one of always, auto, never"),
        ({"enabled": "perhaps"}, "must be true or false"),
        ({"rate": "5"}, r"A source has no setting called rate\. Did you mean rateLimit\?"),
    ],
)
def test_what_cannot_be_set_is_refused_in_words_and_changes_nothing(
    data: Path, changes: dict[str, object], says: str
) -> None:
    with open_paper(data) as workspace:
        with pytest.raises(UserError, match=says):
            workspace.sources.set_settings("web", changes)
        assert workspace.sources.named("web").settings == SourceSettings()
        with pytest.raises(UserError, match="There is no source called other"):
            workspace.sources.set_settings("other", {"rateLimit": 1})


@pytest.mark.parametrize("text", ["", "{", "[]", "5", "null", '"on"', "\x00", '{"rateLimit":', '{"a":1}}'])
def test_damaged_settings_are_the_defaults_with_a_warning_and_can_be_set_anew(data: Path, text: str) -> None:
    set_stored(data, text)
    with open_paper(data) as workspace:
        source = workspace.sources.named("web")
        assert source.settings == SourceSettings()
        assert re.search("^Source web: .*damaged", source.trouble)
        mended = workspace.sources.set_settings("web", {"rateLimit": 5})
        assert (mended.settings.rate_limit, mended.trouble) == (5, "")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ('"rateLimit":-5', "rateLimit"),
        ('"rateLimit":"5"', "rateLimit"),
        ('"ip":7,"rateLimit":null', "ip, rateLimit"),
        ('"enabled":null', "enabled"),
    ],
)
def test_of_damaged_settings_those_that_can_be_used_are(data: Path, wrong: str, named: str) -> None:
    set_stored(data, f'{{"newAccountsCap":9,{wrong}}}')
    with open_paper(data) as workspace:
        source = workspace.sources.named("web")
        assert source.settings == SourceSettings(new_accounts_cap=9)
        assert f"what is stored for {named} is no possible value" in source.trouble


@pytest.mark.parametrize(
    "text",
    [
        '{"rateLimit":5,"origins":["https://a.example","no origin"]}',
        '{"rateLimit":5,"origins":"https://a.example"}',
        '{"rateLimit":5,"origins":null}',
        '{"origins":["https://a.example"',
    ],
)
def test_allowed_origins_that_cannot_be_read_allow_none_until_they_are_said_anew(data: Path, text: str) -> None:
    set_stored(data, text)
    with open_paper(data) as workspace:
        source = workspace.sources.named("web")
        assert not any(allows(source.settings.origins, one) for one in ("https://a.example", "http://x", "null", ""))
        assert source.trouble.endswith("Which web sites may send is not known any more, so none may.")
        with pytest.raises(UserError, match="Say it as well, by origins="):
            workspace.sources.set_settings("web", {"rateLimit": 6})
        mended = workspace.sources.set_settings("web", {"origins": "https://a.example"})
        assert (mended.settings.origins, mended.trouble) == (("https://a.example",), "")
    set_stored(data, text)
    with open_paper(data) as workspace:
        assert workspace.sources.set_settings("web", {"origins": UNSET}).settings.origins == ()


def test_settings_of_another_version_are_passed_by(data: Path) -> None:
    set_stored(data, '{"tomorrow":{"a":[1]},"rateLimit":5}')
    with open_paper(data) as workspace:
        source = workspace.sources.named("web")
        assert (source.settings, source.trouble) == (SourceSettings(rate_limit=5), "")


# Write keys


def test_a_key_is_exchanged_with_an_overlap(data: Path) -> None:
    with open_paper(data) as workspace:
        key = workspace.write_keys.add("web")
        assert is_write_key(key)
        assert len(key) == 32
        assert workspace.sources.named("web").write_keys == ("web-key", key)
        assert workspace.sources.of_key("web-key") == workspace.sources.of_key(key) == workspace.sources.named("web")
        workspace.write_keys.remove("web", "web-key")
        assert workspace.sources.named("web").write_keys == (key,)
        assert workspace.sources.of_key("web-key") is None
        assert workspace.sources.of_key(key) is not None


def test_keys_that_cannot_be_added_or_removed_are_refused(data: Path) -> None:
    with open_paper(data) as workspace:
        workspace.sources.add("api", "api-key")
        for key, says in {
            "web-key": "belongs to this source already",
            "api-key": "belongs to another source",
            "a b": "no space and no colon",
            "": "1 to 100 characters",
        }.items():
            with pytest.raises(UserError, match=says):
                workspace.write_keys.add("web", key)
        with pytest.raises(UserError, match=r"only write key.*keys add web.*disable web"):
            workspace.write_keys.remove("web", "web-key")
        with pytest.raises(UserError, match="no such write key"):
            workspace.write_keys.remove("web", "api-key")
        for _ in range(19):
            workspace.write_keys.add("web")
        with pytest.raises(UserError, match="has 20 write keys"):
            workspace.write_keys.add("web")
        assert len(workspace.sources.named("web").write_keys) == 20


# What browsers may know


def says(settings: Settings) -> dict[str, object] | None:
    if settings.note == "fail":
        raise KeyError(settings.note)
    return None if not settings.post_to else {"name": "Paper", "colour": settings.colour, "token": bool(settings.token)}


def with_browsers(data: Path, **env: str) -> Workspace:
    """A workspace whose paper says something to browsers, and one that does not."""
    talking = Destination(
        kind="paper",
        label="Paper",
        summary=PAPER.summary,
        settings=Settings,
        keys=no_keys,
        translate=skip_all,
        judge=all_well,
        browser=says,
    )
    return Workspace.open(data, KeyProvider(data, env), {"paper": talking, "mute": PAPER}, Clock())


def test_browsers_learn_of_what_takes_events_and_what_its_kind_says(data: Path) -> None:
    url = {"postTo": "https://paper.example/"}
    with with_browsers(data) as workspace:
        web = workspace.sources.named("web").id
        workspace.add_destination("paper", "web", "one", url, ON, {})
        workspace.add_destination("paper", "web", "two", url, OFF, {})
        workspace.add_destination("paper", "web", "unset", {}, ON, {})
        workspace.add_destination("mute", "web", "mute", {}, ON, {})
        told = {"name": "Paper", "colour": False, "token": False}
        nothing = BrowserDestination(source=web, label="Paper", says=None)
        assert workspace.browser_destinations() == (
            BrowserDestination(source=web, label="Paper", says=told),
            nothing,
            nothing,
        )
        workspace.change_state("one", PAUSED, "cli", "", {})
        workspace.set_settings("one", {"colour": True, "consentCategories": "ads, product"})
        assert [one.categories for one in workspace.browser_destinations()] == [("ads", "product"), (), ()]
        assert workspace.browser_destinations()[0].says == told | {"colour": True, "paused": True}
        workspace.remove_destination("one", {})
        assert workspace.browser_destinations() == (nothing, nothing)


def test_browsers_are_told_without_unsealing_a_secret(data: Path) -> None:
    with with_browsers(data) as workspace:
        settings = {"postTo": "https://paper.example/", "token": "hush"}
        workspace.add_destination("paper", "web", "one", settings, ON, {})
    (data.parent / "data.key").unlink()
    with with_browsers(data) as workspace:
        (told,) = workspace.browser_destinations()
        assert told.says == {"name": "Paper", "colour": False, "token": True}
        assert "hush" not in repr(told)


@pytest.mark.parametrize("plain", ['{"copies":"many"}', "{", "5", '{"size":"A5","copies":9}'])
def test_a_destination_whose_settings_are_broken_is_left_out_and_the_others_are_told(data: Path, plain: str) -> None:
    with with_browsers(data) as workspace:
        workspace.add_destination("paper", "web", "broken", {}, ON, {})
        workspace.add_destination("paper", "web", "whole", {"postTo": "https://paper.example/"}, ON, {})
        workspace.add_destination("mute", "web", "unknown", {}, ON, {})
    stored(data, "UPDATE settings SET plain = ? WHERE destination = 1", plain)
    stored(data, "UPDATE destination SET kind = 'gone' WHERE id = 3")
    with with_browsers(data) as workspace:
        (told,) = workspace.browser_destinations()
        assert told.says is not None


def test_a_kind_that_fails_to_say_something_is_left_out_and_logged(data: Path) -> None:
    with with_browsers(data) as workspace, capture_logs() as logs:
        workspace.add_destination("paper", "web", "failing", {"note": "fail"}, ON, {})
        workspace.add_destination("mute", "web", "whole", {}, ON, {})
        assert len(workspace.browser_destinations()) == 1
    assert [(line["kind"], line["error"]) for line in logs] == [("paper", "KeyError")]


def test_a_workspace_from_before_source_settings_has_the_defaults(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    db = apsw.Connection(str(data / "workspace.db"))
    migrate(db, migrations()[:2])
    db.execute("INSERT INTO source VALUES (3, 'web', 1700000000000, NULL)")
    db.execute("INSERT INTO write_key VALUES (1, 'web-key', 3)")
    db.close()
    with open_paper(data) as workspace:
        assert workspace.sources.all() == (
            Source(id=3, name="web", write_keys=("web-key",), created_at=1_700_000_000_000),
        )
        assert workspace.sources.set_settings("web", {"rateLimit": 5}).settings.rate_limit == 5
