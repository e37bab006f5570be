"""What every request has: an id, an end, and a client who may leave before it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import deadline
from gateway.problems import of_error
from keyprint import requestid
from keyprint.errors import KeyprintError

_ASKING = (":identify", ":verify")
"""How the paths end of what is posted and changes nothing."""


class Requests:
    """Gives each request an id, heeds its deadline, and works no further for a client who has gone.

    Be the outermost middleware.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        name = requestid.begin(headers.get(requestid.HEADER))
        app = self._app
        try:
            deadline.begin(headers.get(deadline.HEADER))
        except KeyprintError as error:
            app = of_error(error)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[requestid.HEADER] = name
            await send(message)

        if scope["method"] == "GET" or (scope["method"] == "POST" and scope["path"].endswith(_ASKING)):
            await _Asked(receive, send_with_id, scope["method"] == "POST").answer(app, scope)
        else:
            await app(scope, receive, send_with_id)


class _Asked:
    """A request that changes nothing, so that nobody misses its end who has gone."""

    def __init__(self, receive: Receive, send: Send, has_body: bool) -> None:
        self._receive = receive
        self._send = send
        self._read = has_body
        self._whole = asyncio.Event()
        if not has_body:
            self._whole.set()
        self._gone = asyncio.Event()
        self._begun = False

    async def answer(self, app: ASGIApp, scope: Scope) -> None:
        """Answers it, unless its client goes before there is anything to send."""
        answering = asyncio.ensure_future(app(scope, self._next, self._noted))
        watching = asyncio.ensure_future(self._watch())
        try:
            await asyncio.wait((answering, watching), return_when=asyncio.FIRST_COMPLETED)
            if self._gone.is_set() and not self._begun:
                answering.cancel()
                with suppress(asyncio.CancelledError):
                    await answering
                return
            await answering
        finally:
            watching.cancel()
            answering.cancel()

    async def _watch(self) -> None:
        await self._whole.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone.set()

    async def _next(self) -> Message:
        if self._whole.is_set():
            if self._read:
                await self._gone.wait()
                return {"type": "http.disconnect"}
            self._read = True
            return {"type": "http.request", "body": b"", "more_body": False}
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._gone.set()
        if not message.get("more_body", False):
            self._whole.set()
        return message

    async def _noted(self, message: Message) -> None:
        self._begun = True
        await self._send(message)
