"""The documentation of the destinations says what there is."""

import json
import re
from pathlib import Path

import msgspec
import pytest

import milonga
from milonga.destinations.registry import kinds

CODE = Path(milonga.__path__[0])
DOCS = CODE.parent / "docs"


def doc(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", kinds())
def test_every_setting_is_documented_with_its_label_and_default(name: str) -> None:
    described = msgspec.inspect.type_info(kinds()[name].settings)
    assert isinstance(described, msgspec.inspect.StructType)
    for field in described.fields:
        assert isinstance(field.type, msgspec.inspect.Metadata)
        label = (field.type.extra_json_schema or {})["title"]
        default = "empty" if field.default == "" or field.default_factory is dict else f"`{field.default}`".lower()
        row = f"| `{field.encode_name}` | {label} | {default} |"
        assert row.lower() in doc(f"{name}.md").lower(), row


@pytest.mark.parametrize("name", kinds())
def test_every_reason_to_skip_is_documented(name: str) -> None:
    code = "".join(file.read_text(encoding="utf-8") for file in (CODE / "destinations" / name).glob("*.py"))
    codes = re.findall(r'Skip\(\s*"(\w+)"', code)
    assert codes
    assert [each for each in codes if f"`{each}`" not in doc(f"{name}.md")] == []


@pytest.mark.parametrize("name", kinds())
def test_every_reason_to_skip_has_a_case(name: str) -> None:
    folder = CODE / "destinations" / name
    code = "".join(file.read_text(encoding="utf-8") for file in folder.glob("*.py"))
    cases = [
        case for file in (folder / "cases").glob("*.json") for case in json.loads(file.read_text(encoding="utf-8"))
    ]
    shown = {case.get("skip") for case in cases}
    assert set(re.findall(r'Skip\(\s*"(\w+)"', code)) - shown - {"too_deep"} == set()


def test_a_section_that_code_refers_to_is_there() -> None:
    cited = [
        found
        for file in CODE.rglob("*.py")
        for found in re.findall(r'docs/([a-z-]+)\.md, "([^"\n]+)"(?: and "([^"\n]+)")?', file.read_text("utf-8"))
    ]
    assert cited
    for name, *sections in cited:
        for section in filter(None, sections):
            assert re.search(rf"\n###? {re.escape(section)}\n", doc(f"{name}.md")), (name, section)
