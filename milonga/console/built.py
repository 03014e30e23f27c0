"""What `web/` is built into: files with the hash of their content in the name, so that browsers keep them for ever."""

from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

TYPES: Final = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
NOT_BUILT: Final = (
    "The console's styles and scripts are not built. From a clone: `make web`. A package that was installed holds them."
)


@cache
def manifest() -> dict[str, str]:
    """Name -> name with the hash; empty if nothing was built."""
    try:
        text = (files("milonga.console") / "static" / "manifest.json").read_bytes()
    except FileNotFoundError:
        return {}
    return msgspec.json.decode(text, type=dict[str, str])


def asset(name: str) -> str:
    """Where pages load it from."""
    return f"/static/{manifest().get(name, name)}"


def content(name: str) -> bytes | None:
    """Of a file by its name with the hash; None for every other name, of which nothing is remembered."""
    return _read(name) if name in manifest().values() else None


@cache
def _read(name: str) -> bytes:
    return (files("milonga.console") / "static" / name).read_bytes()
