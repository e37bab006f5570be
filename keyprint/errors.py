"""What can go wrong, said once.

    KeyprintError
        InvalidArgument       the request itself is wrong
        NotFound              it names something that does not exist
        AlreadyExists         it would make something that exists
        FailedPrecondition    right in itself, wrong for how things stand
        ResourceExhausted     too much at once; try again later
        TooLarge              more than a message may have
        Unavailable           a service does not answer; try again later
        Unimplemented         a service does not know the call, as one that is older than its caller
        DeadlineExceeded      the caller's time ran out
        TooSlow               what is sent does not come in time
        Cancelled             the caller went away
        Internal              our fault

Every error carries a stable `reason` for programs, the request's `field` it concerns, one sentence
for people, and, where another try helps, the seconds after which it may be made.  `TABLE` is the one
place where a class meets its gRPC and HTTP status.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from keyprint.channel import MESSAGE_BYTES
from keyprint.v1 import attempts_pb2

DOMAIN = "keyprint"
"""The domain of every ErrorInfo that we send."""

_MESSAGE_BYTES = 1600
"""Most of a message that is sent, in UTF-8. gRPC sends it twice, escaped and in base64, and drops trailers of more than
8 KiB: the caller would be told RESOURCE_EXHAUSTED and nothing else."""

_FIELD_BYTES = 256
"""Likewise of a field, which may be named by what a caller wrote."""

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class KeyprintError(Exception):
    """An error that a stranger may read."""

    def __init__(self, reason: str, message: str, field: str = "", retry_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field
        self.retry_seconds = retry_seconds

    @property
    def told(self) -> str:
        """The error on one line, for people at a terminal."""
        where = f"{self.reason}, {self.field}" if self.field else self.reason
        return f"{self.message} [{where}]"

    def __reduce__(self) -> tuple[type[KeyprintError], tuple[str, str, str, float]]:
        """What it is made of, so that it can cross between processes of one service."""
        return type(self), (self.reason, self.message, self.field, self.retry_seconds)

    def to_proto(self) -> attempts_pb2.Error:
        """The same error as it stands on a dataset or a job."""
        return attempts_pb2.Error(reason=self.reason, field=self.field, message=self.message)


class InvalidArgument(KeyprintError):
    """The request itself is wrong."""


class NotFound(KeyprintError):
    """The request names something that does not exist."""


class AlreadyExists(KeyprintError):
    """The request would make something that exists."""


class FailedPrecondition(KeyprintError):
    """The request is right in itself and wrong for how things stand."""


class ResourceExhausted(KeyprintError):
    """Too much at once."""


class TooLarge(KeyprintError):
    """More than a message may have; gRPC refuses it, with the status of ResourceExhausted."""


class Unavailable(KeyprintError):
    """A service does not answer."""


class Unimplemented(KeyprintError):
    """A service does not know the call."""


class DeadlineExceeded(KeyprintError):
    """The caller's time ran out."""


class TooSlow(KeyprintError):
    """What is sent does not come in time; gRPC tells it with the status of DeadlineExceeded."""


class Cancelled(KeyprintError):
    """The caller went away."""


class Internal(KeyprintError):
    """Our fault; the log has the rest."""


@dataclass(frozen=True)
class Status:
    """How one class of errors looks on the wire."""

    grpc: grpc.StatusCode
    http: HTTPStatus


