"""An outage is visible, and an event that waits says what for."""

from typing import Any

from tests.e2e.conftest import KEY
from tests.receiving import Receiving
from tests.running import Client, Milonga, eventually, track


def send(milonga: Milonga, *events: dict[str, Any]) -> None:
    with Client(milonga.port, KEY) as client:
        client.send(list(events))


def standing(milonga: Milonga) -> dict[str, Any]:
    (one,) = milonga.ask("destinations", "list")
    assert isinstance(one, dict)
    return one


def test_an_outage_is_visible_at_the_destination_and_at_each_event(milonga: Milonga, totango: Receiving) -> None:
    assert (standing(milonga)["serverRunning"], standing(milonga)["waiting"] or 0) == (True, 0)
    totango.behave(status=503)
    send(milonga, *(track(n, f"u{n}", f"a{n}") for n in range(20)))
    told: dict[str, Any] = {}

    def is_open() -> bool:
        told.update(standing(milonga))
        return bool(told["breaker"] == "open" and told["waiting"] == 20)

    eventually(is_open, "the breaker open")  # now and then it is half open, as long as one request is out
    assert told["oldestWaitingAt"] <= told["asOf"]
    assert told["drain"]["is"] == "down"
    assert told["lastFailure"]["code"] == "http_503"
    assert told["breakerUntil"] > told["lastFailure"]["at"]
    assert told["lastDeliveredAt"] is None
    for words in (("list",), ("show", "totango")):
        said: list[str] = []

        def says_until(words: tuple[str, ...] = words, said: list[str] = said) -> bool:
            said.append(milonga.say("destinations", *words))
            return "nothing is sent until" in said[-1]

        eventually(says_until, "until when nothing is sent")
        assert "http_503, Totango answered 503" in said[-1]
        assert "waits: the destination does not answer" in said[-1]
    at = milonga.explain("m-3")
    assert "breaker" in at["waitsFor"]
    assert "does not answer as it should (last: http_503" in at["why"]
    assert "would send: POST" in milonga.say("explain", "m-3")

    totango.behave_well()
    eventually(lambda: standing(milonga)["waiting"] == 0, "the outage over")
    told = standing(milonga)
    assert (told["breaker"], told["breakerUntil"], told["oldestWaitingAt"]) == ("closed", None, None)
    assert told["lastDeliveredAt"] > told["lastFailure"]["at"]
    assert told["drain"] == {"is": "nothing", "seconds": None, "says": "nothing waits"}


def test_an_event_names_the_one_it_goes_after(milonga: Milonga, totango: Receiving) -> None:
    totango.behave(status=503, match={"sdr_a": "e-1"})
    send(milonga, track(1, "ada", "acme"), track(2, "bob", "acme"), track(3, "ada", "acme"))
    eventually(lambda: milonga.explain("m-1")["state"] == "retrying", "the first one failed")
    first, behind = milonga.explain("m-1"), milonga.explain("m-3")
    assert first["behind"] is None
    assert "Totango answered 503" in first["why"]
    assert behind["state"] == "waiting"
    assert behind["waitsFor"] == ["event"]
    assert (behind["behind"]["messageId"], behind["behind"]["code"]) == ("m-1", "http_503")
    assert behind["behind"]["nextTry"]
    assert "It goes after m-1, which failed (http_503)" in behind["why"]
    assert "milonga explain m-1" in behind["fix"]
    eventually(lambda: milonga.explain("m-2")["state"] == "delivered", "another user's")


def test_a_long_line_is_parked_and_still_names_its_first(milonga: Milonga, totango: Receiving) -> None:
    totango.behave(status=503, match={"sdr_u": "ada"})
    send(milonga, *(track(n, "ada", "acme") for n in range(150)))
    eventually(lambda: "parked" in milonga.explain("m-149")["waitsFor"], "parked")
    at = milonga.explain("m-149")
    assert at["behind"]["messageId"] == "m-0"
    assert "parked on disk" in at["why"]


def test_without_a_server_it_says_so_and_no_next_try_lies_in_the_past(milonga: Milonga, totango: Receiving) -> None:
    totango.behave(status=503)
    send(milonga, track(1, "ada", "acme"))
    eventually(lambda: milonga.explain("m-1")["state"] == "retrying", "a try")
    milonga.stop()
    eventually(lambda: bool(milonga.explain("m-1")["overdue"]), "its time has come")
    at = milonga.explain("m-1")
    assert at["waitsFor"][0] == "server"
    assert "No server is running on this data directory" in at["why"]
    assert "Its next try was due" in at["why"]
    assert "is due" not in at["why"]
    assert "milonga serve" in at["fix"]
    assert standing(milonga)["serverRunning"] is False
    done = milonga.run("destinations", "list")
    assert "No server is running" in done.stderr
    assert "No server is running" in milonga.say("explain", "--account", "acme", "--summary")

    milonga.say("destinations", "pause", "totango", "--reason", "audit")
    at = milonga.explain("m-1")
    assert at["waitsFor"][:2] == ["server", "paused"]
    assert "paused since" in at["why"]
    assert "audit" in at["why"]
    milonga.say("destinations", "disable", "totango")
    assert milonga.explain("m-1")["waitsFor"] == ["server", "off"]
    milonga.start()
    eventually(lambda: milonga.explain("m-1")["code"] == "destination_off", "ended")
    assert "would have sent: POST" in milonga.say("explain", "m-1")


def test_a_pause_by_the_pipeline_says_how_to_mend_it_once(milonga: Milonga, totango: Receiving) -> None:
    totango.behave(status=401)
    send(milonga, *(track(n, f"u{n}", f"a{n}") for n in range(5)))
    eventually(lambda: standing(milonga)["state"] == "paused", "paused")
    at = milonga.explain("m-4")
    assert at["waitsFor"][0] == "paused"
    assert "milonga destinations set totango" in at["fix"]
    said = milonga.say("explain", "m-4")
    sentences = [one.strip() for line in said.splitlines() for one in line.split(". ") if len(one) > 20]
    assert len(sentences) == len(set(sentences)), said
