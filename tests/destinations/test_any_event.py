"""What holds for every destination and every event, however odd."""

from urllib.parse import parse_qs, urlencode

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milonga.destinations.contract import Form, Request, Skip
from milonga.destinations.registry import kind, kinds
from milonga.destinations.totango.wire import MAX_ACCOUNT_ID, MAX_ACTIVITY, MAX_ATTRIBUTE_NAME, MAX_MODULE, MAX_USER_ID
from milonga.spec.event import Event
from tests.destinations.events import event, events, nested
from tests.destinations.ready import ready

totango_settings = st.fixed_dictionaries(
    {"serviceId": st.sampled_from(["SP-1-01", "SP-1-01", ""])},
    optional={
        "region": st.sampled_from(["", "us", "eu1", "eu"]),
        "trackCategorizedPages": st.booleans(),
        "trackNamedPages": st.booleans(),
        "sdrToken": st.text(max_size=3),
        "defaultPlan": st.text(max_size=600),
        "defaultModule": st.text(max_size=120),
        "moduleFromUrl": st.booleans(),
        "disableHeartbeat": st.booleans(),
        "connectionMode": st.sampled_from(["cloud", "device"]),
    },
)


@pytest.mark.parametrize("name", kinds())
@given(event=events)
@settings(max_examples=300, deadline=None)
def test_every_event_becomes_requests_or_a_skip_that_says_what_to_do(name: str, event: Event) -> None:
    destination = kind(name)
    result = destination.translate(event, ready(destination))
    if isinstance(result, Skip):
        assert result.code
        assert result.fix.endswith(".")
    else:
        assert result
        assert all(request.part for request in result)
        assert len({request.part for request in result}) == len(result)
        assert all(sendable(request) for request in result)


@pytest.mark.parametrize("name", kinds())
@given(event=events)
@settings(max_examples=100, deadline=None)
def test_the_same_event_is_translated_the_same_and_waits_for_the_same(name: str, event: Event) -> None:
    destination = kind(name)
    chosen = ready(destination)
    again = msgspec.structs.replace(event)
    assert repr(destination.translate(event, chosen)) == repr(destination.translate(again, chosen))
    assert destination.keys(event, chosen) == destination.keys(again, chosen)


@pytest.mark.parametrize("name", kinds())
@given(event=events)
@settings(max_examples=200, deadline=None)
def test_keys_are_distinct_texts_that_json_can_carry(name: str, event: Event) -> None:
    keys = kind(name).keys(event, ready(kind(name)))
    assert len(set(keys)) == len(keys)
    assert all(key and all(isinstance(item, str) for item in key) for key in keys)
    assert [tuple(key) for key in msgspec.json.decode(msgspec.json.encode(keys))] == list(keys)


@pytest.mark.parametrize("name", kinds())
@given(event=events)
@settings(max_examples=100, deadline=None)
def test_an_event_meant_for_another_alone_is_not_sent_and_waits_for_nobody(name: str, event: Event) -> None:
    """As the browser library says of heartbeats, and of traits it repeats for Totango."""
    destination = kind(name)
    other = next(each.label for each in map(kind, kinds()) if each.label != destination.label)
    event = msgspec.structs.replace(event, integrations={"All": False, other: True})
    result = destination.translate(event, ready(destination))
    assert isinstance(result, Skip)
    assert result.code == "disabled"
    assert destination.keys(event, ready(destination)) == ()


@pytest.mark.parametrize("name", kinds())
@given(event=events)
@settings(max_examples=100, deadline=None)
def test_how_long_an_event_is_worth_sending_can_be_asked_of_any(name: str, event: Event) -> None:
    seconds = kind(name).lifetime(event, ready(kind(name)))
    assert seconds is None or 0 < seconds < 86_400


