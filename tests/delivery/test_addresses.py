"""Which addresses may not be connected to."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from milonga.delivery.addresses import forbidden

REFUSED = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "::1": "loopback",
    "0.0.0.0": "unspecified",
    "0.1.2.3": "unspecified",
    "::": "unspecified",
    "10.0.0.1": "private",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.168.1.1": "private",
    "fd00::1": "private",
    "fc00::1": "private",
    "fec0::1": "private",
    "100.64.0.1": "carrier",
    "100.127.255.255": "carrier",
    "169.254.0.1": "link-local",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "ff02::1": "multicast",
    "240.0.0.1": "special use",
    "255.255.255.255": "broadcast",
    "192.0.0.8": "special use",
    "198.18.0.1": "special use",
    "192.0.2.1": "documentation",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "2001:db8::1": "documentation",
    "3fff::1": "documentation",
    "2001::1": "special use",
    "100::1": "special use",
    "4000::1": "special use",
    "64:ff9b:1::1": "special use",
    # metadata services
    "169.254.169.254": "link-local",
    "169.254.170.2": "link-local",
    "fd00:ec2::254": "private",
    "fd20:ce::254": "private",
    "168.63.129.16": "metadata",
    "100.100.100.200": "carrier",
    "192.0.0.192": "special use",
    # IPv4 within IPv6
    "::ffff:127.0.0.1": "loopback",
    "::ffff:169.254.169.254": "link-local",
    "::ffff:0:10.0.0.1": "private",
    "::127.0.0.1": "special use",
    "::8.8.8.8": "special use",
    "64:ff9b::10.0.0.1": "private",
    "64:ff9b::169.254.169.254": "link-local",
    "2002:7f00:1::1": "loopback",
    "2002:a9fe:a9fe::": "link-local",
    # no address at all
    "localhost": "not an IP address",
    "2130706433": "not an IP address",
    "0x7f.1": "not an IP address",
    "127.1": "not an IP address",
    "": "not an IP address",
    "127.0.0.1\n": "not an IP address",
}

#: without the forms that carry an IPv4 address, which have a test of their own
NETWORKS_V6 = (
    "::/64",
    "100::/16",
    "2000::/15",
    "2003::/16",
    "2600::/12",
    "3ffe::/15",
    "4000::/2",
    "8000::/1",
    "fc00::/6",
)


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_outside_the_public_internet_is_refused_and_the_reason_says_what_it_is(address: str) -> None:
    assert REFUSED[address] in (forbidden(address) or "")


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "169.253.255.255",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "2a00:1450:4001:80b::200e",
        "2001:4860:4860::8888",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
    ],
)
def test_a_public_address_is_allowed(address: str) -> None:
    assert forbidden(address) is None


@given(st.ip_addresses(v=4) | st.sampled_from(NETWORKS_V6).flatmap(lambda n: st.ip_addresses(network=n)))
@example(IPv4Address("0.0.0.0"))
def test_no_address_is_allowed_that_the_standard_library_calls_special(address: IPv4Address | IPv6Address) -> None:
    if address.is_private or address.is_multicast or address.is_reserved or address.is_link_local:
        assert forbidden(str(address))


@given(st.ip_addresses(v=4))
def test_every_ipv6_form_of_an_ipv4_address_is_judged_as_that_address_is(inside: IPv4Address) -> None:
    forms = [f"::ffff:{inside}", f"64:ff9b::{inside}", str(IPv6Address((0x2002 << 112) | (int(inside) << 80) | 1))]
    for form in forms:
        assert (forbidden(form) is None) == (forbidden(str(inside)) is None)


@given(st.text(max_size=40))
def test_text_that_is_no_address_is_refused_without_an_exception(text: str) -> None:
    try:
        ip_address(text)
    except ValueError:
        assert forbidden(text) == "not an IP address"
