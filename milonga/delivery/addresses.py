"""
Which IP addresses a request may not be sent to, unless `milonga serve --allow-private-destinations` allows them all.

A destination's address is a setting: without this, whoever may change settings could make the server fetch from
its own network, from other services of its machine, or from the cloud's metadata service. Only addresses of the
public internet pass; what no list names is refused too.

Sources: IANA "IPv4 Special-Purpose Address Registry" and "IPv6 Special-Purpose Address Registry" (RFC 6890 and its
updates), RFC 4291 (IPv4 inside IPv6), RFC 6052 (NAT64), RFC 3056 (6to4). Of the metadata services most are
link-local, private or shared addresses already; those that are not are named one by one.
"""

from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network


def forbidden(address: str) -> str | None:
    """
    Why this address may not be connected to ("a loopback address"), or None if it may be.

    address  numeric, as a socket has it: "203.0.113.7", "2001:db8::7", "fe80::1%eth0". Anything else, a host name for
             instance, is refused.
    """
    try:
        return _forbidden_v4(IPv4Address(address))
    except AddressValueError:
        pass
    try:
        return _forbidden_v6(IPv6Address(address))
    except AddressValueError:
        return "not an IP address"


def _forbidden_v4(address: IPv4Address) -> str | None:
    return next((why for network, why in _V4 if address in network), None)


def _forbidden_v6(address: IPv6Address) -> str | None:
    inside = _v4_inside(address)
    if inside is not None:
        why = _forbidden_v4(inside)
        return None if why is None else f"an IPv6 form of {inside}, {why}"
    named = next((why for network, why in _V6 if address in network), None)
    if named is not None:
        return named
    return None if address in _V6_PUBLIC else "an address reserved for special use"


def _v4_inside(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a connection to this IPv6 address would reach in the end."""
    for network, shift in _V4_IN_V6:
        if address in network:
            return IPv4Address((int(address) >> shift) & 0xFFFF_FFFF)
    return None


_V4 = tuple(
    (IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "an unspecified address"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "an address shared behind a carrier's NAT"),
        ("127.0.0.0/8", "a loopback address"),
        ("168.63.129.16/32", "the address of a cloud's metadata service"),  # Azure; looks public
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "an address reserved for special use"),
        ("192.0.2.0/24", "an address reserved for documentation"),
        ("192.31.196.0/24", "an address reserved for special use"),
        ("192.52.193.0/24", "an address reserved for special use"),
        ("192.88.99.0/24", "an address reserved for special use"),
        ("192.168.0.0/16", "a private address"),
        ("192.175.48.0/24", "an address reserved for special use"),
        ("198.18.0.0/15", "an address reserved for special use"),
        ("198.51.100.0/24", "an address reserved for documentation"),
        ("203.0.113.0/24", "an address reserved for documentation"),
        ("224.0.0.0/4", "a multicast address"),
        ("255.255.255.255/32", "the broadcast address"),
        ("240.0.0.0/4", "an address reserved for special use"),
    )
)

_V6_PUBLIC = IPv6Network("2000::/3")
_V6 = tuple(
    (IPv6Network(network), why)
    for network, why in (
        ("::/128", "an unspecified address"),
        ("::1/128", "a loopback address"),
        ("2001::/23", "an address reserved for special use"),  # Teredo too, which hides an IPv4 address
        ("2001:db8::/32", "an address reserved for documentation"),
        ("2620:4f:8000::/48", "an address reserved for special use"),
        ("3fff::/20", "an address reserved for documentation"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a private address"),
        ("ff00::/8", "a multicast address"),
    )
)

#: (IPv6 network, how many bits stand after the IPv4 address it carries)
_V4_IN_V6 = tuple(
    (IPv6Network(network), shift)
    for network, shift in (
        ("::ffff:0:0/96", 0),  # IPv4-mapped
        ("::ffff:0:0:0/96", 0),  # IPv4-translated
        ("64:ff9b::/96", 0),  # NAT64; public ones are what a host without IPv4 of its own is given
        ("2002::/16", 80),  # 6to4
    )
)
