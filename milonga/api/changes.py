"""Settings as a PATCH brings them (RFC 7396, merge patch). Pure."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from milonga.workspace.fields import fields_of
from milonga.workspace.settings import MASK, UNSET


def merged(given: Mapping[str, Any], kind: type[Struct]) -> dict[str, object]:
    """
    null puts back a default. *** for a secret, as answers show it, changes nothing: whoever sends back what he got
    must not set it to that.
    """
    secret = {called for field in fields_of(kind) if field.secret for called in (field.name, field.attribute)}
    return {
        name: UNSET if value is None else value
        for name, value in given.items()
        if not (name in secret and value == MASK)
    }
