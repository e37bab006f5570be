"""Keeps fetches off addresses that a stranger's URL must not reach.

The check is made on the address that is then connected to, for every connection: a redirect, a `next` and a name
that resolves differently the second time all pass through it.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from keyprint.errors import InvalidArgument

SETTING = "KEYPRINT_INGEST_ALLOW_NETS"

_SPECIAL = tuple(
    map(
        ip_network,
        (
            # IANA's special-purpose registries, as far as what Python 3.11 knows of them lacks it.
            "192.0.0.0/24",
            "192.88.99.0/24",
            "2001::/23",
            "3fff::/20",
            "5f00::/16",
            # Public by its number, and at every machine of Azure the host that it runs on.
            "168.63.129.16/32",
        ),
    )
)
"""Networks that are nobody's on the internet."""

_ISATAP = (0x00005EFE, 0x02005EFE)
"""Upper half of the interface's part of an IPv6 address whose lower half is an IPv4 address (RFC 5214)."""


class Guard:
    """Says which addresses may be connected to."""

    def __init__(self, allow_nets: Sequence[str]) -> None:
        """Public addresses, and those in the networks `allow_nets` (CIDR).

        Raises:
            ValueError: one of these is no network.
        """
        self._nets: list[IPv4Network | IPv6Network] = [ip_network(net) for net in allow_nets]

    def allows(self, address: str) -> bool:
        """Whether `address`, an IP address, may be connected to."""
        found = ip_address(address.partition("%")[0])
        if isinstance(found, IPv6Address):
            # An IPv4 address inside is the one that is reached.
            found = found.ipv4_mapped or found.sixtofour or _isatap(found) or found
        return _is_public(found) or any(found in net for net in self._nets)

    def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of `host` that may be connected to.

        Raises:
            InvalidArgument: it has addresses, and none of them may.
            socket.gaierror: it has none.
        """
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        allowed = [str(address[4][0]) for address in found if self.allows(str(address[4][0]))]
        if not allowed:
            raise InvalidArgument(
                "ADDRESS_REFUSED",
                f"{host} is not a public address; an operator lets networks in by the setting {SETTING}.",
                "url",
            )
        return allowed


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    # Reserved ranges of IPv6 hold those that lead to IPv4 addresses inside.
    inside = isinstance(address, IPv6Address) and (address.is_site_local or address.is_reserved)
    special = any(address in net for net in _SPECIAL)
    return address.is_global and not address.is_multicast and not inside and not special


def _isatap(address: IPv6Address) -> IPv4Address | None:
    number = int(address)
    return IPv4Address(number & 0xFFFFFFFF) if number >> 32 & 0xFFFFFFFF in _ISATAP else None
