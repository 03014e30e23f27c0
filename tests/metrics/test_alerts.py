"""Alerts are remembered, told in words, and posted until they are taken or given up."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from milonga.destinations.webhook.fake import pretend
from milonga.metrics.alerts import NAME, Alerts
from milonga.metrics.posting import MOST, WAITS, Posting, over_http
from milonga.metrics.rules import Thresholds
from tests.metrics.parts import AT, destination, figures
from tests.receiving import Receiving

PAUSED = figures(destinations=(destination(state="paused", reason="paused by hand"),))


def test_a_message_says_what_it_is_and_what_to_do(tmp_path: Path) -> None:
    with capture_logs() as logs:
        (message,) = Alerts(tmp_path, Thresholds()).judge(PAUSED)
    assert {key: message[key] for key in ("alert", "name", "state", "since", "at", "threshold")} == {
        "alert": "destination_paused",
        "name": "totango",
        "state": "firing",
        "since": "2025-06-15T15:06:40.000Z",
        "at": "2025-06-15T15:06:40.000Z",
        "threshold": None,
    }
    assert "milonga destinations show totango" in message["fix"]
    assert message["says"] in message["text"]
    assert json.loads(json.dumps(message)) == message
    (line,) = logs
    assert (line["event"], line["log_level"], line["alert"]) == ("alert.firing", "warning", "destination_paused")


def test_what_fires_is_not_told_again_after_a_restart_and_what_ended_meanwhile_is(tmp_path: Path) -> None:
    Alerts(tmp_path, Thresholds()).judge(PAUSED)
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600
    again = Alerts(tmp_path, Thresholds())
    assert again.firing == {("destination_paused", "totango")}
    assert again.judge(PAUSED) == []
    (message,) = Alerts(tmp_path, Thresholds()).judge(figures(at=AT + 60))
    assert (message["state"], message["since"]) == ("resolved", "2025-06-15T15:06:40.000Z")
    assert Alerts(tmp_path, Thresholds()).firing == frozenset()


def test_a_damaged_memory_costs_no_more_than_a_second_telling(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b'[{"rule": 3')
    with capture_logs() as logs:
        assert len(Alerts(tmp_path, Thresholds()).judge(PAUSED)) == 1
    assert [line["event"] for line in logs] == ["alerts.unreadable", "alert.firing"]


class Taking:
    """A receiver that fails as often as it is told, with a clock that only counts."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.tries: list[dict[str, Any]] = []
        self.waits: list[float] = []

    async def send(self, body: bytes) -> str | None:
        self.tries.append(json.loads(body))
        self.failures -= 1
        return "It was answered 503." if self.failures >= 0 else None

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def post(self, *messages: dict[str, Any], until: Callable[[], bool]) -> None:
        async def run() -> None:
            posting = Posting(self.send, self.sleep)
            for message in messages:
                posting.put(message)
            task = asyncio.create_task(posting.run())
            async with asyncio.timeout(60):
                while not until():  # noqa: ASYNC110 - the waits are only counted
                    await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(run())


def message(number: int) -> dict[str, Any]:
    return {"alert": "backlog", "name": f"d{number}", "state": "firing"}


def test_a_receiver_that_comes_back_gets_all_in_order() -> None:
    taking = Taking(failures=3)
    taking.post(message(1), message(2), until=lambda: len(taking.tries) == 5)
    assert [one["name"] for one in taking.tries] == ["d1", "d1", "d1", "d1", "d2"]
    assert taking.waits == list(WAITS[:3])


def test_one_that_never_takes_it_is_given_up_and_told() -> None:
    taking = Taking(failures=len(WAITS) + 1)
    with capture_logs() as logs:
        taking.post(message(1), message(2), until=lambda: len(taking.tries) == len(WAITS) + 2)
    assert taking.tries[-1]["name"] == "d2", "the next has its turn"
    (line,) = logs
    assert (line["event"], line["name"], line["reason"]) == ("alert.not_posted", "d1", "It was answered 503.")


def test_no_more_than_a_hundred_wait() -> None:
    taking = Taking(failures=0)
    with capture_logs() as logs:
        taking.post(*map(message, range(MOST + 5)), until=lambda: len(taking.tries) == MOST)
    assert taking.tries[0]["name"] == "d5"
    assert [line["name"] for line in logs] == [f"d{n}" for n in range(5)]


def post(url: str, body: bytes, *, allow_private: bool) -> str | None:
    async def send() -> str | None:
        return await over_http(url, allow_private)(body)

    return asyncio.run(send())


@pytest.mark.parametrize("status", [200, 204, 302, 404, 503])
def test_only_a_2xx_is_taken_and_no_redirect_is_followed(status: int) -> None:
    with Receiving(pretend) as receiver:
        receiver.behave(status=status)
        why = post(f"{receiver.url}/hooks/secret-part", b'{"alert":"disk"}', allow_private=True)
        (seen,) = receiver.requests()
    assert seen.params == {"alert": "disk"}
    assert why == (None if status < 300 else f"It was answered {status}.")


def test_an_address_of_ones_own_network_is_refused_unless_allowed() -> None:
    with Receiving(pretend) as receiver:
        why = post(f"{receiver.url}/hooks/secret-part", b"{}", allow_private=False)
        assert receiver.received() == 0
    assert why is not None
    assert "a loopback address" in why
    assert "secret-part" not in why
