import pytest

from milonga.delivery.breaker import TRANSITIONS, Breaker, Policy, Sign, State

POLICY = Policy(failures=4, accounts=2, first=1.0, longest=8.0)


def opened(now: float = 100.0) -> Breaker:
    breaker = Breaker(POLICY)
    for n in range(4):
        breaker.failure(f"a{n}", sent_at=0.0, now=now, dice=1.0)
    assert breaker.state is State.open
    return breaker


def test_the_table_names_every_state_and_only_what_there_is() -> None:
    assert set(TRANSITIONS) == set(State)
    for row in TRANSITIONS.values():
        assert set(row) <= set(Sign)
        assert set(row.values()) <= set(State)


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_a_way_back_to_closed(state: State) -> None:
    reached, todo = set[State](), [state]
    while todo:
        here = todo.pop()
        if here not in reached:
            reached.add(here)
            todo += TRANSITIONS[here].values()
    assert State.closed in reached
    assert any(to is not state for to in TRANSITIONS[state].values())


def test_enough_failures_in_a_row_of_several_accounts_open_it() -> None:
    breaker = Breaker(POLICY)
    told = [breaker.failure(f"a{n}", sent_at=0.0, now=0.0, dice=1.0) for n in range(4)]
    assert told == [False, False, False, True]
    assert not breaker.may_send(0.5, 0)


def test_one_accounts_trouble_does_not_open_it() -> None:
    breaker = Breaker(POLICY)
    assert not any(breaker.failure("acme", sent_at=0.0, now=0.0, dice=1.0) for _ in range(1000))
    assert breaker.is_closed


def test_a_success_between_begins_the_count_anew() -> None:
    breaker = Breaker(POLICY)
    for _ in range(10):
        for n in range(3):
            breaker.failure(f"a{n}", sent_at=0.0, now=0.0, dice=1.0)
        assert not breaker.success(0.0)
    assert breaker.is_closed


def test_after_its_time_one_request_goes_out_and_closes_it() -> None:
    breaker = opened(now=100.0)
    assert not breaker.may_send(100.9, 0)
    assert breaker.may_send(101.0, 0)
    assert breaker.state is State.half_open
    assert not breaker.may_send(101.0, 1), "one at a time"
    assert breaker.success(0.0)
    assert breaker.may_send(101.0, 60)


def test_each_probe_that_fails_doubles_the_wait_up_to_the_longest() -> None:
    breaker, now, waits = opened(now=0.0), 0.0, []
    for _ in range(6):
        waits.append(breaker.until - now)
        now = breaker.until
        assert breaker.may_send(now, 0)
        assert breaker.failure("a0", sent_at=0.0, now=now, dice=1.0)
    assert waits == [1, 2, 4, 8, 8, 8]


def test_the_dice_take_up_to_half_off_the_wait() -> None:
    breaker = Breaker(POLICY)
    for n in range(4):
        breaker.failure(f"a{n}", sent_at=0.0, now=0.0, dice=0.0)
    assert breaker.until == 0.5


def test_a_late_success_closes_an_open_one_and_a_late_failure_changes_nothing() -> None:
    breaker = opened()
    until = breaker.until
    assert not breaker.failure("a9", sent_at=0.0, now=100.5, dice=1.0)
    assert breaker.until == until
    assert breaker.success(0.0)
    assert breaker.is_closed


def test_failures_of_requests_sent_before_the_last_success_tell_nothing_of_the_destination() -> None:
    breaker = Breaker(Policy(failures=3, accounts=3))
    breaker.success(29.0)
    for n in range(20):
        assert not breaker.failure(f"a{n}", sent_at=0.0, now=30.0, dice=1.0), "they hang, others are answered"
    told = [breaker.failure(f"a{n}", sent_at=29.0, now=59.0, dice=1.0) for n in range(3)]
    assert told == [False, False, True]
