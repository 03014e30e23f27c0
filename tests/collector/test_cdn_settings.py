"""The settings document: always valid, for browsers and for phones, and of its source alone."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from milonga.collector.cdn import Cdn
from milonga.workspace.model import BrowserDestination, Source, SourceSettings
from tests.collector.cdn_parts import OFF, WEB, World, ask, build, header, settings, told

TOTANGO = {"name": "Totango", "heartbeat": True, "mode": "cloud"}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def cdn(world: World, tmp_path: Path) -> Cdn:
    return world.cdn(build(tmp_path / "assets"))


def segment(cdn: Cdn, key: str, **how: Any) -> dict[str, Any]:
    integrations = told(cdn, settings(key), **how)["integrations"]
    assert integrations.keys() == {"Segment.io"}  # any further one costs a browser a chunk
    found = integrations["Segment.io"]
    assert isinstance(found, dict)
    return found


def plugin(cdn: Cdn, key: str, **how: Any) -> dict[str, Any]:
    (found,) = told(cdn, settings(key), **how)["remotePlugins"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    "path", ["/v1/projects/web-key/settings", "/projects/web-key/settings", "/v1/projects/web-key/settings/"]
)
def test_it_is_there_under_the_paths_of_browsers_and_phones(cdn: Cdn, path: str) -> None:
    answer = cdn.answer(ask(path))
    assert (answer.status, header(answer, "content-type")) == (200, "application/json")
    assert header(answer, "access-control-allow-origin") is None  # the front end adds it; twice is as good as never
    assert header(answer, "x-content-type-options") == "nosniff"


def test_events_come_back_to_the_host_that_was_asked_and_by_the_same_scheme(cdn: Cdn) -> None:
    over_tls = segment(cdn, "web-key")
    assert (over_tls["apiKey"], over_tls["apiHost"]) == ("web-key", "events.example.com/v1")
    assert "protocol" not in over_tls
    plain = segment(cdn, "web-key", host="127.0.0.1:8080", secure=False)
    assert (plain["apiHost"], plain["protocol"]) == ("127.0.0.1:8080/v1", "http")
    assert plugin(cdn, "web-key", host="[::1]:8080", secure=False)["url"].startswith(
        "http://[::1]:8080/analytics-next/"
    )


def test_nothing_is_measured_for_somebody_else(cdn: Cdn) -> None:
    assert told(cdn, settings("web-key"))["metrics"] == {"sampleRate": 0}


def test_our_plugin_goes_by_the_name_of_segments_own_and_learns_what_destinations_say(cdn: Cdn) -> None:
    ours = plugin(cdn, "web-key-2")
    assert (ours["name"], ours["creationName"], ours["libraryName"]) == ("Segment.io", "Milonga", "milongaPlugin")
    assert ours["settings"] == {"destinations": [TOTANGO]}
    assert segment(cdn, "web-key-2")["unbundledIntegrations"] == ["Totango", "Webhook"]


def test_where_a_page_sends_to_a_destination_itself_our_plugin_marks_the_events_and_not_the_sdk(
    world: World, cdn: Cdn
) -> None:
    def says(**more: object) -> None:
        world.destinations = (BrowserDestination(source=1, label="Totango", says={"name": "Totango", **more}),)

    says(mode="cloud")
    assert "addBundledMetadata" not in segment(cdn, "web-key")
    says(mode="device")
    assert segment(cdn, "web-key")["addBundledMetadata"] is False
    says(mode="device", paused=True)
    assert "addBundledMetadata" not in segment(cdn, "web-key")


def test_consent_tools_learn_which_categories_there_are(world: World, cdn: Cdn) -> None:
    assert "consentSettings" not in told(cdn, settings("web-key"))
    needs = structs.replace(world.destinations[0], categories=("ads", "analytics"))
    world.destinations = (needs,)
    both = {"allCategories": ["ads", "analytics"], "hasUnmappedDestinations": False}
    assert told(cdn, settings("web-key"))["consentSettings"] == both
    world.destinations = (needs, structs.replace(needs, categories=()))
    assert told(cdn, settings("web-key"))["consentSettings"] == {**both, "hasUnmappedDestinations": True}


@pytest.mark.parametrize("key", ["off-key", "nobodys-key"])
def test_of_a_source_that_is_off_or_unknown_it_is_valid_and_names_no_destination(cdn: Cdn, key: str) -> None:
    assert (segment(cdn, key)["apiKey"], segment(cdn, key)["unbundledIntegrations"]) == (key, [])
    assert plugin(cdn, key)["settings"] == {"destinations": []}


def test_a_change_in_the_workspace_is_in_the_next_answer(world: World, cdn: Cdn) -> None:
    before = cdn.answer(ask(settings("web-key")))
    world.destinations = [structs.replace(one, says={"name": "Totango"}) for one in world.destinations if one.says]
    after = cdn.answer(ask(settings("web-key"), has=str(header(before, "etag"))))
    assert after.status == 200
    assert plugin(cdn, "web-key")["settings"] == {"destinations": [{"name": "Totango"}]}

    world.sources = (WEB, structs.replace(OFF, settings=SourceSettings()))
    assert plugin(cdn, "off-key")["settings"] == {"destinations": [{"name": "Totango"}]}
    world.sources = (Source(id=1, name="web", write_keys=("new-key",), created_at=0),)
    assert plugin(cdn, "web-key")["settings"] == {"destinations": []}
    assert plugin(cdn, "new-key")["settings"] == {"destinations": [{"name": "Totango"}]}


def test_phones_can_decode_it(cdn: Cdn) -> None:
    found = told(cdn, settings("web-key"))
    # Kotlin's SDK fails as a whole if one of these is there and is no object; Flutter's wants integrations.
    objects = ("integrations", "plan", "edgeFunction", "middlewareSettings", "metrics", "consentSettings")
    for name in (*objects, "autoInstrumentation"):
        assert isinstance(found.get(name, {}), dict), name
    assert "middlewareSettings" not in found  # whose rules Flutter's decodes strictly


@pytest.mark.parametrize("agent", ["Dalvik/2.1.0 (Linux; U; Android 14)", "analytics-ios/1.9.4", "okhttp/4.12", ""])
def test_phones_try_again_within_bounds_which_their_sdks_keep(cdn: Cdn, agent: str) -> None:
    config = segment(cdn, "web-key", agent=agent)["httpConfig"]
    rates, backoff = config["rateLimitConfig"], config["backoffConfig"]
    assert rates["enabled"] is backoff["enabled"] is True  # missing, it is false for Swift's
    assert 1 <= rates["maxRetryInterval"] <= 3600
    assert 1 <= backoff["maxBackoffInterval"] <= 3600
    assert 0 < backoff["jitterPercent"] <= 50  # Swift's crashes at 0
    assert 86_400 < backoff["maxTotalBackoffDuration"] <= 7 * 86_400
    assert {type(rates[name]) for name in rates} == {bool, int}
    assert backoff["default4xxBehavior"] == "drop"
    assert backoff["default5xxBehavior"] == "retry"
    assert {code for code, what in backoff["statusCodeOverrides"].items() if what == "retry"} >= {"408", "429"}


def test_browsers_try_again_as_often_as_their_timers_can_bear(cdn: Cdn) -> None:
    """The library waits 0.5 to 1 second, doubled at each try; a timer of 2**31 milliseconds goes off at once."""
    tries = segment(cdn, "web-key")["httpConfig"]["backoffConfig"]["maxRetryCount"]
    assert tries > 10
    assert 1000 * 2**tries < 2**31
    assert header(cdn.answer(ask(settings("web-key"))), "vary") == "Accept-Encoding, User-Agent"
