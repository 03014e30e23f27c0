"""Where a reason is put right."""

import pytest

from milonga.destinations.registry import kinds
from milonga.filters.gate import NO_CONSENT, NOT_MEANT
from milonga.outcomes.where import FIX_AT, Place, place_of
from milonga.outcomes.words import PIPELINE, SKIPPED
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.fields import fields_of


def test_every_reason_has_its_place_or_none() -> None:
    assert set(FIX_AT) == {*SKIPPED, *PIPELINE, NO_CONSENT, NOT_MEANT}


def test_a_field_that_is_named_exists() -> None:
    there = {
        field.name
        for struct in (DeliverySettings, *(one.settings for one in kinds().values()))
        for field in fields_of(struct)
    }
    named = {place[1] for place in FIX_AT.values() if place is not None and place[1]}
    assert named
    assert named <= there


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("filter:no-tests", ("filters", "no-tests")),
        ("filter_failed:paid", ("filters", "paid")),
        ("missing_service_id", ("settings", "serviceId")),
        ("http_503", None),
    ],
)
def test_a_filter_is_put_right_where_filters_are(code: str, place: Place | None) -> None:
    assert place_of(code) == place
