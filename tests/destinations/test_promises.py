"""
What delivery takes for granted of every destination: of each folder, without its being named anywhere. What holds for
events however odd is in test_any_event.py.
"""

import asyncio
import json
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milonga.cli.translate import translated
from milonga.delivery.encode import outgoing
from milonga.delivery.masking import masked, secrets_of
from milonga.destinations.contract import (
    Answer,
    BadEvent,
    BadSettings,
    Delivered,
    Request,
    Requests,
    Skip,
    TryAgain,
)
from milonga.destinations.registry import kind, kinds
from milonga.filters.gate import OPEN
from milonga.identity.account import read_unstamped
from milonga.outcomes.explain import shown
from milonga.spec.event import Event
from milonga.spec.text import well_formed
from milonga.workspace.fields import fields_of
from tests.destinations.casework import FOLDER, cases_of
from tests.destinations.client import Client
from tests.destinations.events import event, events
from tests.destinations.ready import ready

BATCHING = [name for name, each in kinds().items() if each.batch is not None]
PRETENDING = [name for name in kinds() if find_spec(f"milonga.destinations.{name}.fake") is not None]


def requests_of(name: str, one: Event) -> Requests:
    result = kind(name).translate(one, ready(kind(name)))
    return () if isinstance(result, Skip) else result


def a_request(name: str) -> Request:
    """The first that its cases have."""
    return requests_of(name, event("track", event="Saved", messageId="m-1"))[0]


@pytest.mark.parametrize("name", kinds())
@given(one=events)
@settings(max_examples=60, deadline=None)
def test_every_key_begins_with_the_account_or_who_stands_for_it(name: str, one: Event) -> None:
    """So that all events of a key lie in one partition of the log, and an account that floods can be taken aside."""
    destination = kind(name)
    owner = one.account.id if one.account is not None else one.user_id or one.anonymous_id
    keys = destination.keys(one, ready(destination))
    if one.type in destination.crossing:
        keys = keys[:1]
    assert {key[0] for key in keys} <= {well_formed(owner or "")}


@pytest.mark.parametrize("name", kinds())
@given(one=events)
@settings(max_examples=40, deadline=None)
def test_what_is_to_be_sent_has_an_absolute_address_and_can_be_encoded(name: str, one: Event) -> None:
    for request in requests_of(name, one):
        parts = urlsplit(request.url)
        assert parts.scheme in ("http", "https")
        assert parts.netloc
        assert outgoing(request, timeout=1.0, now=0.0).body
        assert all("\n" not in f"{header}{value}" for header, value in request.headers.items())


@pytest.mark.parametrize("name", kinds())
def test_no_secret_is_shown_and_none_that_a_receiver_repeats(name: str) -> None:
    destination = kind(name)
    chosen = ready(destination)
    secrets = [getattr(chosen, field.attribute) for field in fields_of(destination.settings) if field.secret]
    assert all(secrets), "ready.py has a value for every secret setting"
    request = a_request(name)
    line = b'{"type":"track","event":"Saved","messageId":"m-1","userId":"ada","context":{"groupId":"acme"}}'
    sent = outgoing(request, timeout=1.0, now=0.0)
    repeated = b"\n".join([sent.body, *(value.encode() for _, value in sent.headers), *map(str.encode, secrets)])
    seen = [
        msgspec.json.encode(shown(request)),
        msgspec.json.encode(translated(line, destination, chosen, OPEN, full=True)),
    ]
    for secret in secrets:
        for hidden in _words(secret):
            assert hidden.encode() not in b"".join(seen)
            assert hidden.encode() not in masked(repeated, secrets_of(request))


def _words(secret: str) -> list[str]:
    """What is secret about it: of an object of headers, the values."""
    return list(msgspec.json.decode(secret).values()) if secret.startswith("{") else [secret]


@pytest.mark.parametrize("name", kinds())
@given(status=st.integers(100, 599), body=st.binary(max_size=50), after=st.text(max_size=10))
@settings(max_examples=200, deadline=None)
def test_every_answer_is_judged_and_only_success_is_a_delivery(name: str, status: int, body: bytes, after: str) -> None:
    ending = kind(name).judge(Answer(status, {"retry-after": after}, body), 0.0)
    if isinstance(ending, Delivered):
        assert 200 <= status < 300
        return
    assert isinstance(ending, TryAgain | BadEvent | BadSettings)
    assert ending.code
    assert ending.reason
    if status in (408, 429) or status >= 500:
        assert isinstance(ending, TryAgain)


@pytest.mark.parametrize("name", BATCHING)
@given(several=st.lists(events, min_size=2, max_size=4))
@settings(max_examples=30, deadline=None)
def test_a_batch_is_sent_as_its_events_would_be_and_holds_them_in_order(name: str, several: list[Event]) -> None:
    destination = kind(name)
    assert destination.batch is not None
    requests = [request for one in several for request in requests_of(name, one)]
    if len(requests) < 2:
        return
    whole = destination.batch.join(requests)
    for request in requests:
        assert (whole.method, whole.url, whole.headers, whole.secrets) == (
            request.method, request.url, request.headers, request.secrets
        )  # fmt: skip
    assert whole.sign is None
    together = outgoing(whole, timeout=1.0, now=0.0).body
    place = 0
    for request in requests:
        alone = outgoing(request, timeout=1.0, now=0.0).body
        place = together.index(_inside(alone), place)
    assert len(together) <= sum(len(outgoing(request, timeout=1.0, now=0.0).body) + 1 for request in requests)


def _inside(batch_of_one: bytes) -> bytes:
    return batch_of_one[batch_of_one.index(b"[") + 1 : batch_of_one.rindex(b"]")]


@pytest.mark.parametrize("name", BATCHING)
def test_the_bounds_of_a_batch_can_be_kept(name: str) -> None:
    batch = kind(name).batch
    assert batch is not None
    assert batch.events >= 2
    assert batch.size > 1_000
    assert 0 <= batch.wait <= 0.05, "nobody waits noticeably for company"


@pytest.mark.parametrize("name", PRETENDING)
def test_the_pretend_receiver_takes_every_event_of_the_cases(name: str) -> None:
    async def live() -> None:
        module = import_module(f"milonga.destinations.{name}.fake")
        sent = 0
        async with module.pretend() as fake, Client(fake.url) as client:
            for _, case in cases_of(FOLDER / name):
                for request in requests_of(name, read_unstamped(json.dumps(case["event"]).encode())):
                    call = outgoing(request, timeout=1.0, now=0.0)
                    at = urlsplit(call.url)
                    headers: dict[str, Any] = {header.replace("-", "_"): value for header, value in call.headers}
                    answer = await client.ask(call.method, at.path or "/", call.body, **headers)
                    assert 200 <= answer.status < 300, (case["says"], answer)
                    assert isinstance(kind(name).judge(Answer(answer.status, {}, answer.body), 0.0), Delivered)
                    sent += 1
            assert sent
            assert fake.received == sent

    asyncio.run(live())
