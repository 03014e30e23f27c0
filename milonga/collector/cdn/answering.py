"""What is said of a body that browsers may keep: its type, its packing, and whether they have it already. Pure."""

import gzip
import re
from hashlib import sha256
from typing import Final

JAVASCRIPT: Final = b"text/javascript; charset=utf-8"
JSON: Final = b"application/json"

ALWAYS_ASK: Final = b"no-cache"  #: may be kept, but is asked about each time, with its ETag
FOR_EVER: Final = b"public, max-age=31536000, immutable"  #: for what has its hash in its name
NOT_AT_ALL: Final = b"no-store"

NO_GUESSING: Final = (b"x-content-type-options", b"nosniff")

_GZIP: Final = re.compile(
    rb"(?:^|,)[ \t]*(?:x-)?(gzip|\*)[ \t]*(?:;[ \t]*q=([0-9.]{1,5})[ \t]*)?(?=,|$)", re.IGNORECASE
)


def takes_gzip(accepts: bytes) -> bool:
    """accepts  value of Accept-Encoding. Source: RFC 9110, 12.5.3: a quality of 0 means not"""
    said = {name.lower(): quality for name, quality in _GZIP.findall(accepts)}
    quality = said.get(b"gzip", said.get(b"*", b"0"))
    return quality.strip(b"0.") != b"" if quality else True


def etag_of(*parts: bytes) -> bytes:
    """Without quotes; 32 characters."""
    digest = sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:32].encode()


def has_it(if_none_match: bytes, tag: bytes) -> bool:
    """Whether the sender has this already. A proxy that packs anew makes `W/` of a tag. Source: RFC 9110, 13.1.2"""
    tags = [one.strip().removeprefix(b"W/") for one in if_none_match.split(b",")]
    return b'"%b"' % tag in tags or tags == [b"*"]


def packed(body: bytes) -> bytes:
    """For small bodies."""
    return gzip.compress(body, 6, mtime=0)
