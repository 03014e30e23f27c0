"""What the index reads of an event is what everybody else reads of it, however it is written."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from milonga.destinations.totango.module import module_of, page_category
from milonga.destinations.totango.settings import Settings
from milonga.index import reading
from milonga.spec.event import EventType, Group, Page, Screen, Track
from milonga.spec.read import NotAnEvent, read_stamped
from milonga.spec.stored import Stamped
from tests.index.model import Told

texts = st.sampled_from(["", "Billing", "Reports 7", "/acme/reports?x=1", "https://app.example/acme/x", "\u00e9\u2028"])
odd: st.SearchStrategy[Any] = st.sampled_from([None, 0, 7, 42.5, 1e300, True, [], {}, [1], {"a": 1}, "0"])
values = st.one_of(texts, odd)
place = st.one_of(
    st.fixed_dictionaries({}, optional={"category": values, "path": values, "url": values, "more": values}), odd
)
context = st.one_of(st.fixed_dictionaries({}, optional={"page": place, "ip": values}), odd)
traits = st.one_of(st.fixed_dictionaries({}, optional={"name": values, "plan": values}), odd)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "event": values,
        "name": values,
        "category": values,
        "properties": place,
        "context": context,
        "traits": traits,
        "groupId": values,
        "type": values,
    },
)
types: st.SearchStrategy[EventType] = st.sampled_from(["track", "page", "screen", "group", "identify", "alias"])
shared = st.one_of(st.none(), st.just("null"), context.filter(lambda value: isinstance(value, dict)).map(json.dumps))


def stamped(type_: EventType, body: bytes, batch: str | None = None) -> Stamped:
    stamp = Told(type=type_).stamped().stamp
    return Stamped(msgspec.structs.replace(stamp, batch_context=UNSET if batch is None else Raw(batch.encode())), body)


def filed(call: Any, context: Mapping[str, Any]) -> list[Any]:
    """All that the index takes from them."""
    found: list[Any] = [type(call)]
    if isinstance(call, Track | Page):
        found += [call.name, module_of(call, context, Settings())]
    if isinstance(call, Page | Screen):
        found += [call.name, call.category]
    if isinstance(call, Page):
        found.append(page_category(call))
    if isinstance(call, Group):
        found.append(call.traits.get("name"))
    return found


@settings(deadline=None, max_examples=300)
@given(types, bodies, shared)
def test_it_is_what_the_whole_event_says(type_: EventType, body: dict[str, Any], batch: str | None) -> None:
    event = stamped(type_, json.dumps(body).encode(), batch)
    whole = read_stamped(event)
    assert filed(*reading.read(event)) == filed(whole.call, whole.context)


@pytest.mark.parametrize(
    "body",
    [
        b'{"event": "Paid", "properties": {"category": "A", "category": "B"}}',
        b'{"event": "Pa\\ud83did", "properties": {"category": "\\udc00"}}',
        b'{"event": "Paid", "value": 1e999, "properties": {"category": "A", "n": NaN}}',
        b'{"event": 12345678901234567890123456789012345678901234567890}',
        b'\xef\xbb\xbf{"event": "Paid"}',
        b'{"event": "Paid", "deep": ' + b"[" * 200 + b"]" * 200 + b"}",
    ],
)
def test_also_where_it_is_broken(body: bytes) -> None:
    event = stamped("track", body)
    whole = read_stamped(event)
    assert filed(*reading.read(event)) == filed(whole.call, whole.context)


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b'{"event"'])
def test_what_is_no_event_is_none_here_either(body: bytes) -> None:
    with pytest.raises(NotAnEvent):
        reading.read(stamped("track", body))
