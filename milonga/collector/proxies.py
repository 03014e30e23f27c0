"""Who sends, and by what name and scheme: from the connection, or from a proxy in front whose word counts."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from milonga.collector.request import Peer

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Fields: TypeAlias = Mapping[bytes, bytes]

_HOST: Final = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_MOST_HOPS: Final = 32  # that are looked at, from our end
_LONGEST: Final = 64  # characters of an address with its port
_PAIR: Final = re.compile(r'\s*([A-Za-z]+)\s*=\s*(?:"([^"]*)"|([^\s;,"]*))\s*')


class Proxies:
    """What is believed about a request. With no trusted proxy and no public URL: only its connection and its Host."""

    def __init__(self, trusted: Iterable[str] = (), public_url: str | None = None) -> None:
        """
        trusted     addresses (`10.0.0.7`) and networks (`10.0.0.0/8`) of proxies
        public_url  scheme and host by which senders know us, whatever a request says

        ValueError, in words, if one of them is none.
        """
        self._trusted: tuple[Network, ...] = tuple(_network(text) for text in trusted)
        self._public = None if public_url is None else _public(public_url)

    def peer(self, address: str | None, *, secure: bool) -> Peer:
        """The other end of a connection."""
        if address is None or not self._trusted:
            return Peer(address, secure=secure)
        found = _address(address)
        return Peer(address, trusted=found is not None and self._trusts(found), secure=secure)

    def address(self, fields: Fields, peer: Peer) -> str | None:
        """
        IPv4 address of the sender: of the hop farthest from us that a trusted proxy vouches for. None for IPv6, which
        Segment does not collect either, and where it is not known.
        """
        found = self._sender(fields)[0] if peer.trusted else None
        if found is None and (peer.address is None or (peer.trusted and _hops(fields))):
            return None
        return _ipv4(peer.address if found is None else found)

    def sender(self, fields: Fields, peer: Peer) -> str | None:
        """Its address, also an IPv6 one, for people to read; where a proxy does not tell it, the proxy's."""
        found = self._sender(fields)[0] if peer.trusted else None
        return peer.address if found is None else found

    def front(self, fields: Fields, peer: Peer) -> tuple[str, bool] | None:
        """Host, with port, by which the sender knows us, and whether by https. None if it is no host."""
        if self._public is not None:
            return self._public
        host, secure = fields.get(b"host", b"").decode("latin-1"), peer.secure
        if peer.trusted:
            back = self._sender(fields)[1]
            host = _said(fields, b"x-forwarded-host", "host", back) or host
            scheme = _said(fields, b"x-forwarded-proto", "proto", back)
            secure = secure if scheme is None else scheme.lower() == "https"
        return (host, secure) if _HOST.fullmatch(host) else None

    def _sender(self, fields: Fields) -> tuple[str | None, int]:
        """The sender's address, None if it cannot be told; and how many hops back from us it stands, 1 or more."""
        found, back = None, 1
        for back, hop in enumerate(reversed(_hops(fields)), 1):  # noqa: B007 - `back` is the answer
            address = _address(hop)
            found = None if address is None else str(address)
            if address is None or not self._trusts(address):
                break
        return found, back

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _said(fields: Fields, name: bytes, pair: str, back: int) -> str | None:
    """What the proxy said that stands so many hops back, or the farthest one that said anything."""
    values = _values(fields, name, pair)
    return (values[-min(back, len(values))] or None) if values else None


def _hops(fields: Fields) -> list[str]:
    return _values(fields, b"x-forwarded-for", "for")


def _values(fields: Fields, name: bytes, pair: str) -> list[str]:
    """
    The last ones of a list that each proxy adds one to. Forwarded (RFC 7239) counts only for a request without
    X-Forwarded-For: proxies that write the one let through what the sender made up for the other.
    """
    if b"x-forwarded-for" in fields or b"forwarded" not in fields:
        text = fields.get(name, b"").decode("latin-1")
        return [part.strip() for part in text.split(",")[-_MOST_HOPS:]] if text else []
    elements = fields[b"forwarded"].decode("latin-1").split(",")[-_MOST_HOPS:]
    return [_pair(element, pair) for element in elements]


def _pair(element: str, wanted: str) -> str:
    """The value of one name of `for=1.2.3.4;proto=https`; "" if it is not there."""
    for part in element.split(";"):
        found = _PAIR.fullmatch(part)
        if found is not None and found[1].lower() == wanted:
            return found[2] if found[2] is not None else found[3]
    return ""


def _address(text: str) -> Address | None:
    """Of `1.2.3.4`, `1.2.3.4:5678`, `2001:db8::1`, `[2001:db8::1]:5678`; None of `unknown` and the like."""
    return _remembered(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=1024)
def _remembered(text: str) -> Address | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return found if mapped is None else mapped


def _ipv4(text: str | None) -> str | None:
    found = None if text is None else _address(text)
    return str(found) if isinstance(found, IPv4Address) else None


def _network(text: str) -> Network:
    try:
        return ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither an address nor a network. A trusted proxy is named like 10.0.0.7 or 10.0.0.0/8."
        ) from None


def _public(text: str) -> tuple[str, bool]:
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    if (
        parts.scheme not in ("http", "https")
        or not _HOST.fullmatch(parts.netloc)
        or parts.path not in ("", "/")
        or parts.query
        or parts.fragment
    ):
        raise ValueError(
            f"{text!r} is not an address that senders can use. Give scheme and host, such as https://events.example.com."
        )
    return parts.netloc, parts.scheme == "https"
