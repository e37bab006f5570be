"""Which calls a server takes in: as many as it can hold, none once it stops, and health checks in any case."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent import futures
from typing import Any, TypeAlias, cast

import grpc
from grpc_health.v1 import health

from keyprint import errors
from keyprint.load import AtOnce, Load

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""When a refused caller may try again; what waits in a full queue is answered within about that."""

PROBE_THREADS, WAITING_PROBES = 2, 100
HEALTH_WATCHERS = 200
"""A watcher of health holds a thread of its own as long as it likes; clients that balance load by health watch on each
of their channels."""

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


def stopping() -> errors.Unavailable:
    """What callers are told of a server that stops."""
    return errors.Unavailable(
        "SERVICE_STOPPING", "The service is stopping; try again in a moment.", retry_seconds=RETRY_SECONDS
    )


class Admission(grpc.ServerInterceptor):
    """Refuses calls in gRPC's serving thread, before anything of them is read, with when to try again.

    Be the outermost interceptor: it sees the handler that is called in the end.
    """

    def __init__(self, calls: Load, streams: Load, probes: Iterable[str], apart: Mapping[str, Load]) -> None:
        """Watches over the threads of a server.

        Args:
            calls: the server's own threads, for calls of one request and one answer.
            streams: for all others.
            probes: methods, as "/package.Service/Method", that are answered at any time, as those of health are.
            apart: those that have threads of their own.
        """
        self._calls = calls
        self._streams = streams
        self._apart = apart
        check = Load(PROBE_THREADS, WAITING_PROBES, "probe")
        watch = Load(HEALTH_WATCHERS, 0, "health")
        self._beside = {
            **dict.fromkeys((f"/{health.SERVICE_NAME}/Check", *probes), check),
            f"/{health.SERVICE_NAME}/Watch": watch,
        }
        many = _refusal(_full("TOO_MANY_CALLS", "Too many calls at once; try again in a moment."))
        self._full = {
            **dict.fromkeys((calls, *apart.values()), many),
            streams: _refusal(_full("TOO_MANY_STREAMS", "Too many streams at once; try again in a moment.")),
            check: _refusal(_full("TOO_MANY_PROBES", "Too many probes at once; try again in a moment.")),
            watch: _refusal(_full("TOO_MANY_PROBES", "Too many watch health at once; try again in a moment.")),
        }
        self._stopping = _refusal(stopping())
        self._closed = False
        # A method has one handler for good, so that what interceptors make of it is made once.
        self._known: dict[str, tuple[Load, Handler]] = {}

    def close(self) -> None:
        """Lets nobody in from now on but probes."""
        self._closed = True
        for load in (self._calls, self._streams, *self._apart.values()):
            load.held.close()

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        method = handler_call_details.method
        known = self._known.get(method)
        if known is None:
            handler = continuation(handler_call_details)
            if handler is None:
                return None
            known = self._known[method] = self._load_of(method, handler), handler
        load, handler = known
        if not load.held.up():
            if self._closed and method not in self._beside:
                log.info("%s refused: stopping", method)
                return self._stopping
            log.info("%s refused: too many at once", method)
            return self._full[load]
        return handler

    def _load_of(self, method: str, handler: Handler) -> Load:
        """Whose threads answer a method, as its handler is told."""
        load = self._beside.get(method) or self._apart.get(method)
        if load is None:
            # The stubs type what a handler knows of itself as abstract methods; it is plain attributes.
            kind = cast(Any, handler)
            load = self._streams if kind.request_streaming or kind.response_streaming else self._calls
        if load is not self._calls:
            _answered_by(load, handler)
        return load


def _full(reason: str, message: str) -> errors.ResourceExhausted:
    return errors.ResourceExhausted(reason, message, retry_seconds=RETRY_SECONDS)


def _answered_by(threads: futures.ThreadPoolExecutor, handler: Handler) -> None:
    """Has gRPC answer with threads other than the server's; its way to say so is an attribute of the function."""
    kind = cast(Any, handler)
    behaviour = kind.unary_unary or kind.unary_stream or kind.stream_unary or kind.stream_stream
    behaviour.experimental_thread_pool = threads


def _refusal(error: errors.KeyprintError) -> Handler:
    """Ends any call with `error`.

    As if it were a call with a stream of requests, of whatever kind it is: those are not read before they are answered.
    """
    status = errors.to_rpc_status(error)

    def refuse(requests: object, context: grpc.ServicerContext) -> None:
        context.abort_with_status(status)

    handler: Handler = grpc.stream_stream_rpc_method_handler(cast(Any, refuse))
    _answered_by(AtOnce(), handler)
    return handler
