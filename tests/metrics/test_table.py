"""What Prometheus gets: read by its own parser, bounded, and documented."""

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse

from milonga.collector.counts import What
from milonga.metrics.exposition import exposition
from milonga.metrics.figures import DeliveryFigures, Figures, SourceFigures
from milonga.metrics.rules import RULES, Thresholds
from milonga.metrics.table import ELSEWHERE, METRICS, MOST_CODES, OTHER, REASONS, STEPS, histogram
from milonga.outcomes.latency import bucket_of
from milonga.outcomes.model import State
from tests.metrics.parts import AT, destination, figures

PAGE = (Path(__file__).parents[2] / "docs/metrics.md").read_text()


def samples(now: Figures) -> dict[tuple[str, tuple[str, ...]], float]:
    """(name, values of the labels in the order of their names) -> value, as Prometheus's parser reads them."""
    text = exposition(now, "")[0].decode()
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def full() -> Figures:
    """With a value for every metric there is."""
    source = SourceFigures(
        name="web",
        accepted=5,
        duplicates=2,
        discarded={"invalid_type": 1},
        refused={"rate_limited": 8},
        last_accepted=AT - 60,
    )
    one = destination(
        outcomes={(State.delivered, ""): 4, (State.dead, "http_400"): 1},
        took={bucket_of(20): 3, bucket_of(5_000): 1},
        drains_in=720.0,
        delivery=DeliveryFigures(
            waiting=9,
            unread=3,
            parked=2,
            dead=1,
            oldest_waiting_at=AT - 12.5,
            breaker="open",
            last_delivered_at=AT - 1,
            last_failure_at=AT - 2,
        ),
    )
    return figures(
        sources=(source,),
        destinations=(one,),
        nobody=SourceFigures(name="", discarded={"unknown_write_key": 6}, refused={"invalid_json": 7}),
        sizes={"log": 1000},
        log_most=2_000,
        certificate_ends=AT + 86_400,
        unreadable=frozenset({"outcomes"}),
        alerts=frozenset({("backlog", "totango")}),
    )


def test_prometheus_reads_every_metric_with_its_value() -> None:
    read = samples(full())
    assert read["milonga_events_accepted_total", ("web",)] == 5
    assert read["milonga_events_discarded_total", ("unknown_write_key", "(unknown)")] == 6
    assert read["milonga_requests_refused_total", ("refused",)] == 3
    assert read["milonga_source_refused_total", ("rate_limited", "web")] == 8
    assert read["milonga_source_refused_total", ("invalid_json", "(unknown)")] == 7
    assert read["milonga_outcomes_total", ("http_400", "totango", "dead")] == 1
    assert read["milonga_oldest_waiting_seconds", ("totango",)] == 12.5
    assert read["milonga_drain_seconds", ("totango",)] == 720
    assert read["milonga_destination_state", ("totango", "on")] == 1
    assert read["milonga_destination_state", ("totango", "paused")] == 0
    assert read["milonga_breaker_state", ("totango", "open")] == 1
    assert read["milonga_delivery_seconds_bucket", ("totango", "0.032")] == 3
    assert read["milonga_delivery_seconds_count", ("totango",)] == 4
    assert read["milonga_data_readable", ("outcomes",)] == 0
    assert read["milonga_alert_firing", ("backlog", "totango")] == 1
    missing = [metric.name for metric in METRICS if not any(name.startswith(metric.name) for name, _ in read)]
    assert not missing


