"""docs/compatibility.md says what the tests show."""

import re
from pathlib import Path

import pytest
from msgspec import Struct

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "compatibility.md").read_text()
MARKS = {"run here", "replayed from a capture", "read from its source"}

SDKS = {
    *(
        "analytics.js 2, by script tag",
        "analytics.js 2, bundled from npm",
        "analytics.js 2 before 1.84",
        "analytics.js 1.x",
    ),
    *("`@segment/analytics-node`", "`analytics-node`", "`segment-analytics-python`", "`analytics-python`"),
    *("`analytics-ruby`", "`analytics-php`", "`analytics-go`", "`analytics-java`", "`Analytics.NET`"),
    *("`analytics-kotlin`", "`analytics-swift`", "`@segment/analytics-react-native`", "`analytics_flutter`"),
    *("`Analytics-CSharp`", "`analytics-android`", "`analytics-ios`", "AMP"),
}
"""All there are."""

PINNED = "\n".join(
    (ROOT / path).read_text()
    for path in (
        *("requirements.lock", "tests/sdks/python_1/requirements.txt", "tests/sdks/fetch.py", "tests/sdks/go/go.mod"),
        *("tests/node/package.json", "browser/package.json"),
    )
)
"""Where the versions that the tests bring stand."""


class Row(Struct, frozen=True):
    sdk: str
    version: str
    mark: str
    test: str
    set_up: str


ROW = re.compile(r"^\| (.*?) ?\| (\S+) \| \*(.+?)\*.*?: `(test_\w+)` \| (.*?) \| .* \|$", re.MULTILINE)
ROWS = [Row(*found) for found in ROW.findall(PAGE)]
DEFINED = re.compile(r"^def (test_\w+)", re.MULTILINE)
TESTS = {name for path in ROOT.glob("tests/*/test_*.py") for name in DEFINED.findall(path.read_text())}


def test_every_sdk_has_its_row() -> None:
    assert len(ROWS) == PAGE.count("`test_")
    for sdk in SDKS:
        assert any(sdk in row.sdk for row in ROWS), sdk


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.sdk} {row.version}")
def test_a_row_names_a_test_that_exists(row: Row) -> None:
    assert row.mark in MARKS
    assert row.test in TESTS
    assert row.set_up


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.mark == "run here"], ids=lambda row: f"{row.sdk} {row.version}"
)
def test_what_is_run_here_is_of_the_version_that_the_tests_bring(row: Row) -> None:
    assert re.search(rf"(?<![\d.]){re.escape(row.version)}(?![\d.])", PINNED), row.version


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.mark != "run here"], ids=lambda row: f"{row.sdk} {row.version}"
)
def test_what_cannot_be_run_is_not_called_run(row: Row) -> None:
    """Its test stands with those put together by hand."""
    by_hand = [*Path(__file__).parent.glob("test_*_by_hand.py"), Path(__file__).parent / "test_amp.py"]
    assert any(f"def {row.test}(" in path.read_text() for path in by_hand)
