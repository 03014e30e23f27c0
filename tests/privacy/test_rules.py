"""Whose events regulations concern, and what is left of an event, a sample or an address."""

import json
from typing import Any

import pytest
from msgspec import UNSET, Raw

from milonga.privacy.digest import Digests, digest, erased_message_id
from milonga.privacy.ip import excerpt_changed, removed, shortened, with_ip_changed
from milonga.privacy.regulation import Deletion, Doomed
from milonga.privacy.subject import Named, erased, may_name, users_in, users_of
from milonga.spec.read import read_stamped
from milonga.spec.stored import Stamped
from tests.events import stamp_of

SALT = b"salt"


def test_an_event_is_its_users_and_an_alias_is_also_the_former_ids() -> None:
    assert users_of("track", "ada", b'{"previousId":"bob","traits":{"id":"eve"}}') == ("ada",)
    assert users_of("alias", "ada", b'{"previousId":"bob"}') == ("ada", "bob")
    assert users_of("alias", "ada", b'{"previousId":7}') == ("ada", "7")
    assert users_of("alias", None, b'{"previousId":""}') == ()
    assert users_of("group", None, b'{"groupId":"ada"}') == ()


def test_a_deletion_concerns_its_users_source_and_stretch_of_the_log() -> None:
    doomed = Doomed([Deletion(1, None, frozenset(["ada"]), {0: 5}), Deletion(2, 3, frozenset(["ada", "bob"]), None)])
    assert doomed
    assert doomed.by(["ada"], 9, 0, 5) == 1
    assert doomed.by(["ada"], 9, 0, 6) is None
    assert doomed.by(["eve", "ada"], 3, 0, 6) == 2
    assert doomed.by(["bob"], 4, 0, 1) is None
    assert not Doomed()


def test_digests_hold_exactly_what_was_put_in() -> None:
    there = sorted(digest(SALT, f"user-{n}") for n in range(1000))
    digests = Digests(there)
    assert len(digests) == 1000
    assert all(one in digests for one in there)
    assert not any(digest(SALT, f"user-{n}") in digests for n in range(1000, 2000))
    same_half = there[0][:8] + b"\0" * 8
    assert same_half not in digests
    assert digest(b"other salt", "user-1") not in digests
    assert there[0] not in Digests()


def test_an_erased_event_can_be_read_and_says_nothing() -> None:
    stamp = stamp_of(message_id="m-ada", user_id="ada", anonymous_id="anon", account="acme", account_found="groupId")
    stamped = erased(stamp, at=7, by=2, salt=SALT)
    event = read_stamped(stamped)
    assert (event.user_id, event.anonymous_id, event.account, event.received) == (None, None, None, {})
    assert stamped.stamp.is_erased
    assert not stamp.is_erased
    assert stamped.stamp.message_id == erased_message_id(SALT, "m-ada")


@pytest.mark.parametrize(
    ("excerpt", "named"),
    [
        (b'{"userId":"ada"}', True),
        (b'{"user_id":"ada","x":1}', True),
        (b'{"userId":42}', True),
        (b'{"userId": 42 ,"a":1}', True),
        (b'{"userId":"4\\u0032"}', True),
        (b'{"userId":42.0}', True),
        (b'{"userId":"adam","age":423}', False),
        (b'{"userId":"bob"}', False),
        (b'{"type":"track","userId":"ad', True),  # cut off in the middle of an id
        (b'{"type":"track","filler":"' + b"x" * 1974, True),  # cut off before it says whose it is
        (b'{"userId":"bob","filler":"' + b"x" * 1974, False),
        (b"/v1/pixel/track?data=eyJ1c2VySWQiOiJhZGEifQ", True),  # nobody can say
        (b"", False),
    ],
)
def test_a_sample_goes_if_it_may_be_of_the_user(excerpt: bytes, named: bool) -> None:
    assert may_name(excerpt, {"ada", "42"}) is named


