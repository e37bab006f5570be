"""HTTP as uvicorn speaks it, with limits on a request's head."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 2**10
"""What a head may have; one that has not ended, and began behind another request, the rest of that piece more."""


_TOO_LONG = "The request's head is too long."


class TimelyProtocol(HttpToolsProtocol):
    """Hangs up on whoever connects, or begins a request, and does not send its whole head in time, or in its bounds.

    uvicorn itself waits for ever for the first request of a connection and for the rest of a head, however long that
    is; between requests it has a limit of its own.
    """

    head_seconds: ClassVar[float] = 30.0
    _waiting: asyncio.TimerHandle | None = None
    _in_message = False
    _in_head = False
    _head_bytes = 0
    _begun = 0
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begins to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Waits on, unless this was the rest of a head."""
        self._begun, behind = 0, self._in_message
        super().data_received(data)
        if self._in_head:
            # Nobody tells where in the piece a head began that did not begin with it.
            self._head_bytes += 0 if self._begun > 1 - behind else len(data)
            if self._head_bytes > HEAD_BYTES:
                self.send_400_response(_TOO_LONG)
        if self.cycle is None or self.cycle.response_complete:
            self._wait()
        else:
            self._waited()

    def on_message_begin(self) -> None:
        """Begins a head, which may be that of a request behind one that is still being answered."""
        super().on_message_begin()
        self._in_message, self._in_head, self._head_bytes = True, True, 0
        self._begun += 1

    def on_headers_complete(self) -> None:
        """Ends a head.

        Raises:
            ValueError: it is too long; httptools makes a parser's error of it.
        """
        self._in_head = False
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > HEAD_BYTES:
            self._refused = True
            raise ValueError(_TOO_LONG)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Ends a request."""
        self._in_message = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Says what is wrong with a request, and hangs up."""
        super().send_400_response(_TOO_LONG if self._refused else msg)

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
