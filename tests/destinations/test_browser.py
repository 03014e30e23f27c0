"""What a destination tells the browser library, which every visitor of a site can read."""

from typing import Any

import msgspec
import pytest

from milonga.destinations.registry import kind, kinds
from tests.destinations.test_any_event import READY


def told(**settings: Any) -> Any:
    """What Totango tells with these settings."""
    totango = kind("totango")
    return totango.browser(msgspec.convert(settings, totango.settings))


@pytest.mark.parametrize("service_id", ["", " "])
@pytest.mark.parametrize("mode", ["cloud", "device"])
def test_totango_tells_nothing_while_nothing_could_be_sent(service_id: str, mode: str) -> None:
    assert told(serviceId=service_id, connectionMode=mode) is None


def test_in_cloud_mode_the_page_learns_only_whether_to_send_heartbeats() -> None:
    assert told(serviceId="SP-1-01", sdrToken="hush") == {"name": "Totango", "heartbeat": True, "mode": "cloud"}
    assert told(serviceId="SP-1-01", disableHeartbeat=True)["heartbeat"] is False


def test_in_device_mode_the_page_learns_what_totangos_own_script_needs() -> None:
    assert told(serviceId="SP-1-01", connectionMode="device", sdrToken="hush", region="eu", trackNamedPages=False) == {
        "name": "Totango",
        "heartbeat": True,
        "mode": "device",
        "serviceId": "SP-1-01",
        "region": "eu1",
        "collector": "https://tracker.totango.com/totango4.0.3.js",
        "trackNamedPages": False,
        "trackCategorizedPages": True,
        "disableHeartbeat": False,
        "moduleFromUrl": True,
        "defaultModule": "Application",
    }


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
        chosen = msgspec.convert({**READY[name], **more}, destination.settings)
        assert b"hush" not in msgspec.json.encode(destination.browser(chosen))
