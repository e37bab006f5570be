"""Requests over connections that pass a guard and end at a deadline."""

from __future__ import annotations

import socket
from typing import Any, cast

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NameResolutionError
from urllib3.util.connection import create_connection

from services.ingest.guard import Guard
from services.ingest.lines import Lines

_ADDRESSES = 4
"""Addresses of a host that are tried."""


class GuardedAdapter(HTTPAdapter):
    """A requests adapter all of whose connections pass a guard and are known to `lines`."""

    def __init__(self, guard: Guard, lines: Lines) -> None:
        self._guard = guard
        self._lines = lines
        super().__init__()

    def init_poolmanager(self, *args: Any, **settings: Any) -> None:
        super().init_poolmanager(*args, **settings)
        self.poolmanager.pool_classes_by_scheme = _guarded_pools(self._guard, self._lines)


def _connect(guard: Guard, lines: Lines, connection: HTTPConnection) -> socket.socket:
    host = connection.host.strip("[]")
    try:
        addresses = guard.resolve(host, connection.port)
    except (socket.gaierror, UnicodeError) as error:
        reason = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
        raise NameResolutionError(host, connection, reason) from error
    # The adapter is always given a time to wait.
    wait = cast("float", connection.timeout)
    for number, address in enumerate(addresses[:_ADDRESSES], 1):
        # A name may have taken long to resolve, and each address takes its time.
        lines.check()
        try:
            return create_connection((address, connection.port), min(wait, lines.left))
        except OSError:
            if number == min(len(addresses), _ADDRESSES):
                raise
    raise AssertionError("resolve returns at least one address")


def _guarded_pools(guard: Guard, lines: Lines) -> dict[str, type[HTTPConnectionPool]]:
    class Line:
        """A connection that can be cut off from outside, be it encrypted by now or not."""

        sock: socket.socket
        made: socket.socket | None = None

        def _new_conn(self) -> socket.socket:
            found = _connect(guard, lines, cast("HTTPConnection", self))
            # TLS takes the socket for itself before it shakes hands; a second handle of it stays good meanwhile.
            self.made = found.dup()
            lines.use(self.made)
            return found

        def connect(self) -> None:
            try:
                super().connect()  # type: ignore[misc]  # it stands before a connection, see below
            finally:
                if self.made:
                    self.made.close()

        def getresponse(self) -> Any:
            # The answer goes on reading from this socket even when its connection counts as closed.
            lines.use(self.sock)
            return super().getresponse()  # type: ignore[misc]  # as above

    class Plain(Line, HTTPConnection):
        pass

    class Secure(Line, HTTPSConnection):
        pass

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
