"""A filter that has no answer for an event is told in the log, once a minute, not once an event."""

import logging
from pathlib import Path

import structlog
from structlog.testing import capture_logs

from milonga.filters.rule import Filter
from milonga.outcomes.model import State
from milonga.workspace.delivery_settings import DeliverySettings
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.road import Road, run, states

MASK = Filter(name="card", when="has(properties.n) && properties.n > 3", do="mask", fields=("properties.card",))


def test_what_is_masked_without_an_answer_is_told_once_a_minute(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, delivery=DeliverySettings(filters=(MASK,)))
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
        with capture_logs() as logs:
            for begin in (0, 20):
                for n in range(begin, begin + 20):
                    road.add(n, account=f"a{n}", properties={"n": "many" if n else 1})
                await road.until(lambda: None not in states(road))
                told = [one for one in logs if one["event"] == "delivery.filter_unsure"]
                assert len(told) == 1 + (begin > 0)
                assert (told[-1]["filter"], told[-1]["destination"]) == ("card", "paper")
                assert "many" not in str(told[-1]), "a value is nobody's business"
                started = loop.time()
                await road.until(lambda started=started: loop.time() - started > 61, seconds=120)  # type: ignore[misc]
        assert set(states(road)) == {State.delivered}
        await road.stop()

    run(tmp_path, live)
