"""Where pushes may go, by the number of an address."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.connectors.push import refused_address

PRIVATE = ["10.0.0.1", "127.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1"]


def carrying(ipv4):
    """Return the IPv6 addresses that lead to an IPv4 address, each by another way."""
    number = int(ipaddress.IPv4Address(ipv4))
    client = number ^ 0xFFFFFFFF
    public = int(ipaddress.IPv4Address("8.8.8.8"))
    return {
        "mapped": 0xFFFF << 32 | number,
        "compatible": number,
        "translated": 0xFFFF << 48 | number,
        "NAT64": 0x64FF9B << 96 | number,
        "6to4": 0x2002 << 112 | number << 80,
        "Teredo client": 0x20010000 << 96 | public << 64 | client,
        "Teredo server": 0x20010000 << 96 | number << 64 | public ^ 0xFFFFFFFF,
    }


@pytest.mark.parametrize("ipv4", PRIVATE)
@pytest.mark.parametrize("way", carrying("8.8.8.8"))
def test_a_private_address_is_refused_within_an_ipv6_address(ipv4, way):
    assert refused_address(ipv4, ())
    carrier = carrying(ipv4)[way]
    assert refused_address(str(ipaddress.IPv6Address(carrier)), ())
    assert refused_address(str(ipaddress.IPv6Address(carrier)), ("2000::/3",)), "allowing the way allows no end"


@pytest.mark.parametrize(
    "address", ["64:ff9b::a9fe:a9fe", "2002:7f00:1::", "::127.0.0.1", "fec0::1", "64:ff9b:1::808:808", "fe80::1%2"]
)
def test_by_the_number_as_one_writes_it(address):
    assert refused_address(address, ())


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1"])
def test_public_addresses_are_reached(address):
    assert not refused_address(address, ())


def test_what_is_listed_is_reached():
    assert not refused_address("10.1.2.3", ("10.1.0.0/16",))
    assert not refused_address("::ffff:10.1.2.3", ("10.1.0.0/16",))
    assert not refused_address("64:ff9b::10.1.2.3", ("10.1.0.0/16",))
    assert not refused_address("::1", ("::1/128",))
    assert refused_address("10.2.0.1", ("10.1.0.0/16",))


@given(st.ip_addresses(v=4))
def test_an_address_that_is_refused_is_refused_by_every_way(ipv4):
    for way, carrier in carrying(ipv4).items():
        if refused_address(str(ipv4), ()):
            assert refused_address(str(ipaddress.IPv6Address(carrier)), ()), way
