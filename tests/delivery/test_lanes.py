"""Order where it can be seen: the lanes against the plainest model there is."""

from hypothesis import given
from hypothesis import strategies as st

from milonga.delivery.lanes import Lanes
from milonga.destinations.contract import Key

KEYS: list[Key] = [("a",), ("b",), ("c",), ("a", "1"), ("a", "2")]
key_sets = st.lists(st.sampled_from(KEYS), unique=True, max_size=3).map(tuple)


class Model:
    """A list in log order; an event is ready if no earlier one shares a key with it."""

    def __init__(self) -> None:
        self.line: list[tuple[int, tuple[Key, ...]]] = []

    def ready(self) -> set[int]:
        return {
            thing
            for at, (thing, keys) in enumerate(self.line)
            if not any(set(keys) & set(before) for _, before in self.line[:at])
        }

    def finish(self, thing: int) -> None:
        self.line = [entry for entry in self.line if entry[0] != thing]


@given(st.lists(st.tuples(key_sets, st.integers(0, 3), st.randoms(use_true_random=False)), max_size=40))
def test_an_event_is_ready_exactly_when_no_earlier_one_shares_a_key_with_it(steps: list) -> None:  # type: ignore[type-arg]
    lanes, model, ready = Lanes[int](), Model(), set[int]()
    for thing, (keys, finishes, dice) in enumerate(steps):
        model.line.append((thing, keys))
        if lanes.add(thing, keys):
            ready.add(thing)
        assert ready == model.ready()
        for _ in range(finishes):
            if not model.line:
                break
            # Mostly one that is ready; now and then one from the middle, as when a destination is switched off.
            waiting = [entry[0] for entry in model.line]
            gone = dice.choice(sorted(ready) if dice.random() < 0.8 else waiting)
            model.finish(gone)
            ready.discard(gone)
            became = lanes.finish(gone)
            assert not set(became) & ready, "told ready twice"
            ready |= set(became)
            assert ready == model.ready()
            assert {t for t, _ in model.line if lanes.is_first(t)} == ready
        assert lanes.everything() == [entry[0] for entry in model.line]
        assert not model.line or model.line[0][0] in ready, "the oldest is always ready: nothing can lock up"


@given(st.lists(key_sets, max_size=30), st.sampled_from(KEYS))
def test_connected_takes_all_lines_that_hang_together_and_no_other(all_keys: list[tuple[Key, ...]], key: Key) -> None:
    lanes = Lanes[int]()
    for thing, keys in enumerate(all_keys):
        lanes.add(thing, keys)
    found, things = lanes.connected([key])
    assert key in found
    assert set(things) == {thing for thing, keys in enumerate(all_keys) if set(keys) & found}
    for thing in things:
        assert set(all_keys[thing]) <= found, "no taken event stands in a lane that stays"


def test_empty_lanes_take_no_memory() -> None:
    lanes = Lanes[int]()
    for thing in range(100):
        lanes.add(thing, ((str(thing % 7),), ("all",)))
    for thing in range(100):
        lanes.finish(thing)
    assert len(lanes) == 0
    assert not lanes._lanes
    assert not lanes._behind
