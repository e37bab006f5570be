"""What every request has: an id, an end, and a client who may leave before it."""

from __future__ import annotations

import asyncio
from typing import cast

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import deadline
from gateway.guard import with_headers
from gateway.problems import of_error
from keyprint import requestid
from keyprint.errors import KeyprintError

_ID = requestid.HEADER.encode()

_ASKING = (":identify", ":verify")
"""How the paths end of what is posted and changes nothing."""

PROMPT_SECONDS = 0.1
"""What is answered within this is not worth to be broken off."""


class Requests:
    """Gives each request an id, and its answer the headers that all have; heeds its deadline, and works no further for
    a client who has gone.

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
                message["headers"] = with_headers((*message.get("headers", ()), (_ID, name.encode())))
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
        self._has_body = has_body
        self._loop = asyncio.get_running_loop()
        self._answering = cast("asyncio.Task[None]", asyncio.current_task())
        self._prompt: asyncio.TimerHandle | None = None
        self._watching: asyncio.Task[None] | None = None
        self._whole = False
        self._begun = False
        self._gone = False

    async def answer(self, app: ASGIApp, scope: Scope) -> None:
        """Answers it, unless its client goes before there is anything to send."""
        if not self._has_body:
            self._await_answer()
        try:
            await app(scope, self._next, self._noted)
        except asyncio.CancelledError:
            if not self._gone:
                raise
            self._answering.uncancel()
        finally:
            if self._prompt:
                self._prompt.cancel()
            if self._watching:
                self._watching.cancel()

    def _await_answer(self) -> None:
        """Watches the client as soon as the answer takes longer than most; a task for each request costs too much."""
        self._prompt = self._loop.call_later(PROMPT_SECONDS, self._begin_watching)

    def _begin_watching(self) -> None:
        self._watching = self._loop.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._begun:
            self._gone = True
            self._answering.cancel()

    async def _next(self) -> Message:
        if not self._has_body and not self._whole:
            self._whole = True
            return {"type": "http.request", "body": b"", "more_body": False}
        message = await self._receive()
        if not self._whole and not message.get("more_body", False):
            self._whole = True
            self._await_answer()
        return message

    async def _noted(self, message: Message) -> None:
        self._begun = True
        await self._send(message)
