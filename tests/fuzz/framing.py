"""Changes to what a request says of its own length, and to its bytes: where it ends can no longer be told."""

import random
from collections.abc import Callable
from typing import Final, TypeAlias

from tests.fuzz.draft import Draft
from tests.fuzz.tables import CODINGS

Change: TypeAlias = Callable[[Draft, random.Random], None]


def lengths(draft: Draft, dice: random.Random) -> None:
    """A Content-Length that is none, or not the body's."""
    right = len(draft.body)
    said = dice.choice(
        (
            *(
                b"+%d" % right,
                b"-1",
                b"-%d" % right,
                b"%d, %d" % (right, right),
                b"%d,%d" % (right, right + 1),
                b"0x%x" % right,
            ),
            *(
                b"",
                b" ",
                b"1e3",
                b"%d_0" % right,
                b"\xd9\xa1",
                b"9" * 19,
                b"9" * 400,
                b"18446744073709551616",
                b"%d.0" % right,
            ),
            *(
                b"%d" % (right + dice.choice((1, 1000, 10**6))),
                b"%d" % dice.randrange(right + 1),
                b"6000000",
                b"00%d" % right,
            ),
            *(b"%d\x0b" % right, b"%d;a" % right, b'"%d"' % right, b"\0", b"None"),
        )
    )
    draft.frame = b"Content-Length: %b\r\n" % said


def two_lengths(draft: Draft, dice: random.Random) -> None:
    right = len(draft.body)
    lines = [b"Content-Length: %d\r\n" % right, b"content-length: %d\r\n" % dice.choice((right, 0, right + 1, 5))]
    dice.shuffle(lines)
    draft.frame = b"".join(lines)


def length_and_chunks(draft: Draft, dice: random.Random) -> None:
    """The way requests are smuggled past a proxy."""
    lines = [
        b"Content-Length: %d\r\n" % dice.choice((0, 5, len(draft.body))),
        b"Transfer-Encoding: %b\r\n" % dice.choice(CODINGS),
    ]
    dice.shuffle(lines)
    draft.frame = b"".join(lines)
    inner = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    draft.body = dice.choice((b"0\r\n\r\n" + inner, b"%x\r\n%b\r\n0\r\n\r\n" % (len(draft.body), draft.body), inner))


def codings(draft: Draft, dice: random.Random) -> None:
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(draft.body), draft.body)
    draft.frame = b"Transfer-Encoding: %b\r\n" % dice.choice(CODINGS)
    if dice.random() < 0.4:
        draft.frame += b"Transfer-Encoding: %b\r\n" % dice.choice(CODINGS)
    draft.body = body


def broken_chunks(draft: Draft, dice: random.Random) -> None:
    body = draft.body
    draft.frame = b"Transfer-Encoding: chunked\r\n"
    size = len(body)
    draft.body = dice.choice(
        (
            *(
                b"%x\r\n%b\r\n" % (size, body),
                b"%x\r\n%b" % (size + 9, body),
                b"%x\r\n%b\r\n0\r\n\r\n" % (size // 2, body),
            ),
            *(
                b"-1\r\n" + body,
                b"ffffffffffffffff\r\n" + body,
                b"f" * 40 + b"\r\n",
                b"0x%x\r\n%b\r\n0\r\n\r\n" % (size, body),
            ),
            *(
                b"zz\r\n" + body,
                b"\r\n" + body,
                b"%x \r\n%b\r\n0\r\n\r\n" % (size, body),
                b"%x\n%b\n0\n\n" % (size, body),
            ),
            *(
                b"%x;%b\r\n%b\r\n0\r\n\r\n" % (size, b"e" * 40_000, body),
                b"0\r\n" + b"X-T: 1\r\n" * 6000 + b"\r\n",
                b"0" * 30_000,
            ),
            *(
                b"1\r\na\r\n" * 3000 + b"0\r\n\r\n",
                b"0\r\nX-T: a\0\r\n\r\n",
                b"%x\r\n%bXX0\r\n\r\n" % (size, body),
                b"",
            ),
        )
    )


def no_length(draft: Draft, dice: random.Random) -> None:
    """The body is where the next request should be."""
    draft.frame = b""


def bytes_changed(draft: Draft, dice: random.Random) -> None:
    whole = bytearray(draft.write(dice))
    head = whole.index(b"\r\n\r\n") + 4
    for _ in range(dice.choice((1, 2, 8))):
        at = dice.randrange(head)
        match dice.randrange(3):
            case 0:
                whole[at] = dice.randrange(256)
            case 1:
                del whole[at : at + dice.choice((1, 1, 2, 10))]
            case _:
                whole[at:at] = dice.choice((b"\r", b"\n", b"\0", b" ", b"\r\n", b":", b"\xff", b"\r\n\r\n"))
        head = min(head, len(whole)) or 1
        if not whole:
            whole += b"\0"
    draft.raw = bytes(whole)


def cut_off(draft: Draft, dice: random.Random) -> None:
    whole = draft.write(dice)
    draft.raw = whole[: dice.randrange(len(whole))]


def other_protocol(draft: Draft, dice: random.Random) -> None:
    draft.raw = dice.choice(
        (
            *(
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + dice.randbytes(300),
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            ),
            *(
                b"SSH-2.0-OpenSSH_9\r\n",
                b"EHLO x\r\n",
                b"\0" * 3000,
                dice.randbytes(2000),
                b"\r\n" * 2000,
                b"GET /\r\n",
            ),
            *(
                b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n" + draft.write(dice),
                b"\n" + draft.write(dice),
                b"GET / HTTP/1.1\r\n" * 2000,
            ),
        )
    )


ENDS: Final[tuple[Change, ...]] = (
    *(
        lengths,
        lengths,
        two_lengths,
        length_and_chunks,
        codings,
        broken_chunks,
        no_length,
        bytes_changed,
        bytes_changed,
    ),
    *(cut_off, other_protocol),
)
"""After each of them it cannot: the request is the last that is sent over its connection."""


def end(draft: Draft, dice: random.Random) -> None:
    change = dice.choice(ENDS)
    draft.done.append(change.__name__)
    if draft.method == b"HEAD":
        draft.method = b"GET"  # whether an answer has a body must be known, whatever is answered
    draft.raw = None
    change(draft, dice)
    draft.answers, draft.aim, draft.ends = "any", "anything", True
    draft.write(dice)
