"""Which IP addresses are public: a pure function, by a list of its own.

Not by the interpreter: what `ipaddress` calls global differs between releases of Python.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

__all__ = ["is_literal", "is_public"]

_CLOSED_4 = tuple(
    map(
        IPv4Network,
        (  # the IANA IPv4 Special-Purpose Address Registry, and multicast
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # shared: carrier-grade NAT, and Pods of some clusters
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local: the metadata of clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # IETF protocol assignments
            "192.0.2.0/24",  # documentation
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # automatic multicast tunneling
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",  # private
            "192.175.48.0/24",  # AS112
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)

_UNICAST_6 = IPv6Network("2000::/3")
"""Global unicast: all else is special, or assigned to nobody (RFC 4291)."""

_CLOSED_6 = tuple(
    map(
        IPv6Network,
        (  # the IANA IPv6 Special-Purpose Address Registry, within global unicast
            "2001::/23",  # IETF protocol assignments: Teredo, benchmarks, ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, which leads to an IPv4 address
            "2620:4f:8000::/48",  # AS112
            "3fff::/20",  # documentation
        ),
    )
)

_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
"""The way of IPv6-only clusters to the rest of the Internet."""


def is_literal(host: str) -> bool:
    """Whether a URL's host looks like an address, so that clients do not ask a resolver for it."""
    return ":" in host or host.replace(".", "").isdigit()


def is_public(text: str) -> bool:
    """Whether an address, as a resolver gives it, is one of the public Internet."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        if address not in _MAPPED and address not in _NAT64:
            return address in _UNICAST_6 and not any(address in net for net in _CLOSED_6)
        address = IPv4Address(int(address) & 0xFFFFFFFF)
    return not any(address in net for net in _CLOSED_4)
