"""
Signatures as Standard Webhooks has them (https://www.standardwebhooks.com, "Symmetric signatures", `v1`): who gets a
request can tell that it comes from whoever knows the secret, and when. Pure: the time is an argument.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest, digest
from typing import Final

from milonga.destinations.contract import Signature

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"

PREFIX: Final = "whsec_"
SHORTEST, LONGEST = 24, 64  #: bytes of a key. Source: Standard Webhooks, "Signature scheme"
TOLERANCE: Final = 300.0  #: seconds between two clocks, beyond which a request is somebody's replay

_TIME: Final = re.compile(r"[0-9]{1,12}")


@lru_cache(maxsize=256)
def key_of(secret: str) -> bytes:
    """ValueError, which does not repeat it, if it is no secret."""
    if not secret.startswith(PREFIX):
        raise ValueError(f"A signing secret begins with {PREFIX}")
    try:
        key = b64decode(secret.removeprefix(PREFIX), validate=True)
    except (NotBase64, ValueError):
        raise ValueError(f"A signing secret is base64 behind {PREFIX}") from None
    if not SHORTEST <= len(key) <= LONGEST:
        raise ValueError(f"A signing secret holds {SHORTEST} to {LONGEST} bytes, in base64")
    return key


def headers_of(signature: Signature, body: bytes, now: float) -> tuple[tuple[str, str], ...]:
    """
    What a signed request carries besides: one signature for each secret, so that a receiver may know any of them.

    body  the bytes that leave
    now   unix seconds. ValueError if a secret is none
    """
    at = str(int(now))
    made = " ".join(_made(secret, signature.id, at, body) for secret in signature.secrets)
    return ((ID, signature.id), (TIMESTAMP, at), (SIGNATURE, made))


def flaw_of(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: float) -> str | None:
    """
    Why a receiver that knows these secrets should not believe a request; None if it should.

    headers  names in lower case
    now      unix seconds, by the receiver's clock
    """
    id_, at, made = headers.get(ID, ""), headers.get(TIMESTAMP, ""), headers.get(SIGNATURE, "")
    if not (id_ and at and made):
        return "not signed"
    if not _TIME.fullmatch(at):
        return f"{TIMESTAMP} is no time"
    if abs(now - int(at)) > TOLERANCE:
        return "signed too long ago, or in the future"
    ours = [_made(secret, id_, at, body).encode() for secret in secrets]
    given = [one.encode("utf-8", "replace") for one in made.split(" ")]
    if any(compare_digest(one, other) for one in ours for other in given):
        return None
    return "signed with another secret, or changed on the way"


def shown(signature: Signature | None) -> dict[str, str]:
    """Its headers, for people."""
    if signature is None:
        return {}
    return {ID: signature.id, TIMESTAMP: "(unix seconds when it is sent)", SIGNATURE: "***"}


def _made(secret: str, id_: str, at: str, body: bytes) -> str:
    signed = b".".join((id_.encode("utf-8", "replace"), at.encode(), body))
    return "v1," + b64encode(digest(key_of(secret), signed, sha256)).decode()
