"""Keeps fetches off addresses that a stranger's URL must not reach.

The check is made on the address that is then connected to, for every connection: a redirect, a `next` and a name
that resolves differently the second time all pass through it.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, cast
from weakref import WeakSet

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NameResolutionError
from urllib3.util.connection import create_connection

from keyprint.errors import InvalidArgument

_ADDRESSES = 4
"""Addresses of a host that are tried."""

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


class GuardedAdapter(HTTPAdapter):
    """A requests adapter all of whose connections pass a guard."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._lines: WeakSet[socket.socket] = WeakSet()
        super().__init__()

    def init_poolmanager(self, *args: Any, **settings: Any) -> None:
        super().init_poolmanager(*args, **settings)
        self.poolmanager.pool_classes_by_scheme = _guarded_pools(self._guard, self._lines)

    def cut_off(self) -> None:
        """Ends every connection, whatever is waited for on it; safe to call from another thread."""
        for line in list(self._lines):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


def _guarded_pools(guard: Guard, lines: WeakSet[socket.socket]) -> dict[str, type[HTTPConnectionPool]]:
    def connect(connection: HTTPConnection) -> socket.socket:
        host = connection.host.strip("[]")
        try:
            addresses = guard.resolve(host, connection.port)
        except (socket.gaierror, UnicodeError) as error:
            reason = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
            raise NameResolutionError(host, connection, reason) from error
        for number, address in enumerate(addresses[:_ADDRESSES], 1):
            try:
                return create_connection((address, connection.port), connection.timeout)
            except OSError:
                if number == min(len(addresses), _ADDRESSES):
                    raise
        raise AssertionError("resolve returns at least one address")

    class Line:
        """A connection that can be cut off from outside, be it encrypted by now or not."""

        line: socket.socket | None = None

        def _new_conn(self) -> socket.socket:
            made = connect(cast("HTTPConnection", self))
            # TLS takes the socket for itself; a second handle of it stays good for a shutdown.
            self.line = made.dup()
            lines.add(self.line)
            return made

        def close(self) -> None:
            super().close()  # type: ignore[misc]
            if self.line:
                self.line.close()

    class Plain(Line, HTTPConnection):
        pass

    class Secure(Line, HTTPSConnection):
        pass

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
