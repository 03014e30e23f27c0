"""A running server says how it is: metrics to whoever asks, alerts to whoever must know."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from milonga.destinations.totango.fake import pretend
from milonga.destinations.webhook.fake import pretend as pretend_hook
from tests.e2e.conftest import KEY
from tests.receiving import Receiving
from tests.running import Client, Milonga, eventually, track


@pytest.fixture
def alarm() -> Iterator[Receiving]:
    with Receiving(pretend_hook) as receiving:
        yield receiving


def address(milonga: Milonga) -> str:
    """Where its metrics are."""

    def told() -> list[str]:
        lines = (json.loads(line) for line in milonga.log_text().splitlines() if line.startswith("{"))
        return [line["url"] for line in lines if line["event"] == "metrics.listening"]

    eventually(lambda: bool(told()), "it says where its metrics are")
    return told()[-1]


def scrape(url: str) -> dict[tuple[str, ...], float]:
    with urlopen(Request(url), timeout=30) as answer:  # noqa: S310 - our own, http
        text = answer.read().decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def alerts(alarm: Receiving, name: str) -> list[dict[str, Any]]:
    return [dict(seen.params) for seen in alarm.requests() if seen.params["alert"] == name and seen.status == 200]


def test_metrics_tell_of_a_running_server_and_not_on_the_tracking_port(tmp_path: Path) -> None:
    with Receiving(pretend) as totango, Milonga(tmp_path / "data", "--metrics-port", "0") as milonga:
        milonga.say("sources", "add", "web", "--write-key", KEY)
        milonga.say(
            *("destinations", "add", "totango", "--source", "web", "--set", "serviceId=SP-12345-01"),
            *("--set", f"endpoint={totango.url}/pixel.gif/"),
        )
        milonga.start()
        url = address(milonga)
        with Client(milonga.port, KEY) as client:
            client.send([*(track(n, f"u{n}", "acme") for n in range(30)), {"type": "nonsense"}])
            client.send([track(1, "u1", "acme")])
        delivered = ("milonga_outcomes_total", "", "totango", "delivered")
        eventually(lambda: scrape(url)[delivered] == 30, "all delivered")
        eventually(lambda: scrape(url)["milonga_events_accepted_total", "web"] == 30, "all counted")
        read = scrape(url)
        assert read["milonga_events_duplicate_total", "web"] == 1
        assert read["milonga_events_discarded_total", "invalid_type", "web"] == 1
        assert read["milonga_delivery_seconds_count", "totango"] == 30
        assert read["milonga_destination_state", "totango", "on"] == 1
        assert read[("milonga_log_end_offset",)] == 30
        assert read[("process_resident_memory_bytes",)] > 10_000_000
        assert "acme" not in str(read)
        connection = HTTPConnection("127.0.0.1", milonga.port, timeout=30)
        connection.request("GET", "/metrics")
        assert connection.getresponse().status == 404
        connection.close()
        assert milonga.stop() == 0


def test_a_pause_is_posted_once_and_its_end_once_also_over_a_restart(tmp_path: Path, alarm: Receiving) -> None:
    where = f"{alarm.url}/hooks/T0/secret-part"
    options = ("--metrics-port", "0", "--alert-every", "0.1", "--alert-url", where)
    with Milonga(tmp_path / "data", *options) as milonga:
        milonga.say("sources", "add", "web", "--write-key", KEY)
        milonga.say("destinations", "add", "webhook", "--source", "web", "--set", f"url={alarm.url}/_events")
        milonga.start()
        alarm.behave(status=503, times=1)
        milonga.say("destinations", "pause", "webhook")
        eventually(lambda: len(alerts(alarm, "destination_paused")) == 1, "the alert, after a first try in vain")
        assert scrape(address(milonga))["milonga_alert_firing", "destination_paused", "webhook"] == 1
        assert milonga.stop() == 0
        milonga.start()
        milonga.say("destinations", "resume", "webhook")
        eventually(lambda: len(alerts(alarm, "destination_paused")) == 2, "its end")
        fired, resolved = alerts(alarm, "destination_paused")
        assert (fired["state"], fired["name"]) == ("firing", "webhook")
        assert "paused since" in fired["says"]
        assert (resolved["state"], resolved["since"]) == ("resolved", fired["since"])
        assert milonga.stop() == 0
        events = [json.loads(line)["event"] for line in milonga.log_text().splitlines() if line.startswith("{")]
        assert (events.count("alert.firing"), events.count("alert.resolved")) == (1, 1)
        assert "secret-part" not in milonga.log_text()


def test_a_port_that_is_taken_and_an_address_that_is_none_are_refused_in_words(tmp_path: Path) -> None:
    with Receiving(pretend) as other, Milonga(tmp_path / "data") as milonga:
        port = other.url.rsplit(":", 1)[1]
        taken = milonga.run_apart("serve", "--port", "0", "--metrics-port", port)
        assert (taken.returncode, "--metrics-port" in taken.stderr) == (1, True), taken.stderr
        wrong = milonga.run_apart("serve", "--port", "0", "--alert-url", "ftp://x/secret-part")
        assert wrong.returncode == 1
        assert "--alert-url" in wrong.stderr
        assert "secret-part" not in wrong.stderr
