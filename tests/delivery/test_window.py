from hypothesis import given
from hypothesis import strategies as st

from milonga.delivery.window import Window


def test_the_watermark_waits_for_the_oldest_open_event() -> None:
    window = Window(10)
    for offset in (11, 12, 13):
        window.enter(offset)
    window.leave(12)
    assert window.watermark == 10
    assert window.oldest_open() == 11
    window.leave(11)
    assert window.watermark == 12
    window.leave(13)
    assert window.watermark == 13
    assert window.oldest_open() is None


def test_events_that_do_not_concern_the_reader_move_the_watermark_along() -> None:
    window = Window(0)
    window.skip_to(5)
    assert (window.watermark, window.read_to) == (5, 5)
    window.enter(6)
    window.skip_to(9)
    assert (window.watermark, window.read_to) == (5, 9)
    window.leave(6)
    assert window.watermark == 9


def test_an_offset_that_left_earlier_changes_nothing() -> None:
    window = Window(0)
    window.enter(1)
    window.leave(99)
    assert window.watermark == 0


def test_finished_events_behind_an_open_one_still_count_towards_the_window() -> None:
    window = Window(0)
    for offset in range(1, 5):
        window.enter(offset)
    for offset in range(2, 5):
        window.leave(offset)
    assert len(window) == 4


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10)), max_size=60))
def test_nothing_at_or_before_the_watermark_is_open(steps: list[tuple[bool, int]]) -> None:
    window, opened = Window(0), list[int]()
    for at, (mine, leaves) in enumerate(steps, 1):
        if mine:
            window.enter(at)
            opened.append(at)
        else:
            window.skip_to(at)
        if opened and leaves < len(opened):
            window.leave(opened.pop(leaves))
        assert window.watermark == min(opened, default=at + 1) - 1
