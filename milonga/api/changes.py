"""Settings as a PATCH brings them (RFC 7396, merge patch). Pure."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from milonga.workspace.settings import MASK, UNSET, fields_of, shown


def merged(given: Mapping[str, Any], kind: type[Struct], current: Struct | None = None) -> dict[str, object]:
    """
    null puts back a default. A value as an answer showed it, with what is hidden in it, changes nothing: whoever sends
    back what he got must not set a secret to ***.

    current  the settings that he may have got, secrets as they are or as ***
    """
    told = {} if current is None else shown(current)
    hides = {
        called: field
        for field in fields_of(kind)
        if field.secret or field.address
        for called in (field.name, field.attribute)
    }
    found: dict[str, object] = {}
    for name, value in given.items():
        field = hides.get(name)
        if field is not None and value is not None and (value == MASK or value == told.get(field.name)):
            continue
        found[name] = UNSET if value is None else value
    return found
