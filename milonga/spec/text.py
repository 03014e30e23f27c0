"""Text that UTF-8 can carry."""

import re
from typing import Final

_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def well_formed(text: str) -> str:
    """
    The text with U+FFFD for each lone surrogate, which no UTF-8 can carry. The number of code points stays the same.
    JSON may hold one (`"\\ud83d"`), for instance where a sender cut a text in the middle of an emoji.
    """
    if text.isascii():
        return text
    return _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
