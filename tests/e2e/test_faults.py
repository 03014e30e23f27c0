"""What a receiver may do to us, and what then becomes of the events, as told by `explain`."""

from itertools import count
from typing import Any

from tests.e2e.conftest import KEY
from tests.receiving import Receiving, duplicates, first_deliveries, overlaps
from tests.running import Client, Milonga, eventually, track


def send(milonga: Milonga, events: list[dict[str, Any]]) -> None:
    with Client(milonga.port, KEY) as client:
        client.send(events)


def test_after_an_outage_everything_arrives_once_and_in_order(milonga: Milonga, totango: Receiving) -> None:
    totango.behave(status=503)
    send(milonga, [track(n, f"u{n % 5}", "acme") for n in range(100)])
    eventually(lambda: totango.received() >= 10, "tries during the outage")
    totango.behave_well()
    eventually(lambda: len(totango.accepted()) == 100, "all delivered")
    assert first_deliveries(totango.accepted()) == {
        ("acme", f"u{user}"): [f"e-{n}" for n in range(100) if n % 5 == user] for user in range(5)
    }
    assert duplicates(totango.accepted()) == 0
    assert not overlaps(totango.requests())
    at = milonga.explain("m-0")
    assert at["state"] == "delivered"
    assert at["tries"][0]["status"] == 503
    assert at["tries"][-1]["code"] == "delivered"


def test_a_connection_dropped_before_and_after_reading_loses_nothing(milonga: Milonga, totango: Receiving) -> None:
    totango.behave(drop="before", times=5)
    totango.behave(drop="after", times=5)
    send(milonga, [track(n, f"u{n % 4}", "acme") for n in range(40)])
    eventually(lambda: len({s.params["sdr_a"] for s in totango.accepted()}) == 40, "all delivered")
    eventually(lambda: milonga.explain("m-39")["state"] == "delivered", "the last one recorded")
    assert duplicates(totango.accepted()) <= 5  # those dropped after reading, and no others
    for key, found in first_deliveries(totango.accepted()).items():
        assert found == [f"e-{n}" for n in range(40) if f"u{n % 4}" == key[1]]
    assert not overlaps(totango.requests())
    assert any(milonga.explain(f"m-{n}")["perhapsMoreThanOnce"] for n in range(4))


def test_a_429_holds_the_destination_for_as_long_as_it_asks(milonga: Milonga, totango: Receiving) -> None:
    totango.behave(status=429, headers={"Retry-After": "1"}, times=1)
    send(milonga, [track(1, "u", "acme")])
    eventually(lambda: len(totango.accepted()) == 1, "delivered")
    refused, delivered = totango.requests()
    assert delivered.started - refused.started >= 1.0
    eventually(lambda: milonga.explain("m-1")["state"] == "delivered", "recorded")
    assert milonga.explain("m-1")["tries"][0]["code"] == "http_429"


def test_two_500s_for_every_event_only_delay_it(milonga: Milonga, totango: Receiving) -> None:
    totango.behave(status=[500, 500, 200])
    send(milonga, [track(n, f"u{n % 10}", f"a{n % 3}") for n in range(60)])
    eventually(lambda: len(totango.accepted()) == 60, "all delivered")
    assert duplicates(totango.accepted()) == 0
    for (account, user), found in first_deliveries(totango.accepted()).items():
        assert found == [f"e-{n}" for n in range(60) if (f"a{n % 3}", f"u{n % 10}") == (account, user)]
    eventually(lambda: milonga.explain("m-59")["state"] == "delivered", "recorded")
    assert [tried["status"] for tried in milonga.explain("m-0")["tries"]] == [500, 500, 200]


def test_401_for_all_pauses_and_new_settings_resume(milonga: Milonga, totango: Receiving) -> None:
    totango.behave(status=401)
    send(milonga, [track(n, f"u{n}", "acme") for n in range(10)])

    def destination() -> dict[str, Any]:
        return milonga.ask("destinations", "show", "totango")  # type: ignore[no-any-return]

    eventually(lambda: destination()["state"] == "paused", "paused")
    assert "401" in str(destination())
    at = milonga.explain("m-9")
    assert at["state"] in {"waiting", "retrying"}
    assert "destinations set totango" in at["fix"]
    totango.behave_well()
    before = len(totango.accepted())
    assert before == 0
    milonga.say("destinations", "set", "totango", "sdrToken=right")
    eventually(lambda: len(totango.accepted()) == 10, "all delivered")
    assert {seen.params["api-token"] for seen in totango.accepted()} == {"right"}
    assert destination()["state"] == "on"


def test_403_for_one_event_makes_only_that_one_a_dead_letter(milonga: Milonga, totango: Receiving) -> None:
    totango.behave(status=403, match={"sdr_a": "e-5"})
    send(milonga, [track(n, f"u{n % 3}", "acme") for n in range(6)])
    eventually(lambda: len(totango.accepted()) == 5, "the others delivered")
    send(milonga, [track(7, "u9", "acme")])
    eventually(lambda: len(milonga.ask("dead", "list")) == 1, "one dead letter")
    (letter,) = milonga.ask("dead", "list")
    assert (letter["messageId"], letter["code"]) == ("m-5", "http_403")
    at = milonga.explain("m-5")
    assert at["state"] == "dead"
    assert "403" in at["why"]
    assert milonga.ask("destinations", "show", "totango")["state"] == "on"

    totango.behave_well()
    milonga.say("dead", "resend", "m-5")
    eventually(lambda: milonga.explain("m-5")["state"] == "delivered", "resent")
    assert milonga.explain("m-5")["before"][0]["state"] == "dead"
    assert milonga.ask("dead", "list") == []


def test_a_hanging_webhook_changes_nothing_for_totango(milonga: Milonga, totango: Receiving) -> None:
    from milonga.destinations.webhook.fake import pretend

    with Receiving(pretend) as webhook:
        webhook.behave(delay_ms=600_000)
        milonga.say("destinations", "add", "webhook", "--source", "web", "--set", f"url={webhook.url}/hook")
        probes = count(1_000)

        def hangs() -> bool:
            send(milonga, [track(next(probes), "probe", "acme")])
            return webhook.received() > 0

        eventually(hangs, "the webhook has begun")
        send(milonga, [track(n, f"u{n}", "acme") for n in range(500)])
        wanted = {f"e-{n}" for n in range(500)}
        eventually(lambda: wanted <= {seen.params["sdr_a"] for seen in totango.accepted()}, "Totango has all")
        assert not [seen for seen in webhook.requests() if seen.status is not None], "it hung all the while"
