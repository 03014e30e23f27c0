"""What a person is told of an account that may be silent."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from milonga.delivery.rows import Parked, Progress
from milonga.delivery.store import DeliveryStore
from milonga.eventlog.api import Position, Stored
from milonga.facts.accounts import End, Finding, finding_row, findings, standing_row, standings
from milonga.facts.facts import Facts, open_facts
from milonga.facts.filed import Found, Under
from milonga.facts.summary import Ended
from milonga.index.accounts import Account, Usage
from milonga.index.news import DAY, HOUR
from milonga.outcomes.model import Outcome, State
from milonga.outcomes.words import instant
from milonga.outcomes.writer import OutcomeWriter
from milonga.spec.stored import Stamped
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace
from tests.events import stamp_of

NOW = 1_800_000_000_000
FRESH = Account(id="acme", name="Acme", first_at=NOW - DAY, last_at=NOW, last_offset=9, named_at=NOW, events=9)
NOTHING = Found([], None, None)


@pytest.fixture
def facts(tmp_path: Path) -> Iterator[Facts]:
    """Of a workspace with a Totango that is on, one that is paused, and one that is off."""
    with Workspace.open(tmp_path) as workspace:
        workspace.sources.add("web")
        for state in DestinationState:
            workspace.add_destination(
                "totango", "web", state.value, {"serviceId": "SP-1-1"}, DestinationState.on, {0: 0}
            )
            if state is not DestinationState.on:
                workspace.change_state(state.value, state, "cli", "", {0: 0})
    with open_facts(tmp_path) as found:
        yield found


def outcome(destination: int, offset: int, ended_at: int) -> Outcome:
    return Outcome(
        destination=destination,
        position=Position(0, offset),
        state=State.delivered,
        received_at=NOW,
        ended_at=ended_at,
        settings_version=1,
    )


def told(facts: Facts, account: Account, ends: list[Ended], at: str = "on") -> list[Finding]:
    """Of an account whose newest events ended so at one destination."""
    place = next(one for one in facts.places if one.config.name == at)
    events = [Stored(Position(0, n), Stamped(stamp_of(received_at=NOW - n), b"{}")) for n in range(1, len(ends) + 1)]
    of_each = {event.position: [(place, end)] for event, end in zip(events, ends, strict=True)}
    return findings(facts, account, Found(events, None, None), standings(facts, events, of_each), [], NOW)


def test_nothing_is_said_where_all_is_well(facts: Facts) -> None:
    assert told(facts, FRESH, [("delivered", "")] * 9) == []


def test_silence_is_told_and_after_a_day_warned_of(facts: Facts) -> None:
    old = Account(id="acme", name="", first_at=0, last_at=NOW - 3 * HOUR, last_offset=1, named_at=NOW, events=1)
    assert [(one.title, one.tone) for one in told(facts, old, [])] == [("Nothing has arrived for 3 hours", "")]
    older = Account(id="acme", name="", first_at=0, last_at=NOW - 3 * DAY, last_offset=1, named_at=NOW, events=1)
    assert [(one.title, one.tone) for one in told(facts, older, [])] == [("Nothing has arrived for 3 days", "warn")]


def test_an_account_that_no_group_call_named(facts: Facts) -> None:
    unnamed = Account(id="acme", name="", first_at=0, last_at=NOW, last_offset=1, named_at=None, events=1)
    assert [one.title for one in told(facts, unnamed, [])] == ["No group call has named it"]
    long_ago = Account(id="acme", name="", first_at=0, last_at=NOW, last_offset=1, named_at=NOW - 9 * DAY, events=1)
    assert [one.title for one in told(facts, long_ago, [])] == ["Its last group call was 9 days ago"]


def test_users_whose_events_no_longer_name_it_are_told_and_led_to(facts: Facts) -> None:
    users = [Usage(name, 1, NOW, NOW) for name in ("ada", "ben", "eve", "zoe")]
    of_four, of_one = replace(FRESH, newest_users=users), replace(FRESH, newest_users=users[:1])
    (found,) = findings(facts, of_four, NOTHING, [], ["ada", "eve"], NOW)
    assert found.title == "The newest event of 2 of the 3 users heard of last names no account"
    assert finding_row(found, "acme")["page"] == "/events?user=ada"
    assert [one.title for one in findings(facts, of_one, NOTHING, [], ["ada"], NOW)] == [
        "The newest event of its user names no account"
    ]


def test_what_replays_filed_under_it_is_told_and_leads_to_the_newest_of_them(facts: Facts) -> None:
    events = [Stored(Position(0, n), Stamped(stamp_of(), b"{}")) for n in (9, 8, 7)]
    on = facts.places[0]
    newest = Found(events, None, None, 3, {Position(0, 8): [Under(on, 4)], Position(0, 7): [Under(on, 5)]})
    (found,) = findings(facts, FRESH, newest, [], [], NOW)
    assert found.title == "2 of its newest 3 events were filed under it by a replay"
    assert (found.tone, finding_row(found, "acme")["page"]) == ("", "/replays/5")


def test_a_destination_that_skips_all_of_it_with_the_reason(facts: Facts) -> None:
    found = told(facts, FRESH, [("skipped", "missing_user_id")] * 3 + [("never", "")])
    assert [(one.title, one.tone, one.destination) for one in found] == [
        ("on gets nothing of this account", "bad", "on")
    ]
    assert found[0].words == "The event names no known user (missing_user_id). This is the reason for 3 events."
    assert told(facts, FRESH, [("skipped", "missing_user_id")] * 3 + [("delivered", "")]) == []


def test_what_was_refused_comes_first_and_leads_to_the_dead_letters(facts: Facts) -> None:
    unnamed = Account(id="acme", name="", first_at=0, last_at=NOW, last_offset=1, named_at=None, events=1)
    found = told(facts, unnamed, [("dead", "http_400"), ("delivered", "")])
    assert [(one.title, one.letters) for one in found] == [
        ("1 event did not reach on", True),
        ("No group call has named it", False),
    ]


@pytest.mark.parametrize(
    ("by", "reason", "tone", "whose", "fix"),
    [
        (
            "settings",
            "Totango answered 403 Forbidden. Check the settings that identify you there",
            "bad",
            "Milonga",
            "Mend it with `milonga destinations set on ...`: it goes on.",
        ),
        ("user:ada", "contract under review", "warn", "ada", "`milonga destinations resume on` lets it go on."),
    ],
)
def test_a_pause_comes_first_and_says_why_whose_it_is_and_what_lets_it_go_on(
    by: str, reason: str, tone: str, whose: str, fix: str, tmp_path: Path, facts: Facts
) -> None:
    with Workspace.open(tmp_path) as workspace:
        workspace.change_state("on", DestinationState.paused, by, reason, {0: 9})
    with open_facts(tmp_path) as now:
        place = next(one for one in now.places if one.config.name == "on")
        first, second = told(now, FRESH, [("retrying", "http_403"), ("waiting", ""), ("dead", "http_400")])
        events = [Stored(Position(0, 1), Stamped(stamp_of(), b"{}"))]
        (at,) = standings(now, events, {Position(0, 1): [(place, ("retrying", "http_403"))]})
    assert (first.title, first.tone) == ("on is paused", tone)
    assert first.words == (
        f"{reason}. Paused by {whose} since {instant(place.config.changes[-1].at)}. 2 events of this account wait; "
        f"nothing is lost: what waits is kept for 7 days. {fix}"
    )
    assert second.title == "1 event did not reach on"
    words = "The destination did not take it, and is paused now: it waits."
    assert at.ends == [End("waiting", "http_403", 1, words)]


@pytest.mark.parametrize(("at", "title"), [("paused", "paused is paused"), ("off", "off is off")])
def test_a_destination_that_does_not_send(facts: Facts, at: str, title: str) -> None:
    assert [one.title for one in told(facts, FRESH, [("waiting", "")], at)] == [title]


def test_what_fails_is_told_with_the_reason_and_the_next_try_and_leads_to_its_parked_key(
    tmp_path: Path, facts: Facts
) -> None:
    number = next(one.config.id for one in facts.places if one.config.name == "on")
    ends: list[Ended] = [("waiting", ""), ("retrying", "http_503")]
    store = DeliveryStore(tmp_path / "delivery.db")
    failed = Progress(attempts=3, code="http_503", reason="Totango answered 503", next_at=NOW + HOUR)
    store.set_progress(number, Position(0, 2), failed)
    with open_facts(tmp_path) as now:
        (found,) = told(now, FRESH, ends)
    assert found.title == "on does not take all of it just now"
    due = f"The next try is due {instant(NOW + HOUR)}."
    assert found.words == f"Totango answered 503. 2 events of this account wait or are tried again. {due}"
    assert finding_row(found, "acme")["page"] == "/destinations/on"
    keys = (("acme", "ada"),)
    parked = Parked(position=Position(0, 2), parked_at=NOW, received_at=NOW, keys=keys, resent=False, event=None)
    with store.transaction():
        store.park(number, parked)
    with open_facts(tmp_path) as now:
        (found,) = told(now, FRESH, ends)
        (of_newer,) = told(now, FRESH, [("waiting", "")])
    store.close()
    assert due in found.words
    assert finding_row(found, "acme")["page"] == "/problems/parked?destination=on&account=acme"
    assert of_newer.words.startswith("Totango answered 503. 1 event of this account waits or is tried again.")


def test_outcomes_are_counted_and_the_newest_delivered_one_is_known(facts: Facts) -> None:
    place = next(one for one in facts.places if one.config.name == "on")
    ends: list[Ended] = [("waiting", ""), ("delivered", ""), ("skipped", "disabled"), ("delivered", "")]
    events = [Stored(Position(0, n), Stamped(stamp_of(), b"{}")) for n in range(9, 9 - len(ends), -1)]
    (one,) = standings(facts, events, {event.position: [(place, end)] for event, end in zip(events, ends, strict=True)})
    assert [(end.state, end.events) for end in one.ends] == [("delivered", 2), ("waiting", 1), ("skipped", 1)]
    assert one.delivered is events[1]
    assert one.delivered_at is None, "nothing is kept of when"


def test_last_delivered_is_when_it_was_delivered_not_when_it_arrived(facts: Facts) -> None:
    """Two wait out an outage of an hour; the older one goes out last, for it was refused and resent."""
    on, off = facts.places[0], facts.places[1]
    writer = OutcomeWriter(facts.data / "outcomes", lambda: NOW / 1000)
    writer.write([outcome(on.config.id, at, ended) for at, ended in ((8, NOW + HOUR + 9), (9, NOW + HOUR + 4))])
    writer.write([outcome(off.config.id, 9, NOW + 2 * HOUR)])  # as nobody's: at this place it is not of the account
    writer.close()
    events = [Stored(Position(0, n), Stamped(stamp_of(received_at=NOW), b"{}")) for n in (9, 8)]
    (one,) = standings(facts, events, {event.position: [(on, ("delivered", ""))] for event in events})
    assert (one.delivered, one.delivered_at) == (events[0], NOW + HOUR + 9)
    row = standing_row(one)
    assert (row["lastDeliveredAt"], row["newestDelivered"]["offset"]) == (instant(NOW + HOUR + 9), 9)
