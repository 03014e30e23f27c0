"""`milonga parked`, on a running server and before one starts."""

import json
from pathlib import Path
from typing import Any

from milonga.delivery.limits import Limits
from tests.e2e.conftest import KEY
from tests.receiving import Receiving
from tests.running import Client, Milonga, eventually, track

MANY = Limits().lane + 20  #: events behind one key: its line is parked


def test_parked_keys_are_listed_skipped_edited_and_released(
    milonga: Milonga, totango: Receiving, tmp_path: Path
) -> None:
    totango.behave(status=503, match={"sdr_o": "acme"}, headers={"Retry-After": 600})

    def lines() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = milonga.ask("parked", "list", "totango", "--account", "acme")
        return found

    with Client(milonga.port, KEY) as client:
        client.send([track(n, "ada", "acme") for n in range(MANY)])
    eventually(
        lambda: [(one["waiting"], one["code"]) for one in lines()] == [(MANY, "http_503")], "parked, and refused"
    )
    (line,) = lines()
    assert (line["key"], line["account"], line["user"]) == (["acme", "ada"], "acme", "ada")
    refused = milonga.run("parked", "skip", "totango", "--account", "acme")
    assert refused.returncode == 1
    assert "--yes" in refused.stderr
    assert milonga.run("parked", "retry", "totango", "--account", "other").returncode == 1

    said = milonga.ask("parked", "skip", "totango", "--key", '["acme","ada"]', "--yes")
    assert said == {"asked": 1, "done": 1, "underWay": 0}
    told = milonga.explain("m-0")
    assert (told["state"], told["code"]) == ("skipped", "skipped_by_hand")
    assert told["tries"][-1]["reason"] == "Skipped by hand, by cli."

    refused_too = [({"partition": 0, "offset": 2}, "http_503")]
    eventually(lambda: [(one["first"], one["code"]) for one in lines()] == refused_too, "the next one is refused")
    mended = tmp_path / "event.json"
    mended.write_text(json.dumps(track(1, "ada", "acme") | {"event": "Mended"}))
    edit = ("parked", "edit", "totango", "--account", "acme", "--user", "ada", "--file", str(mended), "--json")
    eventually(lambda: '"done": 1' in milonga.run(*edit).stdout, "it is edited, once it is back on disk")
    told = milonga.explain("m-1")
    assert (told["state"], told["edited"]["by"], told["edited"]["event"]["event"]) == ("waiting", "cli", "Mended")
    assert [(one["first"], one["attempts"], one["code"]) for one in lines()] == [({"partition": 0, "offset": 2}, 0, "")]

    milonga.stop()
    totango.behave_well()
    done = milonga.run("parked", "release", "totango", "--account", "acme", "--user", "ada")
    assert done.returncode == 0
    assert "No server is running" in done.stderr
    milonga.start()
    eventually(lambda: len(totango.accepted()) == MANY - 1, "released at the start")
    assert [seen.params["sdr_a"] for seen in totango.accepted()] == [
        "Mended",
        *(f"e-{n}" for n in range(2, MANY)),
    ]
    eventually(lambda: lines() == [], "nothing is parked any more")
