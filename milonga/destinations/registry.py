"""Which kinds of destination there are: every folder beside this file. See docs/add-a-destination.md."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Any

import msgspec

from milonga.destinations.contract import Destination


class HalfDone(Exception):
    """A destination's folder lacks something. The message lists what."""


class UnknownKind(ValueError):
    """There is no destination of this kind. The message lists those there are."""


@cache
def kinds() -> Mapping[str, Destination]:
    """All of them by kind, in alphabetical order. HalfDone if a folder lacks something."""
    here = Path(__file__).parent
    return found_in(here, __package__)


def kind(name: str) -> Destination:
    """UnknownKind if there is none."""
    known = kinds()
    if name not in known:
        raise UnknownKind(f"No destination is called {name!r}. There are: {', '.join(known)}.")
    return known[name]


def found_in(folder: Path, package: str) -> Mapping[str, Destination]:
    """
    folder   holds one folder for each destination
    package  its name in Python
    """
    found = {}
    for module in iter_modules([str(folder)]):
        if not module.ispkg:
            continue
        destination = getattr(import_module(f"{package}.{module.name}"), "destination", None)
        lacks = list(_lacks(folder / module.name, destination))
        if lacks or not isinstance(destination, Destination):
            raise HalfDone(f"The destination in {folder / module.name} lacks: {'; '.join(lacks)}.")
        found[module.name] = destination
    return MappingProxyType(dict(sorted(found.items())))


def _lacks(folder: Path, destination: Any) -> Iterator[str]:
    if not isinstance(destination, Destination):
        yield "`destination = Destination(...)` in __init__.py"
        return
    if destination.kind != folder.name:
        yield f"the folder's name as its kind, which is {destination.kind!r}"
    if not destination.label:
        yield "a label"
    if not destination.summary:
        yield "a summary"
    yield from _settings_lack(destination.settings)
    if not (folder / "README.md").is_file():
        yield "README.md"
    if not any((folder / "cases").glob("*.json")):
        yield "a file in cases/"


def _settings_lack(settings: type[msgspec.Struct]) -> Iterator[str]:
    information = msgspec.inspect.type_info(settings)
    if not isinstance(information, msgspec.inspect.StructType):
        yield "a msgspec Struct as its settings"
        return
    for field in information.fields:
        if field.required:
            yield f"a default for the setting {field.encode_name}"
        schema = field.type.extra_json_schema if isinstance(field.type, msgspec.inspect.Metadata) else None
        for word in ("title", "description"):
            if not (schema or {}).get(word):
                yield f"a {word} for the setting {field.encode_name}"
