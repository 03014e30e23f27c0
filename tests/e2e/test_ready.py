"""`/readyz` tells the truth: whether events can be kept."""

import json
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.e2e.conftest import KEY
from tests.running import Milonga, eventually, track
from tests.small_disk import small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Of 8 MB."""
    with small_disk(tmp_path, 8) as disk:
        yield disk


def post(milonga: Milonga, number: int) -> tuple[int, str]:
    event = track(number, "u", "a", properties={"filler": "x" * 30_000})
    with closing(HTTPConnection("127.0.0.1", milonga.port, timeout=10)) as connection:
        connection.request("POST", "/v1/batch", json.dumps({"writeKey": KEY, "batch": [event]}))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def ready(milonga: Milonga) -> int:
    with closing(HTTPConnection("127.0.0.1", milonga.port, timeout=10)) as connection:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        answer.read()
        return answer.status


def test_a_full_disk_is_not_ready_and_room_makes_it_ready_without_an_event(disk: Path) -> None:
    """What the server logs goes to a file on the same disk, and is no reason to stop either."""
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * 2_000_000)
    with Milonga(disk / "data") as milonga:
        milonga.say("sources", "add", "web", "--write-key", KEY)
        milonga.start()
        assert ready(milonga) == 200
        number = 0
        while (answer := post(milonga, number))[0] == 200:
            number += 1
            assert number < 1_000, "the disk never got full"
        assert answer[0] == 503
        assert "log_full" in answer[1]
        assert ready(milonga) == 503
        assert "log_full" in post(milonga, number)[1]  # each event is tried all the same
        ballast.unlink()
        eventually(lambda: ready(milonga) == 200, "ready again")
        assert post(milonga, number)[0] == 200
        assert milonga.stop() == 0
