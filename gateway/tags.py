"""Answers that have not changed since a client had them are not sent again."""

from __future__ import annotations

from hashlib import blake2b
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_API = "/v1/"
_JSON = "application/json"


class Tags:
    """Gives what is got as JSON an ETag of its content, and answers 304 to whoever has just that (RFC 9110, 13.1.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or not scope["path"].startswith(_API):
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Answer(Headers(scope=scope).get("if-none-match", ""), send).send)


class _Answer:
    """One answer, whose head waits for its content."""

    def __init__(self, had: str, send: Send) -> None:
        self._had = {tag.strip().removeprefix("W/") for tag in had.split(",")}
        self._send = send
        self._head: Message | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_whole(message):
            self._head = message
            return
        head, self._head = self._head, None
        if head is not None:
            if not message.get("more_body", False):
                message = self._tagged(head, message)
            await self._send(head)
        await self._send(message)

    def _tagged(self, head: Message, body: Message) -> Message:
        tag = f'"{blake2b(body.get("body", b""), digest_size=16).hexdigest()}"'
        headers = MutableHeaders(scope=head)
        headers["ETag"] = tag
        headers.setdefault("Cache-Control", "no-cache")
        if tag not in self._had and "*" not in self._had:
            return body
        head["status"] = HTTPStatus.NOT_MODIFIED
        del headers["content-length"], headers["content-type"]
        return {"type": "http.response.body", "body": b""}


def _is_whole(head: Message) -> bool:
    return head["status"] == HTTPStatus.OK and Headers(raw=head["headers"]).get("content-type") == _JSON
