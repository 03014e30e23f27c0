"""A request that was shown (milonga.outcomes.explain) as a command line of curl, for people to copy. Pure."""

import re
import shlex
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

_PLAIN: Final = re.compile(r"[\x20-\x7e\u00a0-\u200d\u2010-\u2027\u2030-\u2065\u206a-\ud7ff\ue000-\U0010ffff]*")
"""Text without control characters, and without what turns the direction of text on a terminal."""


def curl(request: Mapping[str, Any]) -> str:
    """
    What is secret stands as *** here as it does there. Nothing in it but our own words is more than text to a shell
    (bash, zsh), and a terminal that it is pasted into gets no control character.
    """
    words = ["curl", f"-X {request['method']}", _quoted(request["url"])]
    words += [f"-H {_quoted(f'{name}: {value}')}" for name, value in request["headers"].items()]
    if request["format"] == "form":
        words += [f"--data-urlencode {_quoted(f'{quote(name)}={value}')}" for name, value in request["body"].items()]
    elif request["method"] != "GET":
        words.append("-H 'Content-Type: application/json'")
        words.append(f"--data-raw {_quoted(msgspec.json.encode(request['body']).decode())}")
    return " \\\n  ".join([" ".join(words[:3]), *words[3:]])


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return shlex.quote(text)
    return "$'" + "".join(_escaped(sign) for sign in text) + "'"


def _escaped(sign: str) -> str:
    if sign in "\\'":
        return f"\\{sign}"
    if _PLAIN.fullmatch(sign):
        return sign
    return "".join(f"\\x{byte:02x}" for byte in sign.encode("utf-8", "replace"))
