"""A replay from the first look to the end: deliver, change a setting, compare, send once more, killed in the middle."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from milonga.delivery.replaying import ON_THEIR_WAY
from tests.e2e.conftest import KEY
from tests.receiving import Receiving, overlaps
from tests.running import Client, Milonga, eventually, track

ACCOUNTS, TRACKS = 10, 60
NEW = "SP-2-02"


def group(message_id: str, **traits: Any) -> dict[str, Any]:
    return {"type": "group", "messageId": message_id, "userId": "u", "groupId": "a0", "traits": traits}


def send(milonga: Milonga, *events: dict[str, Any]) -> None:
    with Client(milonga.port, KEY) as client:
        client.send(list(events))


def test_a_replay_sends_each_event_once_more_behind_live_ones_although_it_is_killed(
    milonga: Milonga, totango: Receiving
) -> None:
    send(milonga, group("g-1", plan="free", seats=1), group("g-2", plan="paid"))
    send(milonga, *(track(n, "u", f"a{n % ACCOUNTS}") for n in range(TRACKS)))
    excluded = track(TRACKS, "u", "a1", integrations={"Totango": False})
    send(milonga, excluded)
    eventually(lambda: len(totango.accepted()) == TRACKS + 2, "all of it")
    eventually(lambda: milonga.explain(f"m-{TRACKS}")["state"] == "skipped", "the excluded one")

    milonga.say("destinations", "set", "totango", f"serviceId={NEW}")
    probes = iter(range(1_000, 2_000))

    def in_force() -> bool:
        send(milonga, track(next(probes), "probe", "probe"))
        return any(seen.params["sdr_s"] == NEW for seen in totango.accepted())

    eventually(in_force, "the new Service ID")

    told = milonga.ask("replay", "totango", "--from", "1h", "--account", "a0", "--dry-run")
    fates = {(one["first"], one["now"], one["code"]): one["events"] for one in told["outcomes"]}
    assert fates == {("delivered", "changed", ""): 2 + TRACKS // ACCOUNTS}
    assert told["leftOut"] == 1
    assert {one["field"] for one in told["fields"]} == {"account.sdr_s", "activity.sdr_s"}
    assert milonga.run("replay", "totango", "--from", "1h").returncode == 1, "nobody is here to agree"

    totango.clear()
    done = milonga.run("replay", "totango", "--from", "1h", "--to", "now", "--rate", "40", "--yes", "--json")
    assert "Totango dates what arrives by its arrival" in done.stderr
    number = int(json.loads(done.stdout)["replay"])
    live = iter(range(10_000, 20_000))
    sent_live: list[int] = []

    def go_on() -> None:
        n = next(live)
        sent_live.append(n)
        send(milonga, track(n, "u", f"a{n % ACCOUNTS}"))

    def is_under_way() -> bool:
        go_on()
        return len(names(totango)) - len(sent_live) > 20

    eventually(is_under_way, "some of it")
    eventually(milonga.kill_delivery, "a process to kill")
    killed_after = len(totango.requests())

    def is_done() -> bool:
        go_on()
        return bool(milonga.ask("replays", "show", str(number))["state"] == "done")

    eventually(is_done, "the end")
    eventually(lambda: {f"e-{n}" for n in sent_live} <= names(totango).keys(), "all live ones")

    again = names(totango)
    assert all(again[f"e-{n}"] >= 1 for n in range(TRACKS + 1)), "also the one its sender had excluded"
    assert sum(again[f"e-{n}"] - 1 for n in range(TRACKS + 1)) <= ON_THEIR_WAY, "what was recorded was sent again"
    requests = totango.requests()
    assert not overlaps(requests[:killed_after])
    assert not overlaps(requests[killed_after:])
    for account in range(ACCOUNTS):
        mine = [n for n in sent_live if n % ACCOUNTS == account]
        came = [seen.params.get("sdr_a", "") for seen in totango.accepted()]
        assert [name for name in dict.fromkeys(came) if name in {f"e-{n}" for n in mine}] == [f"e-{n}" for n in mine]
    attributes = [seen.params for seen in totango.accepted() if "sdr_a" not in seen.params]
    assert {params.get("sdr_o.Status") for params in attributes if "sdr_o.seats" in params} == {None}, "overwritten"

    shown = milonga.ask("replays", "show", str(number))
    counts = {(one["state"], one["code"]): one["events"] for one in shown["outcomes"]}
    assert counts["delivered", ""] >= TRACKS + 3
    assert (shown["left"], shown["onTheirWay"], shown["gone"]) == (0, 0, 0)
    at = milonga.explain("m-0")
    assert (at["state"], at["replay"]) == ("delivered", number)
    assert [(old["state"], "replay" in old) for old in at["before"]] == [("delivered", False)]
    assert f"by replay {number}" in milonga.say("explain", "m-0")
    assert milonga.explain(f"m-{TRACKS}")["before"][0]["state"] == "skipped"


def test_what_a_filter_kept_back_is_sent_once_that_is_gone_and_nothing_else(tmp_path: Path, totango: Receiving) -> None:
    with Milonga(tmp_path / "data") as milonga:
        milonga.say("sources", "add", "web", "--write-key", KEY)
        settings = ("--set", "serviceId=SP-1-01", "--set", f"endpoint={totango.url}/pixel.gif/")
        milonga.say("destinations", "add", "totango", "--source", "web", *settings)
        milonga.say("destinations", "filters", "totango", "add", "odd", "--when", "properties.odd == 1", "--drop")
        milonga.start()
        send(milonga, *(track(n, "u", f"a{n % 3}", properties={"odd": n % 2}) for n in range(12)))
        eventually(lambda: milonga.explain("m-11")["code"] == "filter:odd", "the last one is skipped")
        eventually(lambda: len(totango.accepted()) == 6, "the others are delivered")

        of_code = ("replay", "totango", "--from", "1h", "--code", "filter:odd")
        told = milonga.ask(*of_code, "--dry-run")
        assert [(one["now"], one["code"], one["events"]) for one in told["outcomes"]] == [("skipped", "filter:odd", 6)]
        milonga.say("destinations", "filters", "totango", "remove", "odd")
        told = milonga.ask(*of_code, "--dry-run")
        assert (told["looked"], told["send"]) == (6, 6)
        number = json.loads(milonga.run(*of_code, "--yes", "--json").stdout)["replay"]
        eventually(lambda: milonga.ask("replays", "show", str(number))["state"] == "done", "the end")

        assert names(totango) == Counter(f"e-{n}" for n in range(12))
        shown = milonga.ask("replays", "show", str(number))
        assert shown["outcomes"] == [{"state": "delivered", "code": "", "events": 6}]
        at = milonga.explain("m-11")
        assert (at["state"], at["replay"], at["before"][0]["code"]) == ("delivered", number, "filter:odd")
        assert milonga.ask(*of_code, "--dry-run")["events"] == 0, "they are delivered by now"


def names(totango: Receiving) -> Counter[str]:
    return Counter(str(seen.params["sdr_a"]) for seen in totango.accepted() if "sdr_a" in seen.params)
