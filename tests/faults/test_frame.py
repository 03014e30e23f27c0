"""What judges the faults can find one: the load is recognized, and each kind of harm is told."""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from milonga.destinations.contract import Form, Skip
from milonga.destinations.pretend import Seen
from milonga.destinations.registry import kind
from milonga.destinations.totango.settings import Settings
from milonga.identity.account import read_unstamped
from tests.faults.case import Case, Report, Run
from tests.faults.cases import cases
from tests.faults.mix import Made, mix, number_of
from tests.faults.plug.steps import COLLECTOR, DELIVERY, MIGRATION
from tests.faults.runner import Row, run_all
from tests.faults.table import again, line_of, troubles
from tests.faults.verdict import out_of_order, taken, together, unaccounted

MADE = list(islice(mix(7), 2_000))
USER = (("acme", "ada"),)


def arrival(number: int, started: float, ended: float | None = None, status: int | None = 200) -> Seen:
    return Seen(
        received_at=started,
        method="POST",
        path="/",
        params={"sdr_a": f"e-{number}"},
        started=started,
        ended=started if ended is None else ended,
        status=status,
    )


def test_requests_carry_the_number_of_their_event_and_wait_for_the_keys_that_the_mix_says() -> None:
    totango, settings = kind("totango"), Settings(service_id="SP-1")
    kinds: Counter[str] = Counter()
    for made, call in MADE:
        event = read_unstamped(json.dumps(call).encode())
        kinds[event.type] += 1
        translated = totango.translate(event, settings)
        if isinstance(translated, Skip):
            assert translated.code == made.skip
            continue
        assert not made.skip
        assert totango.keys(event, settings) == made.keys
        (request,) = translated
        assert isinstance(request.body, Form)
        assert number_of(request.body.params) == made.number
    assert kinds.keys() == {"identify", "group", "track", "page", "screen"}


def test_the_same_seed_makes_the_same_events_for_thousands_of_accounts() -> None:
    assert list(islice(mix(7), 2_000)) == MADE
    assert list(islice(mix(8), 2_000)) != MADE
    accounts = {key[0] for sender in range(4) for made, _ in islice(mix(7, sender, 4), 5_000) for key in made.keys}
    assert len(accounts) > 1_000


def test_an_event_that_comes_after_a_later_one_of_its_key_is_told_also_if_it_came_in_time_before() -> None:
    made = {number: Made(number, USER) for number in (1, 2)} | {3: Made(3, (("acme", "bob"),))}
    assert not list(out_of_order([arrival(1, 1.0), arrival(1, 2.0), arrival(3, 3.0), arrival(2, 4.0)], made))
    assert len(list(out_of_order([arrival(2, 1.0), arrival(1, 2.0)], made))) == 1
    assert len(list(out_of_order([arrival(1, 1.0), arrival(2, 2.0), arrival(1, 3.0)], made))) == 1


def test_a_group_holds_up_all_its_keys() -> None:
    made = {1: Made(1, (("acme",), ("acme", "ada"))), 2: Made(2, USER), 3: Made(3, (("acme",),))}
    assert len(list(out_of_order([arrival(3, 1.0), arrival(2, 2.0), arrival(1, 3.0)], made))) == 2


def test_two_of_one_key_at_the_same_time_are_told() -> None:
    made = {1: Made(1, USER), 2: Made(2, USER)}
    assert len(list(together([arrival(1, 1.0, 3.0), arrival(2, 2.0)], made))) == 1
    assert not list(together([arrival(1, 1.0, 2.0), arrival(2, 2.0)], made))
    assert not list(together([arrival(1, 1.0, 3.0, status=None), arrival(2, 2.0)], made))  # its sender was dead


def test_what_was_refused_is_not_taken_in_and_what_lost_its_sender_is() -> None:
    assert len(taken([arrival(1, 1.0), arrival(1, 2.0, status=503), arrival(1, 3.0, status=None)])) == 2


@pytest.mark.parametrize(
    ("skip", "ended", "arrived", "says"),
    [
        ("", ("delivered", ""), 1, ""),
        ("", ("delivered", ""), 2, ""),
        ("", ("dead", "http_403"), 0, ""),
        ("loop", ("skipped", "loop"), 0, ""),
        ("", ("skipped", "loop"), 0, "was skipped as loop"),
        ("", None, 0, "has no outcome (and never arrived)"),
        ("", None, 1, "has no outcome (but arrived)"),
        ("", ("delivered", ""), 0, "is recorded as delivered and never arrived"),
        ("", ("expired", "too_old"), 0, "ended as expired (too_old)"),
        ("", ("dead", "http_400"), 0, "ended as dead (http_400)"),
    ],
)
def test_an_event_that_is_not_in_good_hands_is_told(
    skip: str, ended: tuple[str, str] | None, arrived: int, says: str
) -> None:
    made = Made(1, USER, skip=skip)
    assert unaccounted(made, ended, arrived, {"delivered", "skipped", "http_403"}) == says


def test_each_case_has_a_name_and_a_number_of_its_own_and_keeps_to_the_time_there_is() -> None:
    found = cases()
    assert len({case.name for case in found}) == len(found)
    assert sum(case.short for case in found) <= 180
    # Bounds are for a busy machine: all of it together takes about 15 minutes.
    assert sum(case.bound for case in found if not case.apart) <= 20 * 60


def test_a_case_that_breaks_off_or_takes_too_long_has_failed_and_the_next_one_is_run(tmp_path: Path) -> None:
    def breaks(_run: Run) -> Iterator[Report]:
        yield Report(fault="first")
        raise ValueError("no such thing")

    def runs(_run: Run) -> Iterator[Report]:
        yield Report(fault="second", recovery=[1.0, 3.0, 2.0])

    broken = Case(number=1, name="broken", says="", bound=60, short=60, run=breaks)
    late = Case(number=2, name="late", says="", bound=0, short=60, run=runs)
    rows = list(run_all([broken, late], 7, short=False, tell=print))
    assert [(row.report.fault, row.report.failed) for row in rows] == [
        *(("first", False), ("broke off", True)),
        *(("second", False), ("its time", True)),
    ]
    assert "no such thing" in rows[1].report.wrong[0]
    assert "2.0 / 3.0 s" in line_of(rows[2])
    assert troubles(rows[1], 7, short=False)[-1].strip() == again("broken", 7, short=False)


def test_the_page_counts_the_steps_and_has_every_case() -> None:
    page = (Path(__file__).parents[2] / "docs/reliability.md").read_text()
    assert f"each of {len(COLLECTOR) + len(DELIVERY) + len(MIGRATION)} named steps" in page
    assert not [case for case in cases() if f"\n| {case.number} {case.name} |" not in page]


def test_many_examples_are_cut_short() -> None:
    row = Row(
        Case(number=1, name="x", says="", bound=1, short=1, run=lambda run: iter(())),
        Report(fault="x", lost=[f"event {number}" for number in range(100)]),
    )
    assert len(troubles(row, 7, short=True)) < 10
    assert "| 100 |" in line_of(row)
