"""The write key a request carries in its header."""

import binascii


def key_in_header(authorization: bytes | None) -> str | None:
    """
    The user name of Basic authorization, also without the colon behind it; None without one. Bearer tokens are
    OAuth's: those requests carry the key in the body. Source: Segment's HTTP API, "Authentication".
    """
    if authorization is None:
        return None
    scheme, _, credentials = authorization.strip().partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        name = binascii.a2b_base64(credentials.strip() + b"==").partition(b":")[0]
    except binascii.Error:
        return None
    return name.decode("utf-8", "replace").strip() or None
