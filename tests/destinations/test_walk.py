"""The folder that docs/add-a-destination.md makes is a destination like any other."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings

import milonga.destinations
from milonga.destinations.contract import Destination, Skip
from milonga.destinations.registry import found_in
from milonga.outcomes.explain import shown
from tests.destinations.casework import cases_of, check
from tests.destinations.events import event, events

PAGE = Path(__file__).parents[2] / "docs" / "add-a-destination.md"
FILE = re.compile(r"`milonga/destinations/beeper/(\S+)`.*?```\w+\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Written from the page, and where Python looks for destinations."""
    place = tmp_path_factory.mktemp("walk")
    beeper = place / "beeper"
    for name, text in FILE.findall(PAGE.read_text(encoding="utf-8")):
        (beeper / name).parent.mkdir(parents=True, exist_ok=True)
        (beeper / name).write_text(text)
    milonga.destinations.__path__.append(str(place))
    yield beeper
    milonga.destinations.__path__.remove(str(place))
    for name in [name for name in sys.modules if name.startswith("milonga.destinations.beeper")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def beeper(folder: Path) -> Destination:
    (found,) = found_in(folder.parent, "milonga.destinations").values()
    return found


def test_it_is_found_with_all_it_needs(beeper: Destination, folder: Path) -> None:
    assert (beeper.kind, beeper.label) == ("beeper", "Beeper")
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    own = {name for name in files if "__pycache__" not in name}
    assert own == {"__init__.py", "settings.py", "translate.py", "README.md", "cases/beeps.json"}


def test_its_cases_hold_and_every_reason_to_skip_has_one(beeper: Destination, folder: Path) -> None:
    cases = [case for _, case in cases_of(folder)]
    for case in cases:
        check(beeper, case)
    codes = set(re.findall(r'Skip\(\s*"(\w+)"', (folder / "translate.py").read_text()))
    assert {case.get("skip") for case in cases} - {None} == codes


def test_it_stands_odd_events_and_shows_no_secret(beeper: Destination) -> None:
    chosen = msgspec.convert({"token": "t-12345678"}, beeper.settings)

    @given(one=events)
    @settings(max_examples=60, deadline=None)
    def whatever(one: object) -> None:
        beeper.keys(one, chosen)  # type: ignore[arg-type]
        result = beeper.translate(one, chosen)  # type: ignore[arg-type]
        assert isinstance(result, Skip) or msgspec.json.encode(shown(result[0]))

    whatever()
    (request,) = beeper.translate(event("track", event="Saved"), chosen)  # type: ignore[misc]
    assert "t-12345678" not in str(shown(request))


def test_what_cannot_be_used_is_refused_in_words(beeper: Destination) -> None:
    with pytest.raises(msgspec.ValidationError, match="endpoint: The address must begin with https://"):
        msgspec.convert({"endpoint": "beeper.example"}, beeper.settings)
