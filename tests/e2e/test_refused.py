"""What is refused at the door of a real server is found again: in its counts, in its log, and where one would look."""

import asyncio
import base64
import json
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from milonga.collector.stamp import stamp
from milonga.eventlog.api import Refusal
from milonga.eventlog.sqlite import SqliteLog, now_ms
from milonga.identity.message_id import new_message_id
from milonga.spec.decode import decode
from milonga.spec.stored import Stamped
from tests.e2e.conftest import KEY
from tests.running import Client, Milonga, eventually, track

DAY = 86_400_000  #: milliseconds
EVIL = "https://shop.exmaple.com"


def ask(milonga: Milonga, method: str, key: str | None = None, **headers: str) -> int:
    if key is not None:
        headers["Authorization"] = f"Basic {base64.b64encode(f'{key}:'.encode()).decode()}"
    connection = HTTPConnection("127.0.0.1", milonga.port, timeout=60)
    try:
        connection.request(method, "/v1/t", json.dumps({"userId": "u", "event": "e"}), headers)
        return connection.getresponse().status
    finally:
        connection.close()


def refused(milonga: Milonga) -> dict[str | None, dict[str, int]]:
    return {row["source"]: row["refusedByCode"] for row in milonga.ask("events", "counts") if row["refused"]}


def warnings(milonga: Milonga) -> dict[tuple[str, str | None], dict[str, Any]]:
    lines = [json.loads(line) for line in milonga.log_text().splitlines() if '"event": "refused"' in line]
    return {(line["code"], line["source"]): line for line in lines}


def test_what_was_refused_is_counted_told_and_explained(milonga: Milonga) -> None:
    milonga.say("sources", "set", "web", "origins=https://shop.example.com", "rateLimit=1")
    eventually(lambda: ask(milonga, "OPTIONS", Origin=EVIL) == 403, "the origins are in force")
    eventually(lambda: ask(milonga, "POST", KEY) == 429, "the limit is reached")
    assert [ask(milonga, "POST", "k-mistyped") for _ in range(3)] == [401] * 3
    eventually(lambda: refused(milonga).get(None, {}).get("unknown_write_key") == 3, "counted")
    found = refused(milonga)
    assert found[None]["origin_not_allowed"] >= 1
    assert found["web"]["rate_limited"] >= 1

    said = milonga.say("events", "counts")
    assert "3 unknown_write_key" in said
    for words in ("milonga sources list", "origins=", "rateLimit="):
        assert words in said
    assert "`milonga events counts`" in milonga.run("events", "discarded").stderr
    done = milonga.run("explain", "--account", "acme")
    assert "requests were refused in the last 24 hours: `milonga events counts`" in done.stderr
    told = warnings(milonga)
    assert told["unknown_write_key", None]["latest"] == ["k-mist... from 127.0.0.1"]
    assert told["origin_not_allowed", None]["latest"] == [EVIL]
    assert told["rate_limited", "web"]["level"] == "warning"

    assert ask(milonga, "POST", "k-mistyped") == 401
    milonga.stop()
    assert refused(milonga)[None]["unknown_write_key"] == 4


def test_nothing_refused_nothing_said(milonga: Milonga) -> None:
    with Client(milonga.port, KEY) as client:
        client.send([track(1, "ada", "acme")])
    milonga.stop()
    (row,) = milonga.ask("events", "counts")
    assert (row["refused"], row["refusedByCode"]) == (0, {})
    assert "refused" not in milonga.say("explain", "--account", "acme")
    assert "refused" not in milonga.run("explain", "--account", "other").stderr
    assert warnings(milonga) == {}


def test_only_an_account_that_is_silent_is_told_of_what_was_refused(tmp_path: Path) -> None:
    milonga = Milonga(tmp_path / "data")
    milonga.say("sources", "add", "web", "--write-key", KEY)
    now = now_ms()

    def event(account: str, minutes_ago: int) -> list[Stamped]:
        decoded = decode(json.dumps(track(minutes_ago, "ada", account)).encode(), "track")
        assert decoded is not None
        return stamp(decoded.events, 1, now - minutes_ago * 60_000, new_message_id)

    async def write() -> None:
        log = await SqliteLog.open(milonga.data / "log")
        await log.append([*event("silent", 90), *event("lively", 1)])
        log.refused([Refusal(source=0, at=now, code="busy", count=1)])
        log.refused([Refusal(source=0, at=now - 2 * DAY, code="busy", count=5)])
        await log.close()

    asyncio.run(write())
    assert "1 request was refused in the last 24 hours: `milonga events counts`" in milonga.say(
        "explain", "--account", "silent"
    )
    assert "refused" not in milonga.say("explain", "--account", "lively")
