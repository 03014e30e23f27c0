"""Segment's way of finding a key whatever its spelling."""

import re

_IGNORED = re.compile(r"[^a-z0-9]+")


def fold(key: str) -> str:
    """
    The key with its case, and all that is not a letter or digit of ASCII, taken away: `group_id`, `Group Id` and
    `groupId` fold to `groupid`. Source: segmentio-facade 3.2.7, obj-case (docs/totango.md, "Look-ups").
    """
    return _IGNORED.sub("", key.lower())
