"""Reading what a person typed as a setting, and what stands in the way of it."""

from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from milonga.workspace.errors import UserError
from milonga.workspace.fields import fields_of
from milonga.workspace.settings import UNSET, by_name, changed, differences, joined, missing, shown, split
from tests.workspace.paper import Settings


def set_to(**changes: object) -> Settings:
    result = changed(Settings(), by_name(Settings, changes, "Paper"), "Paper")
    assert isinstance(result, Settings)
    return result


def refusal(**changes: object) -> str:
    with pytest.raises(UserError) as refused:
        set_to(**changes)
    return str(refused.value)


@pytest.mark.parametrize(
    ("name", "typed", "meant"),
    [
        ("copies", "3", 3),
        ("copies", 3, 3),
        ("colour", "true", True),
        ("colour", "YES", True),
        ("colour", "on", True),
        ("colour", "1", True),
        ("colour", "off", False),
        ("colour", "False", False),
        ("size", "A5", "A5"),
        ("folds", "[1, 2]", (1, 2)),
        ("folds", (1, 2), (1, 2)),
        ("note", "3", "3"),
        ("note", "", ""),
        ("note", "null", "null"),
        ("note", None, None),
        ("note", UNSET, None),
        ("token", "true", "true"),
        ("token", " a b=c ", " a b=c "),
        ("postTo", "http://[::1]:8090/x?y=z", "http://[::1]:8090/x?y=z"),
        ("post_to", "https://x.example", "https://x.example"),
        ("postTo", "", ""),
    ],
)
def test_text_becomes_a_value_of_the_settings_type(name: str, typed: object, meant: object) -> None:
    attribute = {"postTo": "post_to"}.get(name, name)
    assert getattr(set_to(**{name: typed}), attribute) == meant


@pytest.mark.parametrize(
    ("name", "typed", "told"),
    [
        ("copies", "many", "copies (Copies) must be a whole number, not 'many'."),
        ("copies", "0", "a whole number of at least 1, not '0'."),
        ("colour", "maybe", "colour (Colour) must be true or false, not 'maybe'."),
        ("size", "A3", "size (Size) must be one of A4, A5, not 'A3'."),
        ("folds", "1, 2", "folds must be JSON, not '1, 2'."),
        ("folds", '["a"]', "folds must be JSON"),
        ("note", "x" * 10_001, "note is too long: at most 10,000 characters."),
        ("kolour", "yes", "Paper has no setting called kolour. Did you mean colour? It has:\n  postTo  Post to\n"),
    ],
)
def test_a_bad_value_is_refused_with_the_settings_name(name: str, typed: str, told: str) -> None:
    assert told in refusal(**{name: typed})


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("ftp://x.example/", "must begin with https://"),
        ("x.example/hook", "must begin with https://"),
        ("https:///hook", "no host"),
        ("https://ada:pass-word@x.example/", "must not hold a user name or password"),
        ("https://ada@x.example/", "must not hold a user name or password"),
        ("https://x.example/a b", "space or a control character"),
        ("https://x.example:99999/", "cannot be read"),
        ("https://[::1/", "cannot be read"),
        ("https://x.example/\\y", "backslash"),
        ("https://x.example/#y", "# part"),
        ("https://x.example/\r\nHost: y", "control characters"),
    ],
)
def test_an_address_must_be_one_that_can_be_sent_to_and_is_not_repeated(address: str, told: str) -> None:
    message = refusal(postTo=address)
    assert message.startswith("postTo (Post to)")
    assert told in message
    assert address not in message
    assert "pass-word" not in message


@pytest.mark.parametrize("secret", ["hush" * 26, "hush\nhush", "hush\x00", 4711, ["hush"]])
def test_a_refused_secret_is_not_repeated(secret: object) -> None:
    message = refusal(token=secret)
    assert message.startswith("token (Token)")
    assert "hush" not in message
    assert "4711" not in message


def test_settings_that_do_not_fit_together_are_refused_in_the_kinds_own_words() -> None:
    assert refusal(size="A5", copies="3") == "Paper: copies: of A5 there are two at most."


@given(st.text(max_size=200), st.sampled_from([field.name for field in fields_of(Settings)]))
def test_whatever_is_typed_is_either_taken_or_refused_in_words(typed: str, name: str) -> None:
    try:
        settings = set_to(**{name: typed})
    except UserError as refused:
        told = str(refused)
    else:
        told = name
        assert joined(Settings, *split(settings)) == (settings, "")
    assert name in told


def test_fields_tell_what_a_form_and_the_docs_need() -> None:
    told = {field.name: field for field in fields_of(Settings)}
    assert list(told) == ["postTo", "token", "pin", "size", "colour", "copies", "folds", "note"]
    assert (told["postTo"].label, told["postTo"].help) == ("Post to", "Where it goes.")
    assert (told["postTo"].required, told["postTo"].address, told["postTo"].secret) == (True, True, False)
    assert [field.name for field in told.values() if field.secret] == ["token", "pin"]
    assert [field.kind for field in told.values()] == [
        "text",
        "text",
        "text",
        "one of A4, A5",
        "true or false",
        "whole number",
        "JSON",
        "text or nothing",
    ]


def test_shown_settings_have_stars_for_secrets_that_are_set() -> None:
    told = shown(Settings(token="hush", folds=(1,)))
    assert told == {
        "postTo": "",
        "token": "***",
        "pin": "",
        "size": "A4",
        "colour": False,
        "copies": 1,
        "folds": (1,),
        "note": None,
    }


def test_required_settings_that_are_empty_are_missing() -> None:
    assert [field.name for field in missing(Settings())] == ["postTo"]
    assert missing(Settings(post_to="https://x.example")) == ()
    assert differences(Settings(), Settings(copies=2, note="x")) == ("copies", "note")


class Later(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A later release of a kind: one setting gone, one new, one stricter."""

    copies: Annotated[int, Meta(le=3)] = 1
    paper: str = "white"
    note: str = "none"


def test_settings_stored_by_an_earlier_release_are_read_as_far_as_they_still_mean_something() -> None:
    assert joined(Later, {"copies": 2, "colour": True}) == (Later(copies=2), "")
    settings, trouble = joined(Later, {"copies": 9, "note": "hello"})
    assert settings == Later(note="hello")
    assert trouble == "what is stored for copies is no longer a possible value"


def test_stored_settings_that_no_longer_fit_together_are_still_shown_as_they_are() -> None:
    settings, trouble = joined(Settings, {"size": "A5", "copies": 3})
    assert shown(settings)["copies"] == 3
    assert trouble == "the stored settings do not fit together any more: copies: of A5 there are two at most."
