"""What a destination tells the browser library, which every visitor of a site can read."""

from hashlib import sha256
from typing import Any

import msgspec
import pytest

from milonga.destinations.registry import kind, kinds
from tests.destinations.ready import ready


def told(**settings: Any) -> Any:
    """What Totango tells with these settings."""
    totango = kind("totango")
    return totango.browser(msgspec.convert(settings, totango.settings))


@pytest.mark.parametrize("service_id", ["", " "])
@pytest.mark.parametrize("mode", ["cloud", "device"])
def test_totango_tells_nothing_while_nothing_could_be_sent(service_id: str, mode: str) -> None:
    assert told(serviceId=service_id, connectionMode=mode) is None


def test_in_cloud_mode_the_page_learns_only_whether_to_send_heartbeats() -> None:
    assert told(serviceId="SP-1-01", sdrToken="hush") == {
        "name": "Totango",
        "heartbeat": True,
        "mode": "cloud",
        "fingerprint": "6db3",
    }
    assert told(serviceId="SP-1-01", disableHeartbeat=True)["heartbeat"] is False


def test_in_device_mode_the_page_learns_what_totangos_own_script_needs() -> None:
    assert told(serviceId="SP-1-01", connectionMode="device", sdrToken="hush", region="eu", trackNamedPages=False) == {
        "name": "Totango",
        "heartbeat": True,
        "mode": "device",
        "fingerprint": "f4b2",
        "serviceId": "SP-1-01",
        "region": "eu1",
        "collector": "https://tracker.totango.com/totango4.0.3.js",
        "trackNamedPages": False,
        "trackCategorizedPages": True,
        "disableHeartbeat": False,
        "moduleFromUrl": True,
        "defaultModule": "Application",
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"serviceId": "SP-1-02"}),
        ({}, {"region": "eu"}),
        ({}, {"endpoint": "http://127.0.0.1:8090"}),
        ({"endpoint": "http://127.0.0.1:8090"}, {"endpoint": "http://127.0.0.1:8091"}),
        ({"endpoint": "http://127.0.0.1:8090/one"}, {"endpoint": "http://127.0.0.1:8090/other"}),
    ],
)
def test_another_service_has_another_fingerprint(one: dict[str, str], other: dict[str, str]) -> None:
    assert fingerprint(**one) != fingerprint(**other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"region": "us"}),
        ({"region": "eu"}, {"region": "eu1"}),
        ({}, {"sdrToken": "hush", "connectionMode": "device", "disableHeartbeat": True, "defaultPlan": ""}),
        ({"endpoint": "http://127.0.0.1:8090"}, {"endpoint": "http://127.0.0.1:8090/pixel.gif/", "region": "eu"}),
        ({"endpoint": "https://there.example/t?key=hush"}, {"endpoint": "https://there.example/t?key=later"}),
    ],
)
def test_the_same_service_keeps_its_fingerprint_whatever_else_is_set(
    one: dict[str, str], other: dict[str, str]
) -> None:
    assert fingerprint(**one) == fingerprint(**other)


def test_so_many_services_share_a_fingerprint_that_it_does_not_tell_which_it_is() -> None:
    """It can be computed for each there may be: of the first 2 ** 18 about four have this one, of ten million 150."""
    mine = fingerprint(serviceId="SP-12345-01")
    assert len(mine) == 4
    candidates = (sha256(f"SP-{n:05}-01\nhttps://sdr.totango.com/pixel.gif/".encode()) for n in range(1 << 18))
    assert sum(one.hexdigest().startswith(mine) for one in candidates) > 1


def fingerprint(**settings: Any) -> str:
    return str(told(**{"serviceId": "SP-1-01", **settings})["fingerprint"])


@pytest.mark.parametrize(("region", "known"), [("", "us"), ("us", "us"), ("eu", "eu1"), ("eu1", "eu1")])
def test_the_region_is_told_in_the_words_of_totangos_script(region: str, known: str) -> None:
    assert told(serviceId="SP-1-01", connectionMode="device", region=region)["region"] == known


def test_the_script_can_come_from_elsewhere_and_an_empty_address_means_the_usual_one() -> None:
    there = "http://127.0.0.1:8090/totango.js"
    assert told(serviceId="SP-1-01", connectionMode="device", collector=there)["collector"] == there
    usual = told(serviceId="SP-1-01", connectionMode="device", collector="")["collector"]
    assert usual == "https://tracker.totango.com/totango4.0.3.js"


@pytest.mark.parametrize("name", kinds())
def test_no_secret_is_ever_told(name: str) -> None:
    destination = kind(name)
    for more in ({}, {"connectionMode": "device"}) if name == "totango" else ({},):
        chosen = msgspec.convert({**msgspec.to_builtins(ready(destination)), **more}, destination.settings)
        assert b"hush" not in msgspec.json.encode(destination.browser(chosen))
