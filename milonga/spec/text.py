"""Text that UTF-8 can carry."""

import re
from typing import Final

CUT: Final = "…"  #: ends a text that goes on where it came from
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def well_formed(text: str) -> str:
    """
    The text with U+FFFD for each lone surrogate, which no UTF-8 can carry. The number of code points stays the same.
    JSON may hold one (`"\\ud83d"`), for instance where a sender cut a text in the middle of an emoji.
    """
    if text.isascii():
        return text
    return _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def beginning(kept: bytes, is_cut: bool) -> str:
    """What was kept of a text; CUT stands at its end if there was more, and for a character that was divided."""
    text = kept.decode(errors="replace")
    return text.rstrip("\N{REPLACEMENT CHARACTER}") + CUT if is_cut else text
