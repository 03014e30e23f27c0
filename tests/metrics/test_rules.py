"""When alerts fire and resolve: the clock is in the figures."""

from typing import Any

import pytest

from milonga.eventlog.levels import Level
from milonga.metrics.figures import DeliveryFigures, Figures, SourceFigures
from milonga.metrics.rules import Alert, Change, Thresholds, step
from tests.metrics.parts import AT, MB, destination, figures

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


class Watched:
    """Judged again and again; `says` is (alert, name, firing) of what changed."""

    def __init__(self, **thresholds: float) -> None:
        self.active: tuple[Alert, ...] = ()
        self.thresholds = Thresholds(**thresholds)

    def judge(self, now: Figures) -> tuple[Change, ...]:
        self.active, changes = step(self.active, now, self.thresholds)
        return changes

    def says(self, now: Figures) -> list[tuple[str, str, bool]]:
        return [(change.alert.rule, change.alert.name, change.firing) for change in self.judge(now)]


def quiet(minutes: float, *, up: float = 10 * DAY, **more: Any) -> Figures:
    """A source whose newest event is so old, in a server that is up for so long."""
    source = SourceFigures(name="web", last_accepted=AT - minutes * MINUTE, **more)
    return figures(sources=(source,), started=AT - up)


def one(**more: Any) -> Figures:
    return figures(destinations=(destination(**more),))


def waits(since: float) -> DeliveryFigures:
    return DeliveryFigures(waiting=3, oldest_waiting_at=since)


def test_nothing_is_said_while_all_is_well() -> None:
    assert Watched().says(figures()) == []


def test_a_source_that_falls_silent_is_told_once_and_its_return_once() -> None:
    watched = Watched()
    assert watched.says(quiet(59)) == []
    assert watched.says(quiet(60)) == [("no_traffic", "web", True)]
    assert watched.says(quiet(61)) == []
    assert watched.says(quiet(3 * 24 * 60)) == [], "it fires on, however long"
    assert watched.says(quiet(0)) == [("no_traffic", "web", False)]
    assert watched.says(quiet(1)) == []


def test_a_source_that_never_sent_or_not_for_a_day_is_not_missed() -> None:
    never = figures(sources=(SourceFigures(name="web"),))
    assert Watched().says(never) == []
    assert Watched().says(quiet(2 * 24 * 60)) == []


def test_the_time_in_which_no_server_ran_is_no_silence() -> None:
    watched = Watched()
    assert watched.says(quiet(300, up=5 * MINUTE)) == []
    assert watched.says(quiet(355, up=HOUR)) == [("no_traffic", "web", True)]


def test_a_source_that_is_switched_off_or_removed_resolves() -> None:
    for after in (quiet(70, enabled=False), figures(sources=())):
        watched = Watched()
        assert watched.says(quiet(65)) == [("no_traffic", "web", True)]
        (change,) = watched.judge(after)
        assert not change.firing
        assert "web is gone, switched off" in change.says


def test_success_below_the_threshold_fires_and_half_of_the_way_back_resolves() -> None:
    watched = Watched()
    assert watched.says(one(lately=(950, 50))) == [], "95 % is enough"
    assert watched.says(one(lately=(949, 51))) == [("success_rate", "totango", True)]
    assert watched.says(one(lately=(960, 40))) == [], "it hovers"
    assert watched.says(one(lately=(940, 60))) == []
    assert watched.says(one(lately=(975, 25))) == [("success_rate", "totango", False)]
    assert watched.says(one(lately=(960, 40))) == []


def test_a_few_events_prove_nothing_either_way() -> None:
    watched = Watched()
    assert watched.says(one(lately=(0, 19))) == []
    assert watched.says(one(lately=(0, 20))) == [("success_rate", "totango", True)]
    assert watched.says(one(lately=(19, 0))) == [("success_rate", "totango", False)], "none failed any more"
    watched.judge(one(lately=(0, 20)))
    assert watched.says(one(lately=(18, 1))) == [], "too few to tell"
    assert watched.says(one(lately=(0, 0))) == [("success_rate", "totango", False)]


def test_an_old_backlog_fires_and_half_of_its_age_resolves() -> None:
    watched = Watched()
    assert watched.says(one(delivery=waits(AT - 14.9 * MINUTE))) == []
    assert watched.says(one(delivery=waits(AT - 15 * MINUTE))) == [("backlog", "totango", True)]
    assert watched.says(one(delivery=waits(AT - 8 * MINUTE))) == []
    assert watched.says(one(delivery=waits(AT - 15 * MINUTE))) == []
    assert watched.says(one()) == [("backlog", "totango", False)]


def test_what_cannot_be_known_changes_nothing() -> None:
    watched = Watched()
    assert watched.says(one(delivery=None)) == []
    watched.judge(one(delivery=waits(AT - HOUR)))
    assert watched.says(one(delivery=None)) == []
    assert watched.says(one(delivery=waits(AT - HOUR))) == []


