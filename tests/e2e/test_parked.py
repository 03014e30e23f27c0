"""`milonga parked`, on a running server and before one starts."""

from typing import Any

from milonga.delivery.limits import Limits
from tests.e2e.conftest import KEY
from tests.receiving import Receiving
from tests.running import Client, Milonga, eventually, track

MANY = Limits().lane + 20  #: events behind one key: its line is parked


def test_parked_keys_are_listed_skipped_and_released(milonga: Milonga, totango: Receiving) -> None:
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

    milonga.stop()
    totango.behave_well()
    done = milonga.run("parked", "release", "totango", "--account", "acme", "--user", "ada")
    assert done.returncode == 0
    assert "No server is running" in done.stderr
    milonga.start()
    eventually(lambda: len(totango.accepted()) == MANY - 1, "released at the start")
    assert [seen.params["sdr_a"] for seen in totango.accepted()] == [f"e-{n}" for n in range(1, MANY)]
    eventually(lambda: lines() == [], "nothing is parked any more")
