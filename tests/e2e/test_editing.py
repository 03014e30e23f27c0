"""Dead letters that are edited and resent, and exported."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from tests.e2e.conftest import KEY
from tests.receiving import Receiving
from tests.running import Client, Milonga, eventually, track


def refused(milonga: Milonga, totango: Receiving) -> None:
    """Two of three events are dead letters."""
    totango.behave(status=400, match={"sdr_a": "e-1"})
    with Client(int(milonga.url.rpartition(":")[2]), KEY) as client:
        client.send([track(1, "ada", "acme"), track(2, "ada", "acme"), track(3, "=cmd()", "acme") | {"event": "e-1"}])
    eventually(lambda: len(milonga.ask("dead", "list")) == 2, "dead letters")


def edit(milonga: Milonga, tmp_path: Path, **said: Any) -> tuple[int, str]:
    (letter,) = milonga.ask("dead", "show", "m-1")
    file = tmp_path / "event.json"
    file.write_text(json.dumps(letter["event"] | said, indent=2))
    done = milonga.run("dead", "edit", "m-1", "--file", str(file))
    return done.returncode, done.stdout + done.stderr


def test_dead_letters_are_exported_and_mended_and_thrown_away(
    milonga: Milonga, totango: Receiving, tmp_path: Path
) -> None:
    refused(milonga, totango)
    lines = [json.loads(line) for line in milonga.say("dead", "export").splitlines()]
    assert [line["messageId"] for line in lines] == ["m-1", "m-3"]
    assert lines[0]["event"]["event"] == "e-1"
    text = milonga.say("dead", "export", "--format", "csv", "--code", "http_400")
    (head, *rows) = list(csv.reader(io.StringIO(text)))
    table = [dict(zip(head, row, strict=True)) for row in rows]
    assert [row["user"] for row in table] == ["ada", "'=cmd()"]
    assert json.loads(table[0]["event"])["event"] == "e-1"

    before = milonga.ask("events", "show", "m-1")
    code, words = edit(milonga, tmp_path, userId=None)
    assert code == 1
    assert "userId" in words
    assert len(milonga.ask("dead", "list")) == 2
    code, words = edit(milonga, tmp_path, event="Paid")
    assert (code, words) == (0, "1 dead letter edited and resent.\n")
    eventually(lambda: milonga.explain("m-1")["state"] == "delivered", "delivered")
    assert [seen.params["sdr_a"] for seen in totango.accepted()][-1] == "Paid"
    told = milonga.explain("m-1")
    assert told["edited"]["by"] == "cli"
    assert told["edited"]["event"]["event"] == "Paid"
    assert told["requests"][0]["body"]["sdr_a"] == "Paid"
    assert "edited by cli" in milonga.say("explain", "m-1")
    assert milonga.ask("events", "show", "m-1") == before, "what arrived stays as it was"
    (row,) = [row for row in milonga.ask("audit") if row["what"] == "command.edit"]
    assert row["by"] == "cli"
    assert '"0-1"' in json.dumps(row)
    assert "Paid" not in json.dumps(row)
    assert milonga.ask("dead", "discard", "--code", "http_400", "--yes") == {"asked": 1, "discarded": 1}
