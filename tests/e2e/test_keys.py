"""Write keys are exchanged on a running server: with an overlap, at once, and over a restart."""

import base64
import json
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from tests.running import Milonga, eventually


@pytest.fixture(scope="module")
def milonga(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Milonga]:
    with Milonga(tmp_path_factory.mktemp("keys") / "data", "--single") as milonga:
        milonga.say("sources", "add", "web", "--write-key", "first")
        yield milonga.start()


def sent(milonga: Milonga, key: str) -> tuple[int, str]:
    """Status and code of the answer."""
    connection = HTTPConnection("127.0.0.1", milonga.port, timeout=60)
    basic = base64.b64encode(f"{key}:".encode()).decode()
    event = json.dumps({"userId": "ada", "event": "Paid"})
    connection.request("POST", "/v1/track", event, {"Authorization": f"Basic {basic}"})
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    return answer.status, body.get("code", "")


def test_both_keys_let_senders_in_until_the_old_one_ends_and_then_only_the_new_one(milonga: Milonga) -> None:
    rotated = milonga.ask("sources", "keys", "rotate", "web", "--write-key", "second")
    assert [one["writeKey"] for one in rotated["ends"]] == ["first"]
    assert sent(milonga, "first") == sent(milonga, "second") == (200, "")

    def used() -> bool:
        return all(one["usedAt"] for one in milonga.ask("sources", "keys", "list", "web"))

    eventually(used, "both were seen in use")
    warned = milonga.run("sources", "keys", "list", "web").stderr
    assert "Write key first of web ends in" in warned
    assert "sources keys end web first" in warned
    milonga.say("sources", "keys", "end", "web", "first", "--in", "0", "--yes")
    eventually(lambda: sent(milonga, "first") == (401, "write_key_ended"), "the old key is refused")
    assert sent(milonga, "second") == (200, "")
    assert sent(milonga, "third") == (401, "unknown_write_key")
    milonga.stop()
    milonga.start()
    assert sent(milonga, "first") == (401, "write_key_ended")
    assert sent(milonga, "second") == (200, "")

    def told() -> bool:
        rows = {one["source"]: one["refusedByCode"] for one in milonga.ask("events", "counts")}
        return int(rows["web"].get("write_key_ended", 0)) >= 2

    eventually(told, "who still sends with it is counted, and for the source")
