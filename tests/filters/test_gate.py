"""Consent and `integrations`, the same for every destination. Source: docs/filters.md."""

from typing import Any

import pytest

from milonga.delivery.replay_rules import requests_of
from milonga.destinations.contract import Skip
from milonga.destinations.deciding import decide
from milonga.destinations.registry import kind, kinds
from milonga.filters.chain import Dropped
from milonga.filters.gate import NO_CONSENT, NOT_MEANT, OPEN, gate_of
from milonga.filters.rule import Filter
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.model import DestinationConfig
from tests.filters.made import event

ADS = gate_of((), ("ads",))
BOTH = gate_of((), ("ads", "analytics"))


def preferring(**preferences: object) -> dict[str, Any]:
    return {"consent": {"categoryPreferences": preferences}}


@pytest.mark.parametrize(
    ("context", "ads", "both"),
    [
        ({}, True, True),
        ({"consent": {}}, True, True),
        ({"consent": None}, True, True),
        ({"consent": "yes"}, True, True),
        (preferring(), False, False),
        (preferring(ads=True), True, False),
        (preferring(ads=True, analytics=True), True, True),
        (preferring(ads=False, analytics=True), False, False),
        (preferring(ads="true"), False, False),
        (preferring(other=True), False, False),
        ({"consent": {"version": 2}}, False, False),
        ({"consent": {"categoryPreferences": ["ads"]}}, False, False),
    ],
)
def test_a_destination_with_categories_needs_all_of_them(context: dict[str, Any], ads: bool, both: bool) -> None:
    one = event(context=context)
    assert OPEN.admit(one, "Webhook") is one
    for gate, may in ((ADS, ads), (BOTH, both)):
        result = gate.admit(one, "Webhook")
        assert (result is one) == may
        assert may or (isinstance(result, Dropped) and result.code == "FILTERED_BY_END_USER_CONSENT")


def test_a_change_of_preferences_is_told_to_all() -> None:
    told = event(event="Segment Consent Preference Updated", context=preferring(ads=False))
    assert ADS.admit(told, "Webhook") is told
    assert isinstance(ADS.admit(event(event="Other", context=preferring(ads=False)), "Webhook"), Dropped)


@pytest.mark.parametrize(
    ("integrations", "may"),
    [
        ({}, True),
        ({"All": True}, True),
        ({"All": False}, False),
        ({"all": False}, False),
        ({"All": False, "Webhook": True}, True),
        ({"All": False, "Webhook": {"a": 1}}, True),
        ({"Webhook": False}, False),
        ({"webhook": False}, True),
        ({"All": False, "Other": True}, False),
        ({"Webhook": None, "All": False}, False),
        ({"All": "false"}, True),
    ],
)
def test_integrations_decide_for_every_destination(integrations: dict[str, object], may: bool) -> None:
    result = OPEN.admit(event(integrations=integrations), "Webhook")
    assert isinstance(result, Dropped) != may
    assert may or (isinstance(result, Dropped) and result.code == "FILTERED_BY_INTEGRATIONS_OBJECT")


def test_consent_is_asked_first_and_filters_last() -> None:
    gate = gate_of((Filter(name="none", do="drop"),), ("ads",))
    codes = [
        result.code
        for one in (
            event(context=preferring(), integrations={"All": False}),
            event(context=preferring(ads=True), integrations={"All": False}),
            event(context=preferring(ads=True)),
        )
        if isinstance(result := gate.admit(one, "Webhook"), Dropped)
    ]
    assert codes == [NO_CONSENT, NOT_MEANT, "filter:none"]


@pytest.mark.parametrize("name", kinds())
def test_no_kind_sees_what_the_gate_keeps_back(name: str) -> None:
    of = kind(name)
    result = decide(of, event(integrations={"All": False}), of.settings(), OPEN)
    assert isinstance(result, Skip)
    assert result.code == NOT_MEANT
    assert of.label in result.fix


def test_settings_that_are_equal_are_compiled_once() -> None:
    filters = (Filter(name="f", do="drop", when="type == 'page'"),)
    assert gate_of(filters, ()) is gate_of((Filter(name="f", do="drop", when="type == 'page'"),), ())


def test_a_replay_names_the_destination_in_integrations_and_asks_consent_and_filters_as_ever() -> None:
    of = kind("webhook")
    config = DestinationConfig(
        id=1,
        name="hook",
        kind="webhook",
        source=1,
        settings=of.settings(url="https://hooks.example.com/"),
        settings_version=1,
        changes=(),
        delivery=DeliverySettings(
            filters=(Filter(name="no-tests", do="drop", when='event.startsWith("Test")'),), consent_categories=("ads",)
        ),
    )

    def replayed(**fields: Any) -> str:
        result, _ = requests_of(config, of, event(integrations={"All": False}, **fields), 0, lambda _: False)
        return result.code if isinstance(result, Skip) else ""

    assert replayed(event="Order") == ""
    assert replayed(event="Test Order") == "filter:no-tests"
    assert replayed(event="Order", context=preferring()) == NO_CONSENT
