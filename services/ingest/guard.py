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
            found = found.ipv4_mapped or found.sixtofour or found
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
    return address.is_global and not address.is_multicast and not inside
