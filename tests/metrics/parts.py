"""Figures to show and to judge, as they are unless a test says otherwise."""

from typing import Any

from milonga.metrics.figures import Collected, DeliveryFigures, DestinationFigures, Figures, SourceFigures

AT = 1_750_000_000.0  #: unix seconds
MB = 1024 * 1024


def figures(at: float = AT, **more: Any) -> Figures:
    values: dict[str, Any] = {
        "started": AT - 86_400.0,
        "sources": (SourceFigures(name="web", last_accepted=at - 60),),
        "destinations": (destination(),),
        "disk_free": 1_000 * MB,
        "disk_reserve": 500 * MB,
        "collected": Collected(counts={"refused": 3}, held=17, writable=True, end=40),
    }
    return Figures(at=at, **(values | more))


def destination(**more: Any) -> DestinationFigures:
    values: dict[str, Any] = {"name": "totango", "source": "web", "since": AT - 86_400.0, "by": "cli"}
    values["delivery"] = DeliveryFigures()
    return DestinationFigures(**(values | more))
