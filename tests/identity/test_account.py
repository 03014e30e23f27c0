"""Which account an event belongs to: read from raw bytes or from a decoded event, it is the same."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from milonga.identity.account import account_in, read_unstamped
from milonga.spec.event import Account
from milonga.spec.read import NotAnEvent


def raw(context: dict[str, Any]) -> dict[str, Raw]:
    return msgspec.json.decode(json.dumps(context).encode(), type=dict[str, Raw])


def found(context: dict[str, Any], batch: dict[str, Any] | None = None) -> str | None:
    account = account_in("track", "never read", raw(context), raw(batch or {}))
    assert account is None or account.found == "context.groupId"
    return None if account is None else account.id


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({"groupId": "acme"}, "acme"),
        ({"group_id": "acme"}, "acme"),
        ({"Group ID": "acme"}, "acme"),
        ({"library": {}, "page": {}, "GROUPID": "acme"}, "acme"),
        ({"x" * 100 + "groupId": "acme"}, None),
        ({"-" * 100 + "groupId": "acme"}, "acme"),
        ({"groupId": 329}, "329"),
        ({"groupId": 12.0}, "12"),
        ({"groupId": 0}, "0"),
        ({"groupId": " "}, " "),
        ({"groupId": ""}, None),
        ({"groupId": None}, None),
        ({"groupId": True}, None),
        ({"groupId": ["acme"]}, None),
        ({"groupId": {"id": "acme"}}, None),
        ({"groupId": None, "group_id": "acme"}, "acme"),
        ({"group_id": "first", "groupId": "second"}, "first"),
        ({"userId": "u", "traits": {"groupId": "acme"}}, None),
        ({}, None),
    ],
)
def test_the_account_of_a_call_is_the_group_id_of_its_context(context: dict[str, Any], expected: str | None) -> None:
    assert found(context) == expected


def test_a_number_out_of_range_is_no_account() -> None:
    assert account_in("track", None, {"groupId": Raw(b"1e400")}, {}) is None


def test_a_group_belongs_to_its_own_group_id_alone() -> None:
    context = raw({"groupId": "other"})
    assert account_in("group", "acme", context, context) == Account("acme", "groupId")
    assert account_in("group", None, context, context) is None


def test_the_context_of_the_batch_counts_where_the_event_says_nothing() -> None:
    assert found({}, {"groupId": "batch"}) == "batch"
    assert found({"groupId": "own"}, {"groupId": "batch"}) == "own"
    assert found({"group_id": "own"}, {"groupId": "batch"}) == "own"
    assert found({"groupId": None}, {"groupId": "batch"}) is None
    assert found({"groupId": None}, {"group_id": "batch"}) == "batch"


KEYS = st.sampled_from(["groupId", "group_id", "Group-Id", "library", "groupid", "group"]) | st.text(max_size=8)
IDS = (
    st.none()
    | st.booleans()
    | st.text(max_size=3)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.lists(st.none())
)


@given(st.dictionaries(KEYS, IDS, max_size=5), st.sampled_from(["track", "identify", "group"]), IDS)
def test_raw_and_decoded_events_give_the_same_account(context: dict[str, Any], type_: Any, group_id: Any) -> None:
    event = {"type": type_, "groupId": group_id, "context": context}
    account = account_in(type_, group_id, raw(context), {})
    assert account == read_unstamped(json.dumps(event).encode()).account


def test_a_line_nested_too_deep_is_no_event() -> None:
    with pytest.raises(NotAnEvent, match="levels"):
        read_unstamped(b'{"type":"track","properties":' + b"[" * 500 + b"]" * 500 + b"}")
