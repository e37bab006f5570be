"""What callers send over HTTP, bounded in size and in time; an ASGI middleware that needs no framework."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass
from typing import Any

from keyprint.channel import MESSAGE_BYTES
from keyprint.errors import TooLarge, too_large
from keyprint.pace import Pace, Patience

LINGER_SECONDS = 2.0
"""How long who has its answer may send nothing before the connection is closed."""

_FEW_VALUES = 200_000
"""Values of JSON that are read in no time, however few bytes they have."""

_VALUE_BYTES = 16
"""A keystroke has 25 bytes at least for each of its commas.  Many values that are smaller are junk, and a body of them
holds whoever reads it for seconds."""

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class BodyLimits:
    """What a request's body may be.

    Attributes:
        most_bytes: its size; that of a message to a service, which is made of it.
        idle_seconds: longest wait for it to catch up with its pace.
        bytes_second: least bytes for each second of waiting.
    """

    most_bytes: int = MESSAGE_BYTES
    idle_seconds: float = 30.0
    bytes_second: float = 16 * 2**10


class Bodies:
    """Lets the application read a body within its limits, and closes the connection of who was answered before its end.

    What the application reads beyond a limit raises TooLarge or TooSlow inside of it, and is answered as any error of
    ours.
    """

    def __init__(self, app: App, limits: BodyLimits, streamed: Collection[str] = ()) -> None:
        """Bounds all bodies in time, and in size all but those of the paths in `streamed`, which are never held."""
        self._app = app
        self._limits = limits
        self._streamed = streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive, send, self._limits, scope["path"] in self._streamed)
        await self._app(scope, body.receive, body.send)


class _Body:
    """One body, while it is read and while its request is answered."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: BodyLimits, streamed: bool) -> None:
        self._receive = receive
        self._send = send
        self._limits = limits
        self._patience = Patience(Pace(math.inf, limits.idle_seconds, limits.bytes_second), "request")
        self._most = math.inf if streamed else limits.most_bytes
        self._declared = _length(scope)
        self._size = 0
        self._commas = 0
        self._values = not streamed
        self._whole = False
        self._early = False

    async def receive(self) -> Message:
        """The next of it, and what comes after its end or while it is answered.

        Raises:
            TooLarge: it is larger than it may be.
            TooSlow: it does not come in time.
        """
        if self._whole or self._early:
            return await self._receive()
        if self._declared > self._most:
            raise too_large("request", f"{self._declared:,}", self._most)
        message = await self._in_time()
        if self._size > self._most:
            raise too_large("request", f"more than {self._most:,}", self._most)
        if self._values and self._commas > max(_FEW_VALUES, self._size // _VALUE_BYTES):
            raise TooLarge(
                "MESSAGE_TOO_LARGE",
                f"The request has {self._commas:,} commas in {self._size:,} bytes; typing has at most one in "
                f"{_VALUE_BYTES} bytes.",
            )
        return message

    async def _in_time(self) -> Message:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._patience.seconds()):
                message = await self._receive()
        except TimeoutError:
            raise self._patience.late() from None
        size, commas = len(message.get("body", b"")), message.get("body", b"").count(b",")
        self._size += size
        self._commas += commas
        self._whole = not message.get("more_body", False)
        self._patience.came(time.monotonic() - began, size)
        return message

    async def send(self, message: Message) -> None:
        """Sends the answer; of one that comes before the body's end the client is told that the connection ends."""
        if message["type"] == "http.response.start" and not self._whole:
            self._early = True
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        elif message["type"] == "http.response.body" and self._early and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body"}
        await self._send(message)

    async def _linger(self) -> None:
        """Hears the rest for a while.

        To one who is still sending, a connection that is closed at once looks broken, and its answer may be lost
        (RFC 9112, section 9.6).
        """
        ends = time.monotonic() + self._limits.idle_seconds
        more = True
        while more and (left := ends - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(min(LINGER_SECONDS, left)):
                    more = (await self._receive()).get("more_body", False)
            except TimeoutError:
                return


def _has_body(scope: Scope) -> bool:
    return _length(scope) > 0 or _header(scope, b"transfer-encoding") is not None


def _length(scope: Scope) -> int:
    declared = _header(scope, b"content-length") or b""
    return int(declared) if declared.isdigit() else 0


def _header(scope: Scope, name: bytes) -> bytes | None:
    return next((value for key, value in scope["headers"] if key == name), None)