@given(event=events, given_settings=totango_settings)
@settings(max_examples=400, deadline=None)
def test_totango_gets_no_text_beyond_its_limits_whatever_the_settings(
    event: Event, given_settings: dict[str, object]
) -> None:
    totango = kind("totango")
    result = totango.translate(event, msgspec.convert(given_settings, totango.settings))
    for request in [] if isinstance(result, Skip) else result:
        assert isinstance(request.body, Form)
        for name, value in request.body.params.items():
            assert len(value) <= limit(name), name
            assert name.partition(".")[2] == "" or len(name) <= MAX_ATTRIBUTE_NAME + len("sdr_o.")
        sent = request.body.params
        assert {"sdr_s", "sdr_o"} <= set(sent)
        assert "sdr_a" not in sent or {"sdr_u", "sdr_m"} <= set(sent)
        assert all(sent[name] for name in ("sdr_s", "sdr_o", "sdr_u", "sdr_a", "sdr_m") if name in sent)
        assert "sdr_o." not in sent
        assert "sdr_u." not in sent


@given(event=events)
@settings(max_examples=200, deadline=None)
def test_what_is_sent_to_totango_waits_for_the_account_and_user_it_names(event: Event) -> None:
    totango = kind("totango")
    result = totango.translate(event, ready(totango))
    if isinstance(result, Skip):
        return
    keys = totango.keys(event, ready(totango))
    for request in result:
        assert isinstance(request.body, Form)
        account, user = request.body.params["sdr_o"], request.body.params.get("sdr_u")
        if request.part in ("account", "product"):
            assert (account,) in keys
        if request.part != "product" and user is not None:
            assert (account, user) in keys


@pytest.mark.parametrize("name", kinds())
@pytest.mark.parametrize("depth", [10, 99, 101, 300, 5_000, 100_000])
def test_deep_nesting_is_no_reason_to_fail(name: str, depth: int) -> None:
    objects, lists = nested(depth)
    destination = kind(name)
    for traits in (objects, {"a": lists}, {"a": [objects]}, {"a": {"b": objects}}):
        result = destination.translate(event("identify", traits=traits), ready(destination))
        if not isinstance(result, Skip):
            assert all(sendable(request) for request in result)
    unravel(objects)
    unravel(lists)


@pytest.mark.parametrize("name", kinds())
def test_a_number_that_python_refuses_to_write_is_no_reason_to_fail(name: str) -> None:
    huge = 10**5_000
    destination = kind(name)
    chosen = ready(destination)
    for odd in (
        event("identify", traits={"a": huge, "b": [huge], "c": [[huge]], "created": huge, "name": huge}),
        event("group", traits={"plan": huge, "parent_id": huge}, integrations={"Totango": {"product": {"id": huge}}}),
        event("track", event=huge, properties={"category": huge}),
        event("page", userId=huge, name=huge, category=huge),
    ):
        result = destination.translate(odd, chosen)
        destination.keys(odd, chosen)
        if not isinstance(result, Skip):
            assert all(sendable(request) for request in result)


def test_an_attribute_at_the_deepest_that_still_has_a_name_is_sent() -> None:
    totango = kind("totango")
    objects, _ = nested(50)
    result = totango.translate(event("identify", traits=objects), ready(totango))
    assert not isinstance(result, Skip)
    assert isinstance(result[0].body, Form)
    assert result[0].body.params["sdr_u." + "_".join("a" * 50)] == "1"


def limit(parameter: str) -> int:
    if parameter.startswith("sdr_u."):
        return 255
    return {
        "sdr_o": MAX_ACCOUNT_ID,
        "sdr_o.parent_id": MAX_ACCOUNT_ID,
        "sdr_o.product_id": 255,
        "sdr_o.account_name": 128,
        "sdr_u": MAX_USER_ID,
        "sdr_a": MAX_ACTIVITY,
        "sdr_m": MAX_MODULE,
    }.get(parameter, 512)


def sendable(request: Request) -> bool:
    """Whether it can be put on a wire, and read there as it was meant."""
    if isinstance(request.body, Form):
        assert all(type(value) is str for pair in request.body.params.items() for value in pair)
        encoded = urlencode(request.body.params, encoding="utf-8", errors="strict")
        read = parse_qs(encoded, keep_blank_values=True, strict_parsing=True, errors="strict")
        return read == {name: [value] for name, value in request.body.params.items()}
    msgspec.json.decode(msgspec.json.encode(request.body.value))
    return True


def unravel(value: object) -> None:
    """Take it apart level by level: freeing it at once could exhaust the stack of the interpreter."""
    while isinstance(value, dict | list) and value:
        value = value.popitem()[1] if isinstance(value, dict) else value.pop()
