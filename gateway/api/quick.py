"""Calls that come thousands of times a second."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from fastapi import Response
from pydantic import BaseModel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import of_error
from keyprint.errors import Cancelled, KeyprintError

Calls = Mapping[str, tuple[Callable[..., Awaitable[Response]], type[BaseModel]]]
"""By the end of their paths: endpoints, which take `services`, the `name` of a model and `body`, and what a body is."""

_PATH = re.compile(r"/v1/models/([^/]+):([a-z]+)")
_JSON = (b"content-type", b"application/json")


class Quick:
    """Answers what is posted to a model, as its route would.

    FastAPI looks for the route and for what its endpoint needs anew for each request, which took an eighth of the
    gateway's time.  What is not as it should be goes FastAPI's way, so that it is answered alike everywhere.
    """

    def __init__(self, app: ASGIApp, calls: Calls) -> None:
        self._app = app
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        called = _PATH.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if called is None or called[2] not in self._calls or _JSON not in scope["headers"]:
            await self._app(scope, receive, send)
            return
        endpoint, model = self._calls[called[2]]
        try:
            content = await _whole(receive)
            try:
                body = model.model_validate(msgspec.json.decode(content))
            except (ValueError, RecursionError):
                await self._app(scope, _again(content, receive), send)
                return
            answer = await endpoint(services=scope["app"].state.services, name=called[1], body=body)
        except KeyprintError as error:
            answer = of_error(error)
        await answer(scope, receive, send)


async def _whole(receive: Receive) -> bytes:
    """A request's body.

    Raises:
        Cancelled: its client goes before the end of it.
    """
    pieces: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Cancelled("REQUEST_BROKEN_OFF", "The request broke off.")
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(pieces)


def _again(content: bytes, receive: Receive) -> Receive:
    """Gives a body that was read to who reads it once more."""
    left: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive_again() -> Message:
        return left.pop() if left else await receive()

    return receive_again
