"""On, off, paused: what they mean for an event, by its place in the log alone."""

from hypothesis import given
from hypothesis import strategies as st

from milonga.delivery.switching import Fate, fate, first_offset, gap_end, paused_within, spans
from milonga.workspace.model import DestinationState, StateChange

ON, OFF, PAUSED = DestinationState.on, DestinationState.off, DestinationState.paused


def history(*steps: tuple[DestinationState, int]) -> list[StateChange]:
    """(state, the log's end then); a second apart."""
    return [
        StateChange(at=n * 1000, state=state, by="cli", reason="", end={0: end}) for n, (state, end) in enumerate(steps)
    ]


def test_a_destination_takes_what_comes_after_it_was_added() -> None:
    taken = spans(history((ON, 10)), 0)
    assert taken == [(10, None)]
    assert fate(taken, 10) is Fate.never
    assert fate(taken, 11) is Fate.deliver


def test_one_added_switched_off_takes_nothing() -> None:
    changes = history((OFF, 10))
    assert spans(changes, 0) == []
    assert fate([], 5) is Fate.never
    assert first_offset(changes, 0) == 10


def test_switching_off_ends_what_waits_and_what_comes_meanwhile_concerns_nobody() -> None:
    taken = spans(history((ON, 0), (OFF, 20), (ON, 30)), 0)
    assert taken == [(0, 20), (30, None)]
    assert [fate(taken, offset) for offset in (1, 20, 21, 30, 31)] == [
        Fate.switched_off,
        Fate.switched_off,
        Fate.never,
        Fate.never,
        Fate.deliver,
    ]


def test_a_pause_keeps_what_comes() -> None:
    taken = spans(history((ON, 0), (PAUSED, 20), (ON, 30)), 0)
    assert taken == [(0, None)]


def test_resuming_as_paused_after_off_takes_events_again() -> None:
    assert spans(history((ON, 0), (OFF, 20), (PAUSED, 30)), 0) == [(0, 20), (30, None)]


def test_switched_off_twice_at_the_same_place_is_one_gap() -> None:
    assert spans(history((ON, 0), (OFF, 20), (OFF, 25), (ON, 30)), 0) == [(0, 20), (30, None)]


def test_a_reader_jumps_over_a_gap_but_not_over_what_waits_before_it() -> None:
    taken = spans(history((ON, 0), (OFF, 20), (ON, 30), (OFF, 40), (ON, 50)), 0)
    assert gap_end(taken, 5) == 5
    assert gap_end(taken, 20) == 30
    assert gap_end(taken, 25) == 30
    assert gap_end(taken, 35) == 35
    assert gap_end(taken, 40) == 50
    assert gap_end(taken, 60) == 60


@given(
    st.lists(st.tuples(st.sampled_from([ON, OFF, PAUSED]), st.integers(0, 5)), min_size=1, max_size=8),
    st.integers(0, 45),
)
def test_by_walking_through_the_log_one_sees_the_same(steps: list[tuple[DestinationState, int]], offset: int) -> None:
    end, changes = 0, list[tuple[DestinationState, int]]()
    for state, more in steps:
        end += more
        changes.append((state, end))
    taken = spans(history(*changes), 0)
    # The state in force when it came, and whether the destination was off at any time since.
    at_arrival = [state for state, end in changes if end < offset]
    after = [state for state, end in changes if end >= offset]
    if not at_arrival or at_arrival[-1] is OFF:
        assert fate(taken, offset) is Fate.never
    elif OFF in after:
        assert fate(taken, offset) is Fate.switched_off
    else:
        assert fate(taken, offset) is Fate.deliver
    jumped = gap_end(taken, offset)
    assert jumped >= offset
    assert all(fate(taken, between) is Fate.never for between in range(offset + 1, jumped + 1))


def test_only_the_time_paused_within_the_span_counts() -> None:
    changes = history((ON, 0), (PAUSED, 0), (ON, 0), (PAUSED, 0))  # at 0, 1000, 2000, 3000
    assert paused_within(changes, 0, 2500) == 1000
    assert paused_within(changes, 1500, 2500) == 500
    assert paused_within(changes, 0, 5000) == 3000
    assert paused_within(changes, 4000, 5000) == 1000
    assert paused_within(changes, 0, 1200) == 200
    assert paused_within(changes, 0, 500) == 0
