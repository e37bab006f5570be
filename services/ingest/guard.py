"""Keeps fetches off addresses that a stranger's URL must not reach.

The check is made on the address that is then connected to, for every connection: a redirect, a `next` and a name
that resolves differently the second time all pass through it.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NameResolutionError
from urllib3.util.connection import create_connection

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
        if isinstance(found, IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        return (found.is_global and not found.is_multicast) or any(found in net for net in self._nets)

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


class GuardedAdapter(HTTPAdapter):
    """A requests adapter all of whose connections pass a guard."""

    def __init__(self, guard: Guard, **settings: Any) -> None:
        self._guard = guard
        super().__init__(**settings)

    def init_poolmanager(self, *args: Any, **settings: Any) -> None:
        super().init_poolmanager(*args, **settings)
        self.poolmanager.pool_classes_by_scheme = _guarded_pools(self._guard)


def _guarded_pools(guard: Guard) -> dict[str, type[HTTPConnectionPool]]:
    def connect(connection: HTTPConnection) -> socket.socket:
        host = connection.host.strip("[]")
        try:
            addresses = guard.resolve(host, connection.port)
        except (socket.gaierror, UnicodeError) as error:
            reason = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
            raise NameResolutionError(host, connection, reason) from error
        for number, address in enumerate(addresses, 1):
            try:
                return create_connection((address, connection.port), connection.timeout)
            except OSError:
                if number == len(addresses):
                    raise
        raise AssertionError("resolve returns at least one address")

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return connect(self)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return connect(self)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
