"""HTTP as uvicorn speaks it, with a limit on how long a request's head may take."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol


class TimelyProtocol(H11Protocol):
    """Hangs up on whoever connects, or begins a request, and does not send its whole head in time.

    uvicorn itself waits for ever for the first request of a connection and for the rest of a head; between requests it
    has a limit of its own.
    """

    head_seconds: ClassVar[float] = 30.0
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begins to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Waits on, unless this was the rest of a head."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._wait()
        else:
            self._waited()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the wait."""
        self._waited()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._waiting is None:
            self._waiting = self.loop.call_later(self.head_seconds, self.timeout_keep_alive_handler)

    def _waited(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


def timely(seconds: float) -> type[TimelyProtocol]:
    """The protocol that waits so many seconds for a head."""
    return type("TimelyProtocol", (TimelyProtocol,), {"head_seconds": seconds})
