"""A disk that the log has filled: senders are refused politely, delivery goes on, the server stops and starts."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from milonga.eventlog.levels import MB
from tests.e2e.conftest import KEY
from tests.receiving import Receiving, duplicates
from tests.running import Milonga, eventually, track
from tests.small_disk import leave_free, small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Of 12 MB."""
    with small_disk(tmp_path, 12) as disk:
        yield disk


def post(milonga: Milonga, events: list[dict[str, Any]]) -> int:
    """The status."""
    with closing(HTTPConnection("127.0.0.1", milonga.port, timeout=30)) as connection:
        connection.request("POST", "/v1/batch", json.dumps({"writeKey": KEY, "batch": events}))
        return connection.getresponse().status


def fill(milonga: Milonga) -> set[str]:
    """Send until the log refuses; the events it took."""
    taken: set[str] = set()
    refused = batch = 0
    while refused < 3:
        batch += 1
        assert batch < 500, "the disk never got full"
        events = [track(batch * 100 + n, f"u{n}", f"a{n}", properties={"f": "x" * 1500}) for n in range(100)]
        if post(milonga, events) == 200:
            taken |= {str(event["event"]) for event in events}
        else:
            refused += 1
    return taken


def test_what_was_taken_is_delivered_while_the_disk_is_full(disk: Path, totango: Receiving) -> None:
    with Milonga(disk / "data") as milonga:
        milonga.say("sources", "add", "web", "--write-key", KEY)
        settings = ("--set", "serviceId=SP-1", "--set", f"endpoint={totango.url}")
        milonga.say("destinations", "add", "totango", "--source", "web", *settings)
        milonga.start()
        totango.behave(status=503)
        taken = fill(milonga)
        assert len(taken) > 500
        totango.behave_well()

        def delivered() -> set[str]:
            return {seen.params["sdr_a"] for seen in totango.accepted()}

        eventually(lambda: delivered() == taken, "all delivered")
        assert "cannot_record" not in milonga.log_text()
        assert duplicates(totango.accepted()) == 0
        begun = time.monotonic()
        assert milonga.stop() == 0
        assert time.monotonic() - begun < 50
        milonga.start()
        assert delivered() == taken
        assert duplicates(totango.accepted()) == 0


def test_on_a_disk_without_a_byte_left_it_stops_in_time_and_sends_what_was_left_when_there_is_room(
    disk: Path, totango: Receiving
) -> None:
    """Without a reserve delivery has no warning, as when others fill the disk between two of its looks."""
    with Milonga(disk / "data", "--disk-reserve", "0") as milonga:
        milonga.say("sources", "add", "web", "--write-key", KEY)
        settings = ("--set", "serviceId=SP-1", "--set", f"endpoint={totango.url}")
        milonga.say("destinations", "add", "totango", "--source", "web", *settings)
        milonga.start()
        totango.behave(status=503)
        assert post(milonga, [track(n, f"u{n}", "acme") for n in range(500)]) == 200
        eventually(lambda: totango.received() > 0, "tries")
        ballast = disk / "ballast"
        subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=4096"], capture_output=True, check=False)
        totango.behave_well()
        eventually(lambda: len(totango.accepted()) > 0, "sent, but not recorded")
        begun = time.monotonic()
        milonga.stop()
        assert time.monotonic() - begun < 50
        ballast.unlink()
        milonga.start()
        eventually(
            lambda: {s.params["sdr_a"] for s in totango.accepted()} == {f"e-{n}" for n in range(500)}, "the rest"
        )


def level(milonga: Milonga) -> tuple[int, str]:
    """What /readyz says: the status, and the disk's level."""
    with closing(HTTPConnection("127.0.0.1", milonga.port, timeout=30)) as connection:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())["disk"]


def test_each_level_is_shown_delivery_goes_on_in_the_reserve_and_stops_before_its_end(
    tmp_path: Path, totango: Receiving
) -> None:
    """
    Somebody else fills the disk at one blow. Until delivery looks again, it records its tries: what that takes, with
    the write-ahead logs of delivery.db and outcomes (1 MB each, at most), must be there, or it says that it cannot.
    """
    marks = ("--disk-reserve", "32MB")  # so low is 56 MB, and the last part 4 MB
    with small_disk(tmp_path, 80) as disk, Milonga(disk / "data", *marks) as milonga:
        milonga.say("sources", "add", "web", "--write-key", KEY)
        settings = ("--set", "serviceId=SP-1", "--set", f"endpoint={totango.url}")
        milonga.say("destinations", "add", "totango", "--source", "web", *settings)
        milonga.start()

        def delivered() -> int:
            return len({seen.params["sdr_a"] for seen in totango.accepted()} - {"e-999"})

        assert level(milonga) == (200, "fine")
        leave_free(disk, 45 * MB)
        eventually(lambda: level(milonga) == (200, "low"), "low")
        assert post(milonga, [track(n, f"u{n}", "acme") for n in range(100)]) == 200
        eventually(lambda: delivered() == 100, "everything goes on")
        totango.behave(status=503, headers={"Retry-After": 1})
        assert post(milonga, [track(n, f"u{n}", "acme") for n in range(100, 200)]) == 200

        leave_free(disk, 20 * MB)
        eventually(lambda: level(milonga) == (503, "high_water"), "the high-water mark")
        eventually(lambda: post(milonga, [track(999, "u", "acme")]) == 503, "senders are refused")
        assert "level high_water" in milonga.run("destinations", "list").stderr
        totango.behave_well()
        eventually(lambda: delivered() == 200, "delivered in the reserve")

        leave_free(disk, 46 * MB)
        eventually(lambda: level(milonga) == (200, "low"), "events are taken again")
        totango.behave(status=503, headers={"Retry-After": 1})
        assert post(milonga, [track(n, f"u{n}", "acme") for n in range(200, 300)]) == 200
        leave_free(disk, 3 * MB)
        eventually(lambda: level(milonga) == (503, "used_up"), "the reserve is used up")
        eventually(lambda: "delivery.disk_used_up" in milonga.log_text(), "delivery stops")
        totango.behave_well()
        leave_free(disk, 70 * MB)
        eventually(lambda: delivered() == 300, "delivery goes on by itself, and nothing is lost")
        eventually(lambda: level(milonga) == (200, "fine"), "there is room")
        assert milonga.stop() == 0
        assert duplicates(totango.accepted()) == 0
        log = milonga.log_text()
        levels = [json.loads(line)["disk"] for line in log.splitlines() if '"disk.level"' in line]
        assert set(levels) >= {"low", "high_water", "used_up"}
        assert "cannot_record" not in log
