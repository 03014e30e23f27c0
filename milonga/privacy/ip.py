"""What of an IP address is kept, where a source's policy says: less than was sent."""

import json
import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Raw, UnsetType
from msgspec.structs import replace

from milonga.spec.read import NotAnEvent, read_object
from milonga.spec.stored import Stamped

V4_KEPT: Final = 24  #: bits of an IPv4 address: its last part is 0
V6_KEPT: Final = 48  #: bits of an IPv6 address: a site's

Policy: TypeAlias = Literal["auto", "always", "never", "truncate", "strip"]
"""A source's `ip` setting; milonga.workspace.model.SourceSettings says what each one does."""

Change: TypeAlias = Callable[[Any], str | None]
"""What stands in the place of a `context.ip`; None: nothing."""


def shortened(ip: Any) -> str | None:
    """203.0.113.0 for 203.0.113.77, 2001:db8:7:: for 2001:db8:7:1::5; None for what is no address."""
    if not isinstance(ip, str):
        return None
    try:
        address = ip_address(ip.strip())
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return str(IPv4Address(int(address) >> 32 - V4_KEPT << 32 - V4_KEPT))
    if address.ipv4_mapped is not None:
        return f"::ffff:{shortened(str(address.ipv4_mapped))}"
    return str(IPv6Address(int(address) >> 128 - V6_KEPT << 128 - V6_KEPT))


def removed(_ip: Any) -> None:
    return None


def with_ip_changed(event: Stamped, change: Change) -> Stamped:
    """Wherever its context.ip stands: in the event, in its batch's context, in what we found out."""
    stamp = event.stamp
    if stamp.ip is not None:
        stamp = replace(stamp, ip=change(stamp.ip))
    if not isinstance(stamp.batch_context, UnsetType):
        context = bytes(stamp.batch_context)
        stamp = replace(stamp, batch_context=Raw(_changed(context, change, within=False)))
    return Stamped(stamp, _changed(event.body, change, within=True))


_IP: Final = re.compile(rb'("ip"\s*:\s*)"([^"\\]*)("?)')


def excerpt_changed(excerpt: bytes, change: Change) -> bytes:
    """The same for the beginning of an event, which may be cut off anywhere, or be no JSON at all: then it goes."""
    if not excerpt.lstrip().startswith((b"{", b"[")):
        return b""

    def one(found: re.Match[bytes]) -> bytes:
        begin, ip, end = found.groups()
        kept = change(ip.decode(errors="replace")) if end else None
        return b'%b"%b%b' % (begin, (kept or "").encode(), end)

    return _IP.sub(one, excerpt)


def _changed(text: bytes, change: Change, *, within: bool) -> bytes:
    """within  `text` is an event, not its context"""
    try:
        return _in_event(text, change) if within else _in_context(text, change)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return _by_hand(text, change, within=within)


def _in_event(body: bytes, change: Change) -> bytes:
    event = _members(body)
    context = event.get("context")
    if context is None or not bytes(context).lstrip().startswith(b"{"):
        return body
    after = _in_context(bytes(context), change)
    return body if after == context else _encode({**event, "context": Raw(after)})


def _in_context(context: bytes, change: Change) -> bytes:
    members = _members(context)
    if "ip" not in members:
        return context
    kept = change(msgspec.json.decode(members.pop("ip")))
    return _encode(members if kept is None else {**members, "ip": kept})


def _by_hand(text: bytes, change: Change, *, within: bool) -> bytes:
    """What only Python's own decoder reads, such as half a surrogate pair."""
    try:
        whole = dict(read_object(text))
    except NotAnEvent:
        return text
    context = whole.get("context") if within else whole
    if not isinstance(context, dict) or "ip" not in context:
        return text
    kept = change(context.pop("ip"))
    if kept is not None:
        context["ip"] = kept
    return json.dumps(whole, separators=(",", ":")).encode()


_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_encode: Final = msgspec.json.Encoder().encode