TABLE: dict[type[KeyprintError], Status] = {
    InvalidArgument: Status(grpc.StatusCode.INVALID_ARGUMENT, HTTPStatus.BAD_REQUEST),
    NotFound: Status(grpc.StatusCode.NOT_FOUND, HTTPStatus.NOT_FOUND),
    AlreadyExists: Status(grpc.StatusCode.ALREADY_EXISTS, HTTPStatus.CONFLICT),
    FailedPrecondition: Status(grpc.StatusCode.FAILED_PRECONDITION, HTTPStatus.CONFLICT),
    ResourceExhausted: Status(grpc.StatusCode.RESOURCE_EXHAUSTED, HTTPStatus.TOO_MANY_REQUESTS),
    TooLarge: Status(grpc.StatusCode.RESOURCE_EXHAUSTED, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    Unavailable: Status(grpc.StatusCode.UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE),
    Unimplemented: Status(grpc.StatusCode.UNIMPLEMENTED, HTTPStatus.NOT_IMPLEMENTED),
    DeadlineExceeded: Status(grpc.StatusCode.DEADLINE_EXCEEDED, HTTPStatus.GATEWAY_TIMEOUT),
    TooSlow: Status(grpc.StatusCode.DEADLINE_EXCEEDED, HTTPStatus.REQUEST_TIMEOUT),
    Cancelled: Status(grpc.StatusCode.CANCELLED, HTTPStatus.SERVICE_UNAVAILABLE),
    Internal: Status(grpc.StatusCode.INTERNAL, HTTPStatus.INTERNAL_SERVER_ERROR),
}

_BY_CODE = {status.grpc: kind for kind, status in TABLE.items() if kind not in (TooLarge, TooSlow)}

_LARGER = re.compile(
    r"(CLIENT: Sent|SERVER: Received|SERVER: Sent|CLIENT: Received) message larger than max \((\d+) vs"
)
"""What gRPC says of a message that is too large: who saw it, and its bytes."""


def internal() -> Internal:
    """What a stranger is told of an error that is none of ours."""
    return Internal("INTERNAL", "Something went wrong inside Keyprint; its log says what.")


def disk_full() -> ResourceExhausted:
    """What is told of a disk that has no room left."""
    return ResourceExhausted("DISK_FULL", "The disk of this Keyprint service is full; try again when it has room.")


def of_system(error: Exception) -> KeyprintError | None:
    """What the system's refusal means for a caller; None if that is our fault."""
    return disk_full() if isinstance(error, OSError) and error.errno in _NO_SPACE else None


def status_of(error: KeyprintError) -> Status:
    """How `error` looks on the wire."""
    return TABLE[type(error)]


def to_rpc_status(error: KeyprintError) -> grpc.Status:
    """`error` as a gRPC status with a google.rpc.ErrorInfo, for `context.abort_with_status`.

    A google.rpc.RetryInfo stands beside it where the error says when to try again.
    """
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    if error.field:
        info.metadata["field"] = _short(error.field, _FIELD_BYTES)
    number: int = status_of(error).grpc.value[0]
    status = status_pb2.Status(code=code_pb2.Code.ValueType(number), message=_short(error.message, _MESSAGE_BYTES))
    status.details.add().Pack(info)
    if error.retry_seconds:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(round(error.retry_seconds * 1e9))
        status.details.add().Pack(retry)
    return rpc_status.to_status(status)


def _short(text: str, most_bytes: int) -> str:
    content = text.encode()
    return text if len(content) <= most_bytes else f"{content[:most_bytes].decode(errors='ignore')}…"


def from_rpc_error(error: grpc.RpcError, service: str = "") -> KeyprintError:
    """The error that a service raised, as its caller sees it; works for sync and asyncio calls.

    `service` is what it is called, as ingest, where a caller of several knows.
    """
    code: grpc.StatusCode = error.code()
    message: str = error.details() or ""
    kind = _BY_CODE.get(code, Internal)
    # The stubs know the metadata as an opaque type; it is pairs of key and value.
    metadata = cast("Iterable[tuple[str, bytes]]", error.trailing_metadata() or ())
    for key, value in metadata:
        if key != "grpc-status-details-bin":
            continue
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        # Each is read out of whichever detail is of its kind.
        for detail in status_pb2.Status.FromString(value).details:
            detail.Unpack(info) or detail.Unpack(retry)
        if info.reason:
            # A caller whose own time ran out is told by gRPC; a service speaks of what is sent to it.
            kind = TooSlow if kind is DeadlineExceeded else kind
            return kind(info.reason, message, info.metadata.get("field", ""), retry.retry_delay.ToNanoseconds() / 1e9)
    if larger := _LARGER.match(message):
        return _too_large(larger[1], int(larger[2]))
    if kind is Unavailable:
        who = f"Keyprint's {service} service" if service else "A Keyprint service"
        return Unavailable("SERVICE_UNAVAILABLE", f"{who} does not answer; is it running?")
    if kind is Unimplemented:
        return Unimplemented("NOT_IMPLEMENTED", "The Keyprint service that answers this does not offer it yet.")
    return kind(code.name, message)


def too_large(what: str, size: str, most: float, mend: str = "send") -> TooLarge:
    """The refusal of a request or an answer of so many bytes, which may have `most`."""
    return TooLarge("MESSAGE_TOO_LARGE", f"The {what} has {size} bytes and may have {most:,}; {mend} less at once.")


def _too_large(seen: str, size: int) -> TooLarge:
    what, mend = ("request", "send") if seen in ("CLIENT: Sent", "SERVER: Received") else ("answer", "ask for")
    return too_large(what, f"{size:,}", MESSAGE_BYTES, mend)