def test_a_receivers_words_name_a_user_by_a_word_or_a_long_id_anywhere() -> None:
    named = Named(["42", "ada.lovelace"])
    assert named(b'{"error":"user 42 is unknown"}')
    assert named(b"No such user: 42.")
    assert named(b"user:42 /users/42/edit")
    assert not named(b"status 422, 1.42")
    assert named(b"xada.lovelacex")
    many = Named([f"user-{n}" for n in range(1000)])
    assert many(b'{"id":"user-77"}')
    assert not many(b"xuser-77x")


def test_the_users_of_a_sample_are_found_in_broken_json() -> None:
    assert users_in(b'{"type":"track","userId":"ad\\"a","properties":{"x') == ('ad"a',)
    assert users_in(b'{"userId":42,') == ("42",)
    assert users_in(b'{"userId":4.2e1,') == ("42",)
    assert users_in(b'{"type":"alias","previousId":"ada","userId":"countess"') == ("ada", "countess")
    assert users_in(b'{"anonymousId":"x"}') == ()


@pytest.mark.parametrize(
    ("ip", "kept"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("0.0.0.0", "0.0.0.0"),
        ("2001:db8:7:1::5", "2001:db8:7::"),
        ("::ffff:203.0.113.77", "::ffff:203.0.113.0"),
        (" 203.0.113.77 ", "203.0.113.0"),
        ("203.0.113.77:80", None),
        ("ada", None),
        (3405803853, None),
        (None, None),
    ],
)
def test_an_address_is_shortened_and_what_is_none_goes(ip: Any, kept: str | None) -> None:
    assert shortened(ip) == kept


@pytest.mark.parametrize(
    ("body", "after"),
    [
        ('{"context":{"ip":"203.0.113.77","a":1},"event":"E"}', {"context": {"a": 1}, "event": "E"}),
        ('{"context":{"i\\u0070":"203.0.113.77"}}', {"context": {}}),
        ('{"context":{"ip":"1.2.3.4"},"context":{"ip":"203.0.113.77"}}', {"context": {}}),
        ('{"context":[],"ip":"203.0.113.77"}', {"context": [], "ip": "203.0.113.77"}),
        ('{"event":"E"}', {"event": "E"}),
        ('{"context":{"ip":{"v4":"203.0.113.77"}},"e":"\\ud800"}', {"context": {}, "e": "\ufffd"}),
    ],
)
def test_an_address_is_taken_out_of_an_event_however_it_stands_there(body: str, after: Any) -> None:
    event = with_ip_changed(Stamped(stamp_of(), body.encode()), removed)
    assert json.loads(event.body) == after


def test_an_address_of_the_batch_or_of_ours_is_changed_too() -> None:
    stamp = stamp_of(ip="203.0.113.77", batch_context=Raw(b'{"ip":"198.51.100.7","b":2}'))
    event = with_ip_changed(Stamped(stamp, b"{}"), shortened)
    assert event.stamp.ip == "203.0.113.0"
    assert json.loads(bytes(event.stamp.batch_context or b"")) == {"ip": "198.51.100.0", "b": 2}
    gone = with_ip_changed(Stamped(stamp, b"{}"), removed)
    assert gone.stamp.ip is None
    assert json.loads(bytes(gone.stamp.batch_context or b"")) == {"b": 2}
    assert with_ip_changed(Stamped(stamp_of(), b"{}"), removed).stamp.batch_context is UNSET


def test_a_sample_loses_its_address_wherever_it_is_cut() -> None:
    assert (
        excerpt_changed(b'{"context":{"ip": "203.0.113.77","x":', shortened) == b'{"context":{"ip": "203.0.113.0","x":'
    )
    assert excerpt_changed(b'{"context":{"ip":"203.0.113.7', shortened) == b'{"context":{"ip":"'
    assert excerpt_changed(b"/v1/pixel?data=x", removed) == b""
