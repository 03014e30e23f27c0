"""
Events that come as the query of a picture's address: from e-mails and AMP pages. Source: Segment's pixel tracking API;
the `segment` vendor of AMP's analytics.
"""

import binascii
import re
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from milonga.spec.limits import MAX_EVENT

MAX_FIELDS: Final = 500  #: of a query; a request line has room for some thousands
MAX_DOTS: Final = 16  #: levels that dots make

_TRUE_OR_FALSE: Final = re.compile(
    r"integrations\.[^.]+|context\.(?:active|direct|device\.adTrackingEnabled|network\.(?:bluetooth|cellular|wifi)"
    r"|consent\.categoryPreferences\.[^.]+)"
)
_NUMBERS: Final = re.compile(
    r"context\.(?:screen\.(?:width|height|density)|location\.(?:latitude|longitude|speed)|consent\.version)"
)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,15})(?:\.[0-9]{1,15})?")
_JSON_VALUES: Final = {"true": True, "false": False}


class Unreadable(ValueError):
    """No event can be made of the query; the message says why."""


class Query:
    """
    write_key  beside the event; None if there is none. Most have it within
    """

    def __init__(self, target: bytes) -> None:
        """
        target  path and query of the request. Unreadable if it has too many fields.
        """
        self.text = target.partition(b"?")[2]
        try:
            self._fields = parse_qsl(
                self.text.decode("utf-8", "replace"),
                keep_blank_values=True,
                errors="replace",
                max_num_fields=MAX_FIELDS,
            )
        except ValueError:
            raise Unreadable(f"Expected at most {MAX_FIELDS} fields in the query") from None
        self.write_key = next((value for name, value in self._fields if name == "writeKey" and value), None)

    def event(self) -> bytes:
        """JSON, though perhaps broken. Unreadable."""
        data = next((value for name, value in self._fields if name == "data"), None)
        return _dotted(self._fields) if data is None else _from_base64(data)


def _from_base64(text: str) -> bytes:
    """Either alphabet, padded or not; a plus sign that was not percent-encoded arrives as a blank."""
    if len(text) > 2 * MAX_EVENT:
        raise Unreadable(f"Expected at most {2 * MAX_EVENT} characters - at `data`")
    if text.lstrip().startswith("{"):
        return text.encode()
    letters = "".join(text.strip("\r\n\t =").replace(" ", "+").replace("-", "+").replace("_", "/").split())
    try:
        return binascii.a2b_base64(letters.rstrip("=") + "=" * (-len(letters.rstrip("=")) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        raise Unreadable("Expected base64 - at `data`") from None


def _dotted(fields: list[tuple[str, str]]) -> bytes:
    """
    `context.page.url=x` is `{"context": {"page": {"url": "x"}}}`. Text stays text, but where Segment's spec has
    numbers, true or false. What does not fit to what was there before it is passed over.
    """
    event: dict[str, Any] = {}
    for name, value in fields:
        *way, last = name.split(".")
        if len(way) >= MAX_DOTS:
            raise Unreadable(f"Expected at most {MAX_DOTS} levels - at `{name[:100]}`")
        at: Any = event
        for step in way:
            at = at.setdefault(step, {}) if isinstance(at, dict) else None
        if isinstance(at, dict) and not isinstance(at.get(last), dict):
            at[last] = _value(name, value)
    return msgspec.json.encode(event)


def _value(name: str, text: str) -> Any:
    if _TRUE_OR_FALSE.fullmatch(name):
        return _JSON_VALUES.get(text, text)
    if _NUMBERS.fullmatch(name) and _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return text