def test_the_backlog_of_a_paused_destination_is_told_as_its_pause() -> None:
    watched = Watched()
    assert watched.says(one(state="paused", reason="Totango answered 401.", delivery=waits(AT - DAY))) == [
        ("destination_paused", "totango", True)
    ]


def test_a_pause_is_told_and_a_resumption_by_hand_at_once() -> None:
    watched = Watched()
    (change,) = watched.judge(one(state="paused", by="settings", reason="Totango answered 401.", since=AT - 5))
    assert change.firing
    assert "Totango answered 401." in change.says
    assert watched.says(one(by="cli", since=AT)) == [("destination_paused", "totango", False)]


def test_a_destination_that_resumed_by_itself_must_stay_on_a_while() -> None:
    watched = Watched()
    watched.judge(one(state="paused", by="settings"))
    assert watched.says(one(by="probe", since=AT - 10)) == []
    assert watched.says(one(state="paused", by="settings", since=AT - 5)) == [], "it flaps, and is told once"
    assert watched.says(one(by="probe", since=AT - 299)) == []
    assert watched.says(one(by="probe", since=AT - 300)) == [("destination_paused", "totango", False)]


def test_a_disk_that_nears_its_reserve_fires_until_there_is_a_tenth_more() -> None:
    watched = Watched()
    assert watched.says(figures(disk_free=1_000 * MB)) == []
    assert watched.says(figures(disk_free=999 * MB)) == [("disk", "", True)]
    assert watched.says(figures(disk_free=1_090 * MB)) == []
    assert watched.says(figures(disk_free=1_100 * MB)) == [("disk", "", False)]
    later = Watched(disk=1)
    assert later.says(figures(disk_free=500 * MB)) == []
    assert later.says(figures(disk_free=499 * MB)) == [("disk", "", True)]


def test_a_log_that_may_not_grow_fires_however_large_the_disk_is() -> None:
    watched = Watched()
    full = figures(disk_free=9_000 * MB, disk_level=Level.high_water)
    (change,) = watched.judge(full)
    assert change.says.startswith("Senders get 503")
    assert watched.says(figures(disk_free=9_000 * MB)) == [("disk", "", False)]
    assert Watched(disk=0).says(full) == []


def test_a_certificate_is_told_two_weeks_before_its_end() -> None:
    watched = Watched()
    assert watched.says(figures(certificate_ends=AT + 14 * DAY)) == []
    (change,) = watched.judge(figures(certificate_ends=AT + 13.9 * DAY))
    assert (change.alert.rule, change.firing, change.value) == ("certificate", True, 13.9)
    assert watched.says(figures(certificate_ends=AT - DAY)) == []
    assert watched.says(figures(certificate_ends=AT + 90 * DAY)) == [("certificate", "", False)]


@pytest.mark.parametrize(
    ("name", "now"),
    [
        ("no_traffic", quiet(100)),
        ("success", one(lately=(0, 100))),
        ("backlog", one(delivery=waits(AT - DAY))),
        ("disk", figures(disk_free=0)),
        ("certificate", figures(certificate_ends=AT)),
    ],
)
def test_zero_switches_a_rule_off_also_one_that_fires(name: str, now: Figures) -> None:
    assert Watched(**{name: 0.0}).says(now) == []
    watched = Watched()
    (fired,) = watched.judge(now)
    watched.thresholds = Thresholds(**{name: 0.0})
    (change,) = watched.judge(now)
    assert not change.firing
    assert change.alert == fired.alert


def test_each_destination_is_judged_by_itself() -> None:
    watched = Watched()
    two = (destination(state="paused"), destination(name="hook"))
    assert watched.says(figures(destinations=two)) == [("destination_paused", "totango", True)]
    two = (destination(state="paused"), destination(name="hook", state="paused"))
    assert watched.says(figures(destinations=two)) == [("destination_paused", "hook", True)]
    assert watched.says(figures(destinations=(destination(state="off"), two[1]))) == [
        ("destination_paused", "totango", False)
    ]


def test_a_write_key_that_ends_in_use_is_told_once_and_when_nothing_sends_with_it_any_more() -> None:
    def web(*keys: str, enabled: bool = True) -> Figures:
        return figures(sources=(SourceFigures(name="web", ending_keys=keys, enabled=enabled),))

    watched = Watched()
    assert watched.says(web()) == []
    (change,) = watched.judge(web("abcd… ends in 3 days, and was used 5 minutes ago"))
    assert (change.alert.rule, change.alert.name, change.firing) == ("write_key", "web", True)
    assert "abcd… ends in 3 days" in change.says
    assert watched.says(web("abcd… ended 2 hours ago, and was used 1 minute ago")) == [], "the same trouble goes on"
    assert watched.says(web()) == [("write_key", "web", False)]
    assert watched.says(web("abcd… ends in 3 days, and was used 5 minutes ago", enabled=False)) == []
