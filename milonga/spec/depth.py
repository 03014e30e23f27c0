"""How deep JSON text is nested, found without decoding it: decoders recurse, this does not."""

import re
from typing import Final

from milonga.spec.limits import MAX_DEPTH

_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_BRACKETS: Final = re.compile(_STRING + rb"|[\[{]+|[\]}]+", re.DOTALL)


def too_deep(body: bytes) -> bool:
    """Whether the text is nested beyond MAX_DEPTH. Linear; nearly free for text with few brackets."""
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return False
    depth = 0
    for match in _BRACKETS.finditer(body):
        run = match.group()
        if run[0] in b"[{":
            depth += len(run)
            if depth > MAX_DEPTH:
                return True
        elif run[0] in b"]}":
            depth -= len(run)
    return False
