"""Moments as people write them in a command: `2024-03-05`, `2024-03-05T14:22Z`, `90m`, `3h`, `2d`, `now`. Pure."""

import re
from datetime import UTC, datetime
from typing import Final

HELP: Final = "Such as 2024-03-05, 2024-03-05T14:22Z, 90m or 2d ago, now."

_AGO: Final = re.compile(r"([0-9]{1,9})(s|m|h|d|w)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}


def moment(text: str, now: int) -> int:
    """
    Unix milliseconds; a date without a time is its beginning, a time without a zone is UTC. ValueError if it is none.

    now  unix milliseconds
    """
    text = text.strip().removesuffix(" ago")
    if text == "now":
        return now
    if ago := _AGO.fullmatch(text):
        return now - int(ago[1]) * _SECONDS[ago[2]] * 1000
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:50]!r} is no moment. {HELP}") from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
