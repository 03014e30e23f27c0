"""What a replay leaves out, lest it overwrites what a newer event has set."""

from collections.abc import Callable
from typing import Any

import pytest

from milonga.delivery.newest import Newest
from milonga.delivery.replay_rules import TOO_LATE, counts, has_set, requests_of
from milonga.delivery.superseding import SUPERSEDED
from milonga.delivery.switching import Fate
from milonga.destinations import webhook
from milonga.destinations.contract import Form, Key, Skip
from milonga.destinations.integrations import replayed
from milonga.destinations.totango import destination as totango
from milonga.destinations.totango.settings import Settings
from milonga.outcomes.model import State
from milonga.spec.event import Event
from milonga.spec.read import read_stamped
from tests.cli.filled import outcome
from tests.delivery import paper

NOW = 10_000_000
CONFIG = paper.config(settings=Settings(service_id="SP-1", default_plan=""))


def event(type_: Any = "group", **said: Any) -> Event:
    return read_stamped(paper.event(1, type_=type_, received_at=1_000_000, **said))


def newer(*names: str) -> Callable[[Key], bool]:
    return lambda what: what[-1] in names


def sent(event: Event, *names: str) -> Any:
    """Part -> attributes; or the skip's code."""
    requests, _ = requests_of(CONFIG, totango, event, NOW, newer(*names))
    if isinstance(requests, Skip):
        return requests.code
    found = {}
    for request in requests:
        assert isinstance(request.body, Form)
        found[request.part] = [name for name in request.body.params if name.startswith(("sdr_o.", "sdr_u."))]
    return found


def test_of_a_group_call_what_newer_ones_have_set_is_left_out_name_by_name() -> None:
    group = event(traits={"plan": "paid", "seats": 5})
    assert sent(group) == {"account": ["sdr_o.Status", "sdr_o.seats"]}
    assert sent(group, "sdr_o.Status") == {"account": ["sdr_o.seats"]}
    assert sent(group, "sdr_o.Status", "sdr_o.seats") == SUPERSEDED.code


def test_a_request_that_sets_nothing_is_sent_whatever_is_newer() -> None:
    assert sent(event(traits={}), "sdr_o.Status") == {"account": []}
    assert sent(event("track"), "sdr_o.Status", "sdr_u.name") == {"activity": []}


def test_of_an_identify_call_the_users_attributes_are_asked_for() -> None:
    identify = event("identify", traits={"title": "CTO", "seats": 1})
    assert sent(identify, "sdr_u.title") == {"user": ["sdr_u.seats"]}
    _, out = requests_of(CONFIG, totango, identify, NOW, newer("sdr_u.title"))
    assert out == {("user", "acme", "ada", "sdr_u.title")}


def test_one_part_may_go_while_another_stays() -> None:
    group = event(traits={"a": 1}, integrations={"Totango": {"product": {"id": "P", "b": 2}}})
    assert list(sent(group, "sdr_o.a")) == ["product"]


def test_two_accounts_do_not_overwrite_each_other() -> None:
    group = event(traits={"a": 1})
    found = has_set(CONFIG, totango, group, [])
    assert found == {("account", "acme", "sdr_o.a")}


def test_a_destination_that_overwrites_nothing_gets_all() -> None:
    config = paper.config(settings=webhook.destination.settings(url="https://x.example/"))
    requests, out = requests_of(config, webhook.destination, event(traits={"a": 1}), NOW, lambda _: True)
    assert not isinstance(requests, Skip)
    assert not out


def test_a_heartbeat_of_the_past_is_not_sent() -> None:
    heartbeat = read_stamped(paper.event(1, event="__heartbeat", received_at=1_000_000))
    assert requests_of(CONFIG, totango, heartbeat, NOW, newer())[0] is TOO_LATE


def test_a_translation_that_fails_is_a_skip_of_its_own() -> None:
    requests, _ = requests_of(paper.config(), paper.DESTINATION, event("track", fail=True), NOW, newer())
    assert isinstance(requests, Skip)
    assert requests.code == "unreadable"
    assert has_set(paper.config(), paper.DESTINATION, event("track", fail=True), []) == set()


def test_a_replayed_event_is_meant_for_its_destination_alone_and_keeps_what_it_said_to_it() -> None:
    said = {"integrations": {"All": True, "Mixpanel": True, "Totango": {"product": {"id": "P"}}}}
    assert replayed(event(**said), "Totango").integrations == {"All": False, "Totango": {"product": {"id": "P"}}}
    others: tuple[Any, ...] = (False, True, None, {})
    for own in others:
        excluded = event(integrations={"Totango": own})
        assert replayed(excluded, "Totango").integrations == {"All": False, "Totango": True}


@pytest.mark.parametrize(
    ("outcomes", "fate", "so"),
    [
        ([State.delivered], Fate.deliver, True),
        ([State.dead, State.delivered], Fate.never, True),
        ([State.dead], Fate.deliver, False),
        ([State.skipped], Fate.deliver, False),
        ([], Fate.deliver, True),
        ([], Fate.switched_off, False),
        ([], Fate.never, False),
    ],
)
def test_what_was_delivered_or_may_still_be_counts_as_newer(outcomes: list[State], fate: Fate, so: bool) -> None:
    assert counts([outcome(1, state) for state in outcomes], fate) is so


def test_the_index_knows_the_newest_event_of_each_thing() -> None:
    newest = Newest()
    newest.note([("a", "b"), ("a", "c")], 5)
    newest.note([("a", "b")], 3)
    newest.note([("a", "\ud83d")], 9)
    assert [newest.of(("a", "b")), newest.of(("a", "c")), newest.of(("ab",)), newest.of(("a", "\ud83d"))] == [
        5,
        5,
        0,
        9,
    ]
    newest.close()
