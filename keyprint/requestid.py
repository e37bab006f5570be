"""The id of a request in the log of every service that it reaches: an HTTP header, and metadata of gRPC calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any, NamedTuple, cast
from uuid import uuid4

import grpc

HEADER = "x-request-id"
"""As an HTTP header and as metadata."""

_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")

_current: ContextVar[str] = ContextVar("request_id", default="")


def current() -> str:
    """The id of the request that is being answered; empty where there is none."""
    return _current.get()


def begin(given: str | None) -> str:
    """Takes the id that a request came with, or makes one where it has none that a log may hold."""
    _current.set(given if given and _ID.fullmatch(given) else uuid4().hex)
    return current()


def take(metadata: Iterable[tuple[str, str | bytes]]) -> None:
    """Takes the id that a call came with, if it has one that a log may hold."""
    for key, value in metadata:
        if key == HEADER and isinstance(value, str) and _ID.fullmatch(value):
            _current.set(value)


def metadata() -> tuple[tuple[str, str], ...]:
    """What a call to another service carries."""
    return ((HEADER, current()),) if current() else ()


class _Details(NamedTuple):
    """gRPC's ClientCallDetails."""

    method: str
    timeout: float | None
    metadata: tuple[tuple[str, str | bytes], ...]
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class Carrier(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Has every call on a channel carry the id of the request that it is made for."""

    def _carry(self, continuation: Callable[[Any, Any], Any], details: Any, request: Any) -> Any:
        if current():
            carried = (*(details.metadata or ()), *metadata())
            details = _Details(
                details.method,
                details.timeout,
                carried,
                details.credentials,
                details.wait_for_ready,
                details.compression,
            )
        return continuation(details, request)

    # The stubs type each by its own kind of answer.
    intercept_unary_unary = intercept_unary_stream = cast(Any, _carry)
    intercept_stream_unary = intercept_stream_stream = cast(Any, _carry)
