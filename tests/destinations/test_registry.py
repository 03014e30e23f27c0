"""A destination is found by its folder being there; a half-done one stops the start."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from milonga.destinations.contract import Destination
from milonga.destinations.registry import HalfDone, UnknownKind, found_in, kind, kinds

WHOLE = """
from typing import Annotated
import msgspec
from milonga.destinations.contract import Delivered, Destination, Skip

class Settings(msgspec.Struct, frozen=True):
    url: Annotated[str, msgspec.Meta(title="URL", description="Where to.")] = ""

destination = Destination(
    kind="{kind}",
    label="Minimal",
    summary="Nothing at all.",
    settings=Settings,
    keys=lambda event, settings: (),
    translate=lambda event, settings: Skip("never", "There is nothing to do."),
    judge=lambda answer, now: Delivered(),
)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty package `some_destinations` that Python finds."""
    folder = tmp_path / "some_destinations"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == folder.name]:
        del sys.modules[name]


def add(package: Path, name: str, code: str, *, readme: bool = True, cases: bool = True) -> None:
    folder = package / name
    (folder / "cases").mkdir(parents=True)
    (folder / "__init__.py").write_text(code)
    if readme:
        (folder / "README.md").write_text("# Minimal\n")
    if cases:
        (folder / "cases" / "some.json").write_text("[]")


def test_totango_and_webhook_are_found() -> None:
    assert {"totango", "webhook"} <= set(kinds())
    assert all(name == destination.kind for name, destination in kinds().items())
    assert kind("totango").label == "Totango"


def test_adding_a_destination_is_adding_a_folder(package: Path) -> None:
    add(package, "minimal", WHOLE.format(kind="minimal"))
    add(package, "another", WHOLE.format(kind="another"))
    (package / "helper.py").write_text("raise AssertionError('a file beside the folders is no destination')")
    found = found_in(package, package.name)
    assert list(found) == ["another", "minimal"]
    assert all(isinstance(destination, Destination) for destination in found.values())


@pytest.mark.parametrize(
    ("code", "missing"),
    [
        ("", "destination = Destination"),
        (WHOLE.format(kind="other"), "the folder's name as its kind, which is 'other'"),
        (WHOLE.format(kind="minimal").replace('"Minimal"', '""'), "a label"),
        (WHOLE.format(kind="minimal").replace("Nothing at all.", ""), "a summary"),
        (WHOLE.format(kind="minimal").replace(' = ""', ""), "a default for the setting url"),
        (WHOLE.format(kind="minimal").replace('"Where to."', '""'), "a description for the setting url"),
        (WHOLE.format(kind="minimal").replace('title="URL", ', ""), "a title for the setting url"),
        (
            WHOLE.format(kind="minimal").replace("settings=Settings", "settings=dict"),
            "a msgspec Struct as its settings",
        ),
    ],
)
def test_a_half_done_destination_stops_the_start_and_says_what_is_missing(
    package: Path, code: str, missing: str
) -> None:
    add(package, "minimal", code)
    with pytest.raises(HalfDone, match=r"some_destinations.minimal lacks: ") as raised:
        found_in(package, package.name)
    assert missing in str(raised.value)


def test_everything_that_is_missing_is_named_at_once(package: Path) -> None:
    add(package, "minimal", WHOLE.format(kind="minimal").replace(' = ""', ""), readme=False, cases=False)
    with pytest.raises(HalfDone, match=r"lacks: a default for the setting url; README.md; a file in cases/"):
        found_in(package, package.name)


def test_an_unknown_kind_is_told_with_those_there_are() -> None:
    with pytest.raises(UnknownKind, match=r"'tango'.*totango, webhook"):
        kind("tango")


def test_finding_the_destinations_loads_no_server_no_client_and_no_pretend_receiver() -> None:
    code = (
        "import sys; from milonga.destinations.registry import kinds; kinds();"
        "print([m for m in ('asyncio', 'httptools', 'pycurl', 'typer', 'apsw', 'milonga.destinations.pretend',"
        "'milonga.destinations.totango.fake') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
