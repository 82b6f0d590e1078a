"""Which addresses a stranger's link may lead to: content's links and callbacks are vetted by the same rules."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

#: The only IPv6 block that IANA gives out as global unicast; everything else is special or unassigned.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NOT_PUBLIC = (
    ipaddress.IPv6Network("3fff::/20"),  # documentation (RFC 9637); newer than Python 3.11's tables
    ipaddress.IPv4Network("192.88.99.0/24"),  # 6to4 relays, deprecated (RFC 7526)
)


def is_public(address: str) -> bool:
    """Whether an address is one that anybody on the internet could reach, and no machine of ours alone."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return all(_is_public(ip) for ip in _unwrapped(parsed))


def is_named(host: str, port: int, named: Collection[str]) -> bool:
    """Whether the operator named the host, as `host` or `host:port`, an IPv6 address in brackets."""
    shown = f"[{host}]" if ":" in host else host
    return shown in named or f"{shown}:{port}" in named


def is_literal(host: str) -> bool:
    """Whether the host is an address itself, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _unwrapped(ip: IpAddress) -> tuple[IpAddress, ...]:
    """The addresses that packets to `ip` really go to: IPv6 has several ways to carry an IPv4 address."""
    if isinstance(ip, ipaddress.IPv4Address):
        return (ip,)
    if ip.ipv4_mapped is not None:
        return (ip.ipv4_mapped,)
    if ip.sixtofour is not None:
        return (ip.sixtofour,)
    if ip.teredo is not None:
        return ip.teredo
    if ip in _NAT64:
        return (ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF),)
    return (ip,)


def _is_public(ip: IpAddress) -> bool:
    if isinstance(ip, ipaddress.IPv6Address) and ip not in _GLOBAL_UNICAST:
        return False
    if any(ip.version == network.version and ip in network for network in _NOT_PUBLIC):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
