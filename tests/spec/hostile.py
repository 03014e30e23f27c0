"""
Bodies that cost as much as possible. As a program it reads them all, and prints the name of each once it is done:

    python -m tests.spec.hostile
"""

import contextlib
from collections.abc import Iterator

from milonga.spec.arrived import NotJson
from milonga.spec.decode import decode, decode_cut, decode_mended
from milonga.spec.depth import too_deep
from milonga.spec.limits import MAX_REQUEST
from milonga.spec.mend import loads

EVENT = '{"type":"track","userId":"u","event":"e"}'
OPEN = '{"batch":['

#: name -> (beginning, what is repeated, end)
SHAPES = {
    "text that never ends": ('{"a":"', '\\"', ""),
    "the same behind 65 brackets": ("[" * 65 + '"', '\\"', ""),
    "the same in an event": (OPEN + '{"type":"track","userId":"', '\\"', ""),
    "the same in a context": ('{"context":{"a":"', '\\"', ""),
    "escaped quotes without text": (OPEN, '\\"', ""),
    "escaped quotes and commas": (OPEN + '"', '\\",', ""),
    "quotes": ('{"a":', '"', ""),
    "quotes, an odd one": ('{"a":"', '""', ""),
    "quotes and commas": (OPEN, '",', ""),
    "quotes and braces": (OPEN, '"{', ""),
    "backslashes": ('{"a":"', "\\", ""),
    "an odd backslash": ('{"a":"\\', "\\\\", ""),
    "half escapes": ('{"a":"', "\\u", '"}'),
    "unknown escapes": ('{"a":"', "\\x", '"}'),
    "half surrogates": ('{"a":"', "\\ud800", '"}'),
    "half surrogates without end": ('{"a":"', "\\ud800", ""),
    "surrogate pairs": ('{"a":"', "\\ud83d\\ude00", '"}'),
    "brackets": ("", "[", ""),
    "braces": ("", "{", ""),
    "closing brackets": ("{", "]", ""),
    "pairs of brackets": ("", "[]", ""),
    "pairs of braces in a batch": (OPEN, "{},", "]}"),
    "pairs the wrong way round": ("", "][", ""),
    "pairs in events": (OPEN, '{"type":"track","userId":"u","event":"e","x":[' + "[]," * 10_000 + "1]},", "]}"),
    "nested beginnings": ("", '{"batch":', ""),
    "nested lists": ("", '[{"a":[', ""),
    "commas": (OPEN, ",", "]}"),
    "commas that never end": ("{", ",", ""),
    "holes": (OPEN, ", ", "]}"),
    "ones": (OPEN, "1,", "1]}"),
    "nulls": (OPEN, "null,", "]}"),
    "NaN": (OPEN, "NaN,", "]}"),
    "NaN without commas": ('{"a":', "NaN", ""),
    "minus NaN": ('{"a":', "-NaN ", ""),
    "minus": ('{"a":', "-", ""),
    "numbers out of range": (OPEN, "1e999,", "]}"),
    "digits": (OPEN, "1", "]}"),
    "digits in a sentAt": ('{"sentAt":', "1", ',"batch":[1]}'),
    "objects in a sentAt": ('{"sentAt":[', "{},", '1],"batch":[1]}'),
    "members of a context": ('{"context":{', '"a":1,', '"b":1},"batch":[1]}'),
    "white space": (OPEN, " ", "]}"),
    "white space before a key": ("{", " ", '"batch":[]}'),
    "white space behind a key": ('{"a"', " ", ""),
    "byte-order marks": ('{"a":', "\ufeff", ""),
    "control characters": ('{"a":', "\1", ""),
    "control characters in text": ('{"a":"', "\1", '"}'),
    "NUL": ("", "\0", "{}"),
    "NULs between documents": ("", "{}\0", ""),
    "documents": ("", EVENT, ""),
    "documents that never end": ("", OPEN + EVENT, ""),
    "text between documents": ("", "x{}", ""),
    "text": ("", "x", ""),
    "members": ("{", '"a":1,', '"batch":[1]}'),
    "members without keys": ("{", "a,", '"batch":[1]}'),
    "long keys": ('{"', '\\"', '":1,"batch":[1]}'),
    "colons": ('{"a"', ":", ""),
    "batches": ("{", '"batch":[1],', '"batch":[1]}'),
}

WHOLE = {
    "text that never ends",
    "the same behind 65 brackets",
    "backslashes",
    "half surrogates without end",
    "brackets",
    "white space behind a key",
}
"""Those read in full size, too: what is not linear takes hours with them, what is takes less than a second."""


def bodies(size: int) -> Iterator[tuple[str, str]]:
    for name, (begin, piece, end) in SHAPES.items():
        yield name, begin + piece * ((size - len(begin) - len(end)) // len(piece.encode())) + end


def read(text: str) -> None:
    """In every way there is."""
    body = text.encode()
    too_deep(body)
    for implied in (None, "track"):
        decode(body, implied)
        with contextlib.suppress(NotJson):
            decode_mended(body, implied)
    with contextlib.suppress(NotJson):
        decode_cut(text, None)
    with contextlib.suppress(ValueError):
        loads(body)


if __name__ == "__main__":
    for name, text in bodies(MAX_REQUEST):
        if name in WHOLE:
            read(text)
            print(name, flush=True)
    for name, text in bodies(MAX_REQUEST // 20):
        read(text)
        print(name, flush=True)
