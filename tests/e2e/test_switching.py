"""What a person changes is in force in the running server, and nothing goes missing while it does."""

import threading
from typing import Any

from tests.e2e.conftest import KEY
from tests.receiving import Receiving, first_deliveries
from tests.running import Client, Milonga, batches, eventually, track

PROMISE = 5.0  #: seconds


def send(milonga: Milonga, *events: dict[str, Any]) -> None:
    with Client(milonga.port, KEY) as client:
        client.send(list(events))


def test_a_changed_service_id_is_in_force_within_five_seconds(milonga: Milonga, totango: Receiving) -> None:
    milonga.say("destinations", "set", "totango", "serviceId=SP-2-02")
    numbers = iter(range(1000))

    def in_force() -> bool:
        send(milonga, track(next(numbers), "u", "a"))
        return any(seen.params["sdr_s"] == "SP-2-02" for seen in totango.requests())

    eventually(in_force, "the new Service ID", PROMISE)


def test_off_ends_what_waits_and_on_begins_anew(milonga: Milonga, totango: Receiving) -> None:
    totango.behave(status=503)
    send(milonga, *(track(n, f"u{n}", "a") for n in range(20)))
    eventually(lambda: totango.received() > 0, "a try")
    milonga.say("destinations", "disable", "totango")
    eventually(lambda: milonga.explain("m-19")["code"] == "destination_off", "the waiting ones ended", PROMISE)
    assert all(milonga.explain(f"m-{n}")["state"] == "skipped" for n in range(3))
    send(milonga, track(100, "u", "a"))
    milonga.say("destinations", "enable", "totango")
    totango.behave_well()
    send(milonga, track(200, "u", "a"))
    eventually(lambda: milonga.explain("m-200")["state"] == "delivered", "the one after switching on", PROMISE)
    assert milonga.explain("m-100")["state"] == "never"
    assert "while the destination was off" in milonga.explain("m-100")["why"]
    assert [seen.params["sdr_a"] for seen in totango.accepted()] == ["e-200"]


def test_a_pause_keeps_everything_and_its_order(milonga: Milonga, totango: Receiving) -> None:
    milonga.say("destinations", "pause", "totango")
    probes = iter(range(1_000, 2_000))

    def in_force() -> bool:
        """An event stays: one that came just before the pause was noticed is delivered within milliseconds."""
        number = next(probes)
        send(milonga, track(number, "settle", "b"))
        try:
            eventually(lambda: any(seen.params["sdr_a"] == f"e-{number}" for seen in totango.accepted()), "it came", 1)
        except AssertionError:
            return True
        return False

    eventually(in_force, "the pause", PROMISE)
    before = len(totango.accepted())
    with Client(milonga.port, KEY) as client:
        for batch in batches([track(1 + n, f"u{n % 3}", "a") for n in range(300)], 100):
            client.send(batch)
    assert "paused" in milonga.explain("m-300")["why"]
    assert len(totango.accepted()) == before
    milonga.say("destinations", "resume", "totango")
    eventually(lambda: len(totango.accepted()) == before + 301, "all of it")
    for user in range(3):
        assert first_deliveries(totango.accepted())["a", f"u{user}"] == [
            f"e-{1 + n}" for n in range(300) if n % 3 == user
        ]


def test_a_new_write_key_lets_in_at_once_and_a_removed_one_no_longer(milonga: Milonga, totango: Receiving) -> None:
    milonga.say("sources", "add", "app", "--write-key", "k-new")
    with Client(milonga.port, "k-new") as client:
        client.send([track(1, "u", "a")])
    milonga.say("sources", "remove", "app", "--yes")

    def refused() -> bool:
        try:
            with Client(milonga.port, "k-new") as client:
                client.send([track(2, "u", "a")])
        except AssertionError as error:
            return "401" in str(error)
        return False

    eventually(refused, "the removed key refused", PROMISE)
    assert totango.received() == 0  # that source has no destination


def test_a_second_server_refuses_and_names_the_first(milonga: Milonga) -> None:
    second = milonga.run_apart("serve", "--port", "0")
    assert second.returncode == 1
    assert str(milonga.pid) in second.stderr


def test_a_graceful_stop_under_load_loses_nothing_and_repeats_nothing(milonga: Milonga, totango: Receiving) -> None:
    totango.behave(delay_ms=20)
    stop = threading.Event()
    sent: list[int] = []

    def load() -> None:
        with Client(milonga.port, KEY) as client:
            for n in range(100_000):
                if stop.is_set():
                    return
                client.send([track(n, f"u{n % 50}", "a")])
                sent.append(n)

    sender = threading.Thread(target=load)
    sender.start()
    for _ in range(3):
        before = len(sent)
        eventually(lambda before=before: len(sent) > before + 100, "load")  # type: ignore[misc]
        assert milonga.stop() == 0
        milonga.start()
    stop.set()
    sender.join()
    eventually(lambda: len(totango.accepted()) >= len(sent), "all delivered")
    names = [seen.params["sdr_a"] for seen in totango.accepted()]
    assert {f"e-{n}" for n in sent} <= set(names)
    assert len(names) == len(set(names))
