"""Imports go one way, and what is called pure is pure: read from the code itself."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "milonga"
HOW_IT_WORKS = (ROOT.parent / "docs/how-it-works.md").read_text()

MAY_IMPORT = {
    "spec": {"spec"},
    "filters": {"spec", "filters"},
    "privacy": {"spec", "privacy"},
    "identity": {"spec", "identity"},
    "eventlog": {"spec", "privacy", "identity", "eventlog"},
    "destinations": {"spec", "filters", "destinations"},
    "workspace": {"spec", "privacy", "eventlog.api", "eventlog.folders", "filters", "destinations", "workspace"},
    "collector": {"spec", "privacy", "identity", "eventlog.api", "workspace.model", "collector"},
    "outcomes": {
        *("spec", "privacy", "eventlog.api", "eventlog.aside", "eventlog.folders", "eventlog.wal", "filters"),
        "destinations",
        *("workspace.model", "outcomes"),
    },
    "delivery": {
        *("spec", "privacy", "identity"),
        *("eventlog.api", "eventlog.aside", "eventlog.folders", "eventlog.wal", "filters"),
        *("destinations", "workspace", "outcomes", "delivery"),
    },
    "metrics": {"spec", "eventlog", "workspace", "collector.counts", "outcomes", "delivery", "metrics"},
    "index": {"spec", "privacy", "eventlog", "destinations", "workspace", "outcomes", "index"},
    "facts": {
        *("spec", "privacy", "identity", "eventlog", "filters", "destinations", "workspace", "collector", "outcomes"),
        *("delivery", "metrics", "index", "facts"),
    },
    "api": {
        *("spec", "privacy", "identity", "eventlog", "filters", "destinations", "workspace", "collector", "outcomes"),
        *("delivery", "metrics", "index", "facts", "api"),
    },
    "console": {
        *("spec", "privacy", "identity", "eventlog", "filters", "destinations", "workspace", "collector", "outcomes"),
        *("delivery", "metrics", "index", "facts", "api", "console"),
    },
    "cli": {
        *("spec", "privacy", "identity", "eventlog", "filters", "destinations", "workspace", "collector", "outcomes"),
        *("delivery", "metrics", "index", "facts", "api", "console", "cli"),
    },
}
"""What a folder may use of the others, each only of those before it; docs/how-it-works.md has the same list."""

OUTSIDE = {"socket", "ssl", "asyncio", "time", "random", "secrets", "os", "pathlib", "subprocess", "threading", "io"}
OUTSIDE |= {"sqlite3", "apsw", "pycurl", "httptools", "urllib.request", "http.client", "tempfile", "shutil", "uuid"}

IMPURE = {
    "destinations/registry.py",  # looks for the folders
    "destinations/pretend.py",  # a server for tests and the demo
    "destinations/listener.py",
}

MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def imports(module: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


@pytest.mark.parametrize("module", [module for module in MODULES if "/" in module])
def test_a_folder_uses_only_what_comes_before_it_on_the_road(module: str) -> None:
    allowed = {f"milonga.{name}" for name in MAY_IMPORT[module.split("/")[0]]}
    ours = {name for name in imports(module) if name.startswith("milonga.")} - {"milonga.__version__"}
    wrong = {
        name
        for name in ours
        if not any(name == good or name.startswith(f"{good}.") or good.startswith(f"{name}.") for good in allowed)
    }
    assert not wrong


@pytest.mark.parametrize(
    "module",
    [
        module
        for module in MODULES
        if module.startswith(("spec/", "filters/", "privacy/", "destinations/", "identity/"))
        and module not in IMPURE
        and not module.endswith("/fake.py")
        and module != "identity/message_id.py"
    ],
)
def test_what_is_pure_reaches_for_no_socket_file_or_clock(module: str) -> None:
    used = imports(module)
    assert not {name for name in used if name in OUTSIDE or name.split(".")[0] in OUTSIDE}
    calls = {
        node.func.id
        for node in ast.walk(ast.parse((ROOT / module).read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "open" not in calls


def calls_itself_pure(module: str) -> bool:
    told = ast.get_docstring(ast.parse((ROOT / module).read_text())) or ""
    return re.search(r"(?:^|[.;] )pure\b", told.partition("\n\n")[0].replace("\n", " "), re.IGNORECASE) is not None


RULES = {
    *("delivery/breaker.py", "delivery/addresses.py", "delivery/finding.py"),
    *("metrics/figures.py", "metrics/table.py"),
}
"""Pure as well, without saying it."""


@pytest.mark.parametrize("module", sorted({module for module in MODULES if calls_itself_pure(module)} | RULES))
def test_rules_reach_for_nothing_outside(module: str) -> None:
    assert not {name for name in imports(module) if name in OUTSIDE or name.split(".")[0] in OUTSIDE}


def test_every_folder_is_on_the_road() -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(MAY_IMPORT)


def test_the_road_has_no_way_back() -> None:
    road = list(MAY_IMPORT)
    for place, folder in enumerate(road):
        assert {name.split(".")[0] for name in MAY_IMPORT[folder]} <= set(road[: place + 1]), folder
    assert ", ".join(f"`{folder}`" for folder in road) in HOW_IT_WORKS.replace("\n", " ")


def test_the_map_of_delivery_has_each_of_its_modules_once() -> None:
    table = HOW_IT_WORKS.partition("## The modules of `delivery/`")[2].partition("\n## ")[0]
    here = [path.stem for path in (ROOT / "delivery").glob("*.py") if path.stem != "__init__"]
    assert sorted(re.findall(r"`(\w+)`", table)) == sorted(here)
