"""How deep JSON text is nested, found without decoding it: decoders recurse, this does not."""

import re
from itertools import accumulate
from typing import Final

from milonga.spec.limits import MAX_DEPTH

# Text that never ends is one match, to the end of all: were each of its quotes tried as a beginning, the time would be
# quadratic.
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_STEPS: Final = bytes.maketrans(b"[{]}", b"\1\1\xff\xff")  # one up, one down, as signed bytes
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[{]}"))


def too_deep(body: bytes) -> bool:
    """Whether the text is nested beyond MAX_DEPTH. Linear; nearly free for text with few brackets."""
    # Taking them out tells how many there are ten times faster than `count` does, which looks at byte after byte.
    if len(body) - len(body.replace(b"{", b"").replace(b"[", b"")) <= MAX_DEPTH:
        return False
    steps = _STRING.sub(b"", body).translate(_STEPS, _NO_BRACKETS)
    return max(accumulate(memoryview(steps).cast("b")), default=0) > MAX_DEPTH
