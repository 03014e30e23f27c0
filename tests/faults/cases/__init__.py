"""One module for each case: a `CASE` in it is all that is needed."""

from importlib import import_module
from pkgutil import iter_modules

from tests.faults.case import Case


def cases() -> tuple[Case, ...]:
    """All there are, in order."""
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    found: list[Case] = [module.CASE for module in modules if hasattr(module, "CASE")]
    return tuple(sorted(found, key=lambda case: case.number))
