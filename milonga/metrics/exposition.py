"""Figures in the text formats that Prometheus reads. Only a server with `--metrics-port` loads the library for it."""

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from milonga.metrics.figures import Figures
from milonga.metrics.table import METRICS, STEPS, Histogram, Metric

_PROCESS: Final = CollectorRegistry(auto_describe=False)
ProcessCollector(registry=_PROCESS)  # memory, processor time and open files, under the names every process has them


class _Once(Collector):
    """What a registry asks for its families."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Family]:
        for metric in METRICS:
            yield _family(metric, self._figures)
        yield from _PROCESS.collect()


def exposition(figures: Figures, accept: str) -> tuple[bytes, str]:
    """
    The text and its content type.

    accept  what the asker's header of that name says; "" for the plain text format
    """
    encode, kind = choose_encoder(accept)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(figures))
    return encode(registry), kind


def _family(metric: Metric, figures: Figures) -> Family:
    match metric.kind:
        case "counter" | "gauge":
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(metric.name, metric.help, labels=metric.labels)
            for labels, value in metric.values(figures):
                if not isinstance(value, Histogram):
                    family.add_metric(labels, value)
            return family
        case "histogram":
            histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, value in metric.values(figures):
                if isinstance(value, Histogram):
                    counts = [(repr(step), float(n)) for step, n in zip(STEPS, value.up_to, strict=True)]
                    histogram.add_metric(labels, [*counts, ("+Inf", float(value.count))], value.total)
            return histogram
