"""All pages, by subject. Each module has PAGES, rows of milonga.console.table."""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

from milonga.console.table import Page


def all_pages() -> list[Page]:
    """Of every module here. More exact paths come first, so that `/sources/new` is no source called new."""
    found = [page for name in _modules() for page in import_module(f"{__name__}.{name}").PAGES]
    return sorted(found, key=lambda page: page.path.count("{"))


def _modules() -> Iterator[str]:
    return (module.name for module in iter_modules(__path__) if not module.name.startswith("_"))
