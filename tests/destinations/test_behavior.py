"""What a pretend receiver does when it is told to misbehave."""

import msgspec
import pytest

from milonga.destinations import behavior
from milonga.destinations.behavior import USUAL, Behavior, Behaviors


def told(*behaviors: Behavior) -> Behaviors:
    active = Behaviors()
    for each in behaviors:
        active.add(each)
    return active


def statuses(active: Behaviors, *requests: str) -> list[int]:
    return [active.decide({"sdr_u": request}).status for request in requests]


def test_without_orders_everything_is_usual() -> None:
    assert Behaviors().decide({"sdr_o": "acme"}) == USUAL


def test_a_status_holds_until_it_is_cleared() -> None:
    active = told(Behavior(status=503))
    assert statuses(active, "a", "a", "b") == [503, 503, 503]
    active.clear()
    assert statuses(active, "a") == [200]


def test_times_counts_requests() -> None:
    active = told(Behavior(status=503, times=2))
    assert statuses(active, "a", "b", "c") == [503, 503, 200]
    assert active.active() == []


def test_each_distinct_request_gets_the_statuses_of_a_list_in_turn() -> None:
    active = told(Behavior(status=[500, 503, 200]))
    assert statuses(active, "a", "b", "a", "a", "b", "b") == [500, 500, 503, 200, 503, 200]


def test_after_its_2xx_an_equal_request_is_a_new_event_and_begins_anew() -> None:
    active = told(Behavior(status=[500, 200, 500]))
    assert statuses(active, "a", "a", "a", "a") == [500, 200, 500, 200]


def test_at_the_end_of_a_list_without_a_2xx_the_usual_answer_is_given() -> None:
    active = told(Behavior(status=[500, 429]))
    assert statuses(active, "a", "a", "a", "a") == [500, 429, 200, 500]


def test_parameters_in_another_order_make_the_same_request() -> None:
    active = told(Behavior(status=[500, 503]))
    assert active.decide({"a": "1", "b": "2"}).status == 500
    assert active.decide({"b": "2", "a": "1"}).status == 503


def test_only_matching_requests_are_meant() -> None:
    active = told(Behavior(status=403, match={"sdr_o": "acme", "sdr_u": "ada"}))
    assert active.decide({"sdr_o": "acme", "sdr_u": "ada", "sdr_a": "Saved"}).status == 403
    assert active.decide({"sdr_o": "acme", "sdr_u": "bob"}).status == 200
    assert active.decide({"sdr_o": "acme"}).status == 200


def test_the_newest_that_matches_decides_alone() -> None:
    active = told(Behavior(status=503), Behavior(status=401, match={"sdr_u": "ada"}, times=1))
    assert statuses(active, "bob", "ada", "ada") == [503, 401, 503]


def test_headers_delay_and_drop_are_passed_on() -> None:
    decided = told(Behavior(status=429, headers={"Retry-After": 2}, delay_ms=250, drop="after")).decide({})
    assert (decided.status, dict(decided.headers), decided.delay, decided.drop) == (
        429,
        {"Retry-After": 2},
        0.25,
        "after",
    )


def test_the_number_of_behaviors_and_of_remembered_turns_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behavior, "MAX_BEHAVIORS", 3)
    active = told(*(Behavior(status=500 + number) for number in range(5)))
    assert [each.status for each in active.active()] == [504, 503, 502]
    monkeypatch.setattr(behavior, "MAX_TURNS", 2)
    active = told(Behavior(status=[500, 503]))
    assert statuses(active, "a", "b", "c") == [500, 500, 500]
    assert statuses(active, "c", "b", "a") == [503, 503, 500]


@pytest.mark.parametrize(
    "order",
    [
        {"status": 99},
        {"status": "503"},
        {"status": []},
        {"drop": "sometimes"},
        {"times": 0},
        {"delay_ms": -1},
        {"headers": {"X": "a\r\nSet-Cookie: b"}},
        {"stauts": 503},
    ],
)
def test_an_order_that_makes_no_sense_is_refused(order: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(order, Behavior)
