"""What sources and destinations may be called."""

import re
from typing import Final

from milonga.workspace.errors import UserError

NAME_RULE: Final = "1 to 64 characters: letters, digits, '-', '_' and '.'"

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


def is_name(text: str) -> bool:
    """See NAME_RULE."""
    return _NAME.fullmatch(text) is not None


def check_name(name: str, what: str) -> None:
    """UserError if no `what`, a source or a destination, can be called that."""
    if not is_name(name):
        raise UserError(f"A {what}'s name has {NAME_RULE}.")