def test_the_newer_format_is_read_too() -> None:
    text, kind = exposition(full(), "application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert {"milonga_outcomes", "milonga_delivery_seconds"} <= {family.name for family in parse_open(text.decode())}  # type: ignore[no-untyped-call]


def test_all_that_is_served_is_in_the_table_or_of_the_process() -> None:
    families = {family.name: family for family in parse(exposition(full(), "")[0].decode())}
    ours = {metric.name.removesuffix("_total"): metric for metric in METRICS}
    assert len(ours) == len(METRICS), "each once"
    assert {name for name in families if not name.startswith("process_")} == set(ours)
    for name, metric in ours.items():
        labels = {label for sample in families[name].samples for label in sample.labels} - {"le"}
        assert labels == set(metric.labels), name
        assert families[name].type == metric.kind
        assert (metric.kind == "counter") == metric.name.endswith("_total"), name


def test_counters_are_there_before_anything_happened() -> None:
    read = samples(figures())
    assert read["milonga_events_accepted_total", ("web",)] == 0
    assert read["milonga_outcomes_total", ("", "totango", "delivered")] == 0
    assert read["milonga_delivery_seconds_count", ("totango",)] == 0


def test_a_receiver_with_ever_new_answers_does_not_make_ever_new_series() -> None:
    before: dict[tuple[str, tuple[str, ...]], float] = {}
    for many in (10, 60, 900):
        outcomes = {(State.dead, f"http_{code}"): 1 for code in range(100, 100 + many)}
        read = {
            key: n
            for key, n in samples(figures(destinations=(destination(outcomes=outcomes),))).items()
            if key[0] == "milonga_outcomes_total"
        }
        assert len(read) <= MOST_CODES + 1
        assert sum(read.values()) == many
        assert all(read[key] >= n for key, n in before.items()), "counters only grow"
        before = read
    assert before["milonga_outcomes_total", (OTHER, "totango", "dead")] > 800


def test_a_name_cannot_break_out_of_its_label() -> None:
    name = 'a"} 1\nmilonga_evil 2'
    read = samples(figures(sources=(SourceFigures(name=name, discarded={'x\\"\n': 1}),)))
    assert read["milonga_events_accepted_total", (name,)] == 0
    assert not any(key[0] == "milonga_evil" for key in read)


def test_everything_that_the_collector_counts_is_shown_somewhere() -> None:
    counts = {what: n for n, what in enumerate(get_args(What), start=1)}
    collected = figures().collected
    read = samples(figures(collected=type(collected)(counts=counts)))
    shown = [n for (name, _), n in read.items() if name.startswith("milonga_") and name.endswith("_total")]
    assert set(REASONS) < set(counts)
    assert {counts[what] for what in counts if what not in ELSEWHERE} <= set(shown)


@pytest.mark.parametrize("milliseconds", [0, 3, 4, 31, 32, 33, 900, 65_535, 10**7, 10**9])
def test_a_delivery_is_counted_in_every_step_it_did_not_exceed(milliseconds: int) -> None:
    found = histogram({bucket_of(milliseconds): 2})
    for step, n in zip(STEPS, found.up_to, strict=True):
        if milliseconds < step * 1000 * 0.75:
            assert n == 2
        if milliseconds >= step * 1000:
            assert n == 0
    assert found.count == 2
    assert found.total == pytest.approx(2 * milliseconds / 1000, rel=0.13, abs=0.001)


def test_the_page_about_metrics_is_made_from_the_table() -> None:
    rows = "\n".join(
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.help} |"
        for one in METRICS
    )
    table = f"| name | type | labels | what it is |\n|---|---|---|---|\n{rows}\n"
    assert table in PAGE, table


def test_the_page_about_alerts_is_made_from_the_rules() -> None:
    rows = "\n".join(f"| `{one.name}` | {one.fires} | {one.resolves} |" for one in RULES)
    table = f"| alert | fires when | resolves when |\n|---|---|---|\n{rows}\n"
    assert table in PAGE, table


def test_the_page_about_alerts_knows_the_defaults() -> None:
    said = re.findall(r"^\| `--alert-([a-z-]+) [A-Z]+` \| ([0-9.]+) \|", PAGE, re.MULTILINE)
    assert {name.replace("-", "_"): float(number) for name, number in said} == msgspec.structs.asdict(Thresholds())


def test_metrics_named_in_the_examples_exist() -> None:
    known = {metric.name for metric in METRICS}
    named = set(re.findall(r"milonga_[a-z_]+", PAGE))
    assert {re.sub(r"_(bucket|sum|count)$", "", name) if name not in known else name for name in named} <= known
