"""Where the parts of one machine listen, and where they are found."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from keyprint.errors import FailedPrecondition


@dataclass(frozen=True)
class Address:
    """Where a part listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, listen: str, setting: str) -> Address:
        """Reads "host:port".

        Raises:
            FailedPrecondition: it is something else; `setting` is named.
        """
        host, _, port = listen.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise FailedPrecondition(
                "SETTING_INVALID", f"{setting} is {listen!r}; it must be host:port, like 127.0.0.1:50051.", setting
            )
        return cls(host.strip("[]"), int(port))

    @property
    def listen(self) -> str:
        """As a server takes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def reach(self) -> Address:
        """Where to find it from this machine: a server on all interfaces is found on loopback."""
        return Address({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host), self.port)  # noqa: S104 - read, not bound

    @property
    def url(self) -> str:
        """As a browser takes it."""
        return f"http://{self.reach.listen}/"

    def is_free(self) -> bool:
        """Whether a server could listen here.  gRPC itself would share the port with another process and not say so."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError:
                return False
        return True


def setting_of(part: str) -> str:
    """The setting that says where a part listens."""
    return f"KEYPRINT_{part.upper()}_LISTEN"


def free_address(taken: Sequence[Address] = ()) -> Address:
    """A loopback address that nobody listens on, other than those given."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            found = Address("127.0.0.1", probe.getsockname()[1])
        if found not in taken:
            return found
