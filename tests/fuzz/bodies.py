"""Changes to bodies: of their JSON, of their bytes, and of how they are packed."""

import gzip
import random
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import msgspec

from tests.fuzz import values
from tests.fuzz.draft import Draft
from tests.fuzz.templates import KEYS, renew

ENCODINGS: Final = (
    *(b"gzip", b"GZIP", b" gzip ", b"x-gzip", b"deflate", b"identity", b"br", b"zstd", b"compress", b"", b"gzip, gzip"),
    *(b"gzip,", b"gzip;q=1", b"*", b"chunked", b"\xff", b"g" * 5000, b"aws-chunked"),
)
PIECES: Final = (
    *(
        b"\0",
        b"\xff",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\xc0\xaf",
        b"\xf5\x80\x80\x80",
        b"{",
        b"}",
        b"[",
    ),
    *(b"]", b'"', b"\\", b",", b":", b"NaN", b"\\u", b"\\ud800", b"\r\n\r\n", b"0\r\n\r\n", b"<!--", b"\x1f\x8b"),
)


@cache
def bomb(size: int, letter: bytes = b"[") -> bytes:
    """That many bytes, packed a thousandfold; made in pieces of a megabyte, so that a gigabyte is made at once."""
    packer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    begin = packer.compress(letter * (size % _PIECE)) + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(letter * _PIECE) + packer.flush(zlib.Z_FULL_FLUSH)
    check = zlib.crc32(letter * size) if size < 8 * _PIECE else 0  # nobody gets to the end of a larger one
    ends = zlib.compressobj(9, wbits=-zlib.MAX_WBITS).flush() + check.to_bytes(4, "little") + size.to_bytes(4, "little")
    return begin + piece * (size // _PIECE) + ends


_PIECE: Final = 2**20


def of_value(draft: Draft, value: Any, dice: random.Random) -> None:
    """Change its JSON, one to three times, and write it down."""
    if dice.random() < 0.7 and "series" not in value:
        renew(value, dice)
    for _ in range(dice.choice((0, 1, 1, 1, 2, 3))):
        change = dice.choice(values.CHANGES)
        draft.done.append(change.__name__)
        value = change(value, dice)
    if isinstance(value, dict) and dice.random() < 0.7:
        value["writeKey"] = dice.choice(KEYS)
    draft.body = values.text_of(value, dice).encode("utf-8", "surrogatepass")


def cut(body: bytes, dice: random.Random) -> bytes:
    return body[: dice.randrange(len(body) + 1)]


def beheaded(body: bytes, dice: random.Random) -> bytes:
    return body[dice.randrange(len(body) + 1) :]


def flipped(body: bytes, dice: random.Random) -> bytes:
    changed = bytearray(body)
    for _ in range(dice.choice((1, 1, 3, 30))):
        if changed:
            changed[dice.randrange(len(changed))] = dice.randrange(256)
    return bytes(changed)


def with_pieces(body: bytes, dice: random.Random) -> bytes:
    for _ in range(dice.choice((1, 1, 2, 10))):
        at = dice.randrange(len(body) + 1)
        body = body[:at] + dice.choice(PIECES) * dice.choice((1, 1, 1, 2, 70)) + body[at:]
    return body


def doubled(body: bytes, dice: random.Random) -> bytes:
    """Several documents, one behind the other."""
    return dice.choice((b"", b"\n", b",", b"\0", b"junk", b"\x1e")).join([body] * dice.choice((2, 2, 3, 20)))


def other_letters(body: bytes, dice: random.Random) -> bytes:
    text = body.decode("utf-8", "replace")
    return text.encode(dice.choice(("utf-16", "utf-16-le", "utf-32", "latin-1", "utf-7", "cp037")), "replace")


def noise(_: bytes, dice: random.Random) -> bytes:
    return dice.randbytes(dice.choice((1, 10, 300, 5000)))


def pieces_only(_: bytes, dice: random.Random) -> bytes:
    return b"".join([dice.choice(PIECES) for _ in range(dice.choice((1, 5, 50, 500)))])


def a_form(_: bytes, __: random.Random) -> bytes:
    return b"data=eyJ3cml0ZUtleSI6ICJ4In0%3D&type=track&userId=u"


def nothing(_: bytes, __: random.Random) -> bytes:
    return b""


BYTES: Final[tuple[Callable[[bytes, random.Random], bytes], ...]] = (
    *(cut, cut, beheaded, flipped, flipped, with_pieces, with_pieces, doubled, other_letters, noise, pieces_only),
    *(a_form, nothing),
)


def packed(body: bytes, dice: random.Random) -> bytes:
    return gzip.compress(body, dice.choice((0, 1, 9)), mtime=0)


def packed_twice(body: bytes, dice: random.Random) -> bytes:
    return packed(packed(body, dice), dice)


def packed_and_cut(body: bytes, dice: random.Random) -> bytes:
    return cut(packed(body, dice), dice)


def packed_and_damaged(body: bytes, dice: random.Random) -> bytes:
    return flipped(packed(body, dice), dice)


def in_members(body: bytes, dice: random.Random) -> bytes:
    """gzip allows several, and zeros behind them."""
    at = dice.randrange(len(body) + 1)
    between = dice.choice((b"", b"", b"\0" * 10, b"junk"))
    return (
        packed(body[:at], dice) + between + packed(body[at:], dice) + dice.choice((b"", b"\0" * 700, b"junk", b"\x1f"))
    )


def in_empty_members(body: bytes, dice: random.Random) -> bytes:
    return gzip.compress(b"", 1, mtime=0) * dice.choice((10, 900, 1100)) + packed(body, dice)


def zlib_(body: bytes, _: random.Random) -> bytes:
    return zlib.compress(body, 1)


def raw_deflate(body: bytes, _: random.Random) -> bytes:
    return zlib.compress(body, 1)[2:-4]


def a_bomb(_: bytes, dice: random.Random) -> bytes:
    return bomb(dice.choice((200_000, 200_000, 6_000_000, 50_000_000)), dice.choice((b"[", b" ", b"\0")))


def not_packed(body: bytes, _: random.Random) -> bytes:
    return body


PACKINGS: Final[tuple[Callable[[bytes, random.Random], bytes], ...]] = (
    *(packed, packed, packed, packed, packed_twice, packed_and_cut, packed_and_damaged, in_members, in_empty_members),
    *(zlib_, raw_deflate, a_bomb, not_packed),
)


def spoil(draft: Draft, plain: bytes, dice: random.Random) -> None:
    """Give the draft a hostile body in place of the JSON it had."""
    if plain:
        of_value(draft, msgspec.json.decode(plain), dice)
    if dice.random() < 0.3:
        change = dice.choice(BYTES)
        draft.done.append(change.__name__)
        draft.body = change(draft.body, dice)
    draft.headers = [line for line in draft.headers if line[0].lower() != b"content-encoding"]
    if dice.random() < 0.25:
        packing = dice.choice(PACKINGS)
        draft.done.append(packing.__name__)
        draft.body = packing(draft.body, dice)
        odd = dice.random() < 0.15
        usual = b"deflate" if packing in (zlib_, raw_deflate) else b"gzip"
        draft.put(b"Content-Encoding", dice.choice(ENCODINGS) if odd else usual)
    if dice.random() < 0.2:
        draft.framing = "chunked"
