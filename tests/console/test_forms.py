"""Forms from declared settings, and back: what is shown, what is a change, what is wrong, what is never lost."""

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from milonga.console.forms import CLEAR, TYPE_AGAIN, Form, Posted, form_of, read
from milonga.destinations import registry
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.fields import fields_of
from milonga.workspace.model import SourceSettings
from milonga.workspace.settings import UNSET, changed, forced
from tests.workspace.paper import Settings

HUSH = "hush-hush-4711"


class Odd(Struct, frozen=True, kw_only=True):
    """What no kind has yet."""

    lines: str = "one\ntwo"
    names: tuple[str, ...] = ("a", "b,c")
    ends: str = "x\ry"
    share: float = 0.25
    most: int | None = None
    code: Annotated[
        str, Meta(extra={"pattern_hint": "^SP-", "hint": "It looks like SP-1.", "advanced": True, "required": True})
    ] = ""


def posted_as_shown(form: Form) -> dict[str, list[str]]:
    """What a browser sends of a form that nobody touched."""
    sent: dict[str, list[str]] = {}
    for one in form.controls:
        if one.kind == "switch":
            sent[one.name] = ["false", "true"] if one.on else ["false"]
        elif one.kind in ("area", "list", "json"):
            sent[one.name] = [one.value.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")]
        else:
            sent[one.name] = [one.value.replace("\r", "").replace("\n", "")]
    return sent


def typed(shown: Struct, **fields: str | list[str]) -> tuple[dict[str, object], Form]:
    sent: Posted = {name: value if isinstance(value, list) else [value] for name, value in fields.items()}
    return read({**posted_as_shown(form_of(shown)), **sent}, shown)


def error_of(shown: Struct, name: str, text: str) -> str:
    changes, form = typed(shown, **{name: text})
    assert name not in changes
    control = form.control(name)
    assert control.value == text, "what was typed is kept"
    return control.error


@pytest.mark.parametrize("settings", [*(kind.settings for kind in registry.kinds().values()), DeliverySettings])
def test_every_declared_setting_has_its_control_with_label_and_help(settings: type[Struct]) -> None:
    form = form_of(settings())
    assert [(one.name, one.label, one.help) for one in form.controls] == [
        (field.name, field.label, field.help) for field in fields_of(settings)
    ]
    assert all(one.label and one.help for one in form.controls)


def test_totangos_form_has_the_hosted_products_labels_and_fitting_controls() -> None:
    form = form_of(registry.kind("totango").settings())
    assert [(one.label, one.kind) for one in form.controls[:6]] == [
        ("Service ID", "text"),
        ("Region", "choice"),
        ("Disable the Totango Heartbeat", "switch"),
        ("Track Categorized Pages to Totango", "switch"),
        ("Track Named Pages to Totango", "switch"),
        ("Connection mode", "choice"),
    ]
    assert [one.value for one in form.control("region").choices] == ["", "us", "eu1", "eu"]
    assert form.control("serviceId").required
    assert [one.name for one in form.lacking] == ["serviceId"]
    assert [one.name for one in form.controls if one.advanced] == ["endpoint", "collector"]
    assert form.control("defaultPlan").default == "Free"


def test_a_source_and_the_delivery_have_forms_too() -> None:
    source = form_of(SourceSettings(origins=("https://a.example", "https://b.example")))
    assert source.control("origins").kind == "list"
    assert source.control("origins").value == "https://a.example\nhttps://b.example"
    delivery = form_of(DeliverySettings(), leave_out={"filters"})
    assert "filters" not in [one.name for one in delivery.controls]
    at_once = delivery.control("concurrency")
    assert (at_once.kind, at_once.whole, at_once.bounds, at_once.value) == ("number", True, "1 to 1,000", "64")
    assert (delivery.control("timeout").value, delivery.control("timeout").bounds) == ("30", "0.1 to 300")
    assert source.control("rateLimit").bounds == "at least 0"


@pytest.mark.parametrize(
    "shown",
    [
        *(kind.settings() for kind in registry.kinds().values()),
        DeliverySettings(timeout=12.5, consent_categories=("a", "b,c")),
        SourceSettings(origins=("https://a.example", "https://b.example"), enabled=False),
        Odd(),
        Settings(post_to="https://x.example/in?token=4711", folds=(1, 2), note="", copies=3),
    ],
)
def test_a_form_that_comes_back_untouched_changes_nothing(shown: Struct) -> None:
    changes, form = read(posted_as_shown(form_of(shown)), shown)
    assert (changes, form.good) == ({}, True)
    assert read({}, shown)[0] == {}


def test_what_the_form_does_not_show_whole_stays() -> None:
    shown = Settings(post_to=f"https://x.example/in?token={HUSH}")
    assert form_of(shown).control("postTo").value == "https://x.example/in?***"
    assert HUSH not in repr(form_of(shown))
    assert typed(shown, copies="2") == ({"copies": 2}, typed(shown, copies="2")[1])
    assert "give the whole of it" in error_of(shown, "postTo", "https://x.example/other?***")


@pytest.mark.parametrize(
    ("shown", "name", "text", "meant"),
    [
        (Settings(), "copies", "3", 3),
        (Settings(copies=3), "copies", "", UNSET),
        (Settings(), "colour", ["false", "true"], True),
        (Settings(colour=True), "colour", "false", False),
        (Settings(), "size", "A5", "A5"),
        (Settings(), "folds", "[1,\r\n 2]", (1, 2)),
        (Settings(), "note", "hm", "hm"),
        (Settings(), "postTo", "https://x.example/?q=1", "https://x.example/?q=1"),
        (SourceSettings(), "origins", "https://a.example\r\n\r\n https://b.example ", ("https://a.example", "https://b.example")),
        (SourceSettings(), "origins", "https://a.example, https://b.example", ("https://a.example", "https://b.example")),
        (SourceSettings(origins=("https://a.example",)), "origins", "", ()),
        (Odd(), "names", '["a", "d,e"]', ("a", "d,e")),
        (Odd(), "lines", "one\r\ntwo\r\nthree", "one\ntwo\nthree"),
        (Odd(most=5), "most", "", UNSET),
        (Odd(), "share", "0.5", 0.5),
    ],
)  # fmt: skip
def test_what_was_typed_becomes_a_change(shown: Struct, name: str, text: str | list[str], meant: Any) -> None:
    changes, form = typed(shown, **{name: text})
    assert changes == {name: meant}
    assert form.good


@pytest.mark.parametrize(
    ("shown", "name", "text", "told"),
    [
        (Settings(), "copies", "many", "Must be a whole number, not 'many'."),
        (Settings(), "copies", "12", "Must be a whole number of at most 9, not '12'."),
        (Settings(), "colour", "maybe", "Must be true or false, not 'maybe'."),
        (Settings(), "size", "A3", "Must be one of A4, A5, not 'A3'."),
        (Settings(), "note", "x" * 10_001, "Is too long: at most 10,000 characters."),
        (Settings(), "postTo", "ftp://x.example", "The address must begin with https:// (or http://)."),
        (SourceSettings(), "origins", "x" * 10_001, "This is too long"),
        (DeliverySettings(), "timeout", "0", "Must be a number of at least 0.1, not '0'."),
        (registry.kind("webhook").settings(), "headers", "{", "Must be JSON"),
    ],
)
def test_what_is_wrong_is_told_at_its_control_and_kept(shown: Struct, name: str, text: str, told: str) -> None:
    assert told in error_of(shown, name, text)


def test_one_error_does_not_cost_what_else_was_typed() -> None:
    changes, form = typed(Settings(), copies="many", note="long words", size="A5", colour=["false", "true"])
    assert changes == {"note": "long words", "size": "A5", "colour": True}
    assert [one.name for one in form.errors] == ["copies"]
    assert [form.control(name).value for name in ("copies", "note", "size", "colour")] == [
        *("many", "long words", "A5"),
        "true",
    ]


def test_a_secret_is_never_shown_and_stays_unless_another_is_typed_or_it_is_emptied() -> None:
    shown = Settings(token=HUSH)
    form = form_of(shown)
    control = form.control("token")
    assert (control.kind, control.value, control.standing, control.empty) == ("secret", "", True, False)
    assert (form.control("pin").standing, form.control("pin").empty) == (False, True)
    assert HUSH not in repr(form)
    assert typed(shown)[0] == {}
    assert typed(shown, token="another")[0] == {"token": "another"}
    changes, emptied = typed(shown, **{f"token{CLEAR}": "true"})
    assert changes == {"token": UNSET}
    assert emptied.control("token").empty
    changes, both = typed(shown, token="another", **{f"token{CLEAR}": "true"})
    assert changes == {}
    assert "not both" in both.control("token").error


def test_a_secret_typed_into_a_form_that_comes_back_must_be_typed_again() -> None:
    _, form = typed(Settings(), token=HUSH, copies="many")
    assert form.control("token").error == TYPE_AGAIN
    _, fine = typed(Settings(), token=HUSH, copies="2")
    assert fine.good
    for refused in (fine.refused("Paper: copies: of A5 there are two at most."), fine.refused("It cannot be.")):
        assert refused.control("token").error == TYPE_AGAIN
        assert HUSH not in repr(refused)
    _, wrong = typed(Settings(), token=f"{HUSH}\x00")
    assert "control characters" in wrong.control("token").error
    assert HUSH not in repr(wrong)


def test_what_is_refused_as_a_whole_is_told_where_it_belongs() -> None:
    form = form_of(Settings())
    told = form.refused("Paper: copies: of A5 there are two at most.")
    assert [(one.name, one.error) for one in told.errors] == [("copies", "Of A5 there are two at most.")]
    told = form.refused("postTo (Post to): The address has no host. Write it like https://example.com/path.")
    assert told.control("postTo").error.startswith("The address has no host")
    told = form.refused("copies, size: They do not go together.")
    assert [one.name for one in told.errors] == ["size", "copies"]
    told = form.refused("Somebody else changed the settings of paper at the same moment. Try again.")
    assert (told.errors, told.problem.startswith("Somebody else"), told.good) == ((), True, False)


def test_an_odd_value_is_taken_with_a_warning() -> None:
    changes, form = typed(Odd(), code="4711")
    assert changes == {"code": "4711"}
    assert (form.good, form.control("code").warning) == (True, "It looks like SP-1.")
    assert form_of(Odd(code="SP-1")).control("code").warning == ""
    assert form_of(Odd(code="4711")).control("code").warning != ""


def test_what_is_only_spaces_is_lacking() -> None:
    _, form = typed(Odd(), code="  ")
    assert [one.name for one in form.lacking] == ["code"]


@given(
    st.dictionaries(
        st.sampled_from([field.name for field in fields_of(Settings)] + [f"token{CLEAR}", "other"]),
        st.lists(st.text(max_size=20), max_size=3),
    )
)
def test_no_form_that_somebody_makes_up_does_harm(sent: dict[str, list[str]]) -> None:
    shown = forced(Settings(), {"token": "***"})
    changes, form = read(sent, shown)
    assert not any("***" in str(value) for value in changes.values() if "***" not in str(sent))
    assert set(changes) <= set(sent) | {"token"}
    for name, value in changes.items():
        if name in ("size", "copies", "colour"):
            changed(Settings(), {name: value}, "Paper")
    assert len(form.controls) == len(fields_of(Settings))
