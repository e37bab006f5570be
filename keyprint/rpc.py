"""The kit of every gRPC server: limits, errors, health, reflection, graceful stop."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

import grpc
from google.protobuf.descriptor import FileDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from keyprint import errors
from keyprint.admission import Admission
from keyprint.channel import OPTIONS
from keyprint.load import Load

log = logging.getLogger(__name__)

Message = TypeVar("Message")

CALL_THREADS = 16
"""Threads that answer calls.  More of them would only keep gRPC's one serving thread, which lets calls in and refuses
them, from its turn."""

WAITING_CALLS = 500
"""Calls that may wait for a thread, unless a server is told otherwise."""

LONG_STREAMS = 48
"""Streams, which last as long as their caller likes, such as watches; they have threads of their own."""

_PENDING = [("grpc.server.max_pending_requests", 2**14), ("grpc.server.max_pending_requests_hard_limit", 2**14)]
"""Calls that gRPC keeps until its serving thread comes to them and takes them in or refuses them.  It cancels more,
without a word of why, and would begin with some of them at a thousand."""

WATCH_SECONDS = 0.2
"""How often a watched thing is looked at."""


class ErrorInterceptor(grpc.ServerInterceptor):
    """Turns what a handler raises into a status that a stranger may read, and logs each call."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        # The stubs type a handler's four behaviours as abstract methods; they are plain attributes.
        kind = cast(Any, handler)
        wrap = _guard_stream if kind.response_streaming else _guard_unary
        make, behaviour = {
            (False, False): (grpc.unary_unary_rpc_method_handler, kind.unary_unary),
            (False, True): (grpc.unary_stream_rpc_method_handler, kind.unary_stream),
            (True, False): (grpc.stream_unary_rpc_method_handler, kind.stream_unary),
            (True, True): (grpc.stream_stream_rpc_method_handler, kind.stream_stream),
        }[kind.request_streaming, kind.response_streaming]
        return cast(
            "grpc.RpcMethodHandler[Any, Any]",
            cast(Any, make)(wrap(method, behaviour), kind.request_deserializer, kind.response_serializer),
        )


Behaviour = Callable[[Any, grpc.ServicerContext], Any]


def _guard_unary(method: str, behaviour: Behaviour) -> Behaviour:
    def call(request: Any, context: grpc.ServicerContext) -> Any:
        began = time.perf_counter()
        try:
            answer = behaviour(request, context)
        except Exception as error:
            _abort(method, error, context)
        log.debug("%s took %.1f ms", method, (time.perf_counter() - began) * 1e3)
        return answer

    return call


def _guard_stream(method: str, behaviour: Behaviour) -> Behaviour:
    def call(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        try:
            yield from behaviour(request, context)
        except Exception as error:
            _abort(method, error, context)

    return call


def _abort(method: str, error: Exception, context: grpc.ServicerContext) -> None:
    if isinstance(error, grpc.RpcError):
        # One that is no call's is that of a stream of requests which broke off.
        gone = errors.Cancelled("CANCELLED", "The caller went away.")
        error = errors.from_rpc_error(error) if isinstance(error, grpc.Call) else gone
    if not isinstance(error, errors.KeyprintError):
        # `context.abort` ends a handler with a bare Exception; the status is already set then.
        # (The stubs leave `code` out.)
        if cast(Any, context).code() is not None:
            raise error
        log.error("%s failed", method, exc_info=error)
        error = errors.internal()
    log.info("%s refused: %s %s", method, error.reason, error.message)
    context.abort_with_status(errors.to_rpc_status(error))


def watch(
    context: grpc.ServicerContext, look: Callable[[], Message], goes_on: Callable[[Message], bool]
) -> Iterator[Message]:
    """Yields what `look` sees, now and whenever that changed, as long as it `goes_on` and the caller is there."""
    shown = None
    while context.is_active():
        seen = look()
        if seen != shown:
            yield seen
            shown = seen
        if not goes_on(seen):
            return
        time.sleep(WATCH_SECONDS)


class Server:
    """A gRPC server with health and reflection, which stops gracefully on SIGTERM and SIGINT."""

    def __init__(
        self, listen: str, *protos: FileDescriptor, waiting: int = WAITING_CALLS, probes: Iterable[str] = ()
    ) -> None:
        """Prepares a server; add servicers to `grpc_server`, then call `run`.

        Args:
            listen: "host:port"; port 0 takes a free one.
            protos: whose services it offers, for health and reflection.
            waiting: calls that may wait for a thread; beyond them callers are told to try again.
            probes: methods, as "/package.Service/Method", that are answered even then, as those of health are.

        Raises:
            FailedPrecondition: it cannot listen there.
        """
        self.calls = Load(CALL_THREADS, waiting, "call")
        self.streams = Load(LONG_STREAMS, 0, "stream")
        self._admission = Admission(self.calls, self.streams, probes)
        self.grpc_server = grpc.server(
            self.calls, interceptors=[self._admission, ErrorInterceptor()], options=[*OPTIONS, *_PENDING]
        )
        # Not in gRPC's own way of sending without a thread: it sends under a lock that the serving thread wants.
        self._health = health.HealthServicer(experimental_non_blocking=False)
        self._services = [service.full_name for proto in protos for service in proto.services_by_name.values()]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.grpc_server)
        reflection.enable_server_reflection(
            [*self._services, health.SERVICE_NAME, reflection.SERVICE_NAME], self.grpc_server
        )
        self._ready = threading.Event()
        self._stopping = threading.Event()
        try:
            self.port = self.grpc_server.add_insecure_port(listen)
        except RuntimeError:
            raise errors.FailedPrecondition(
                "ADDRESS_IN_USE", f"Nothing can listen on {listen}, which is taken or not this machine's.", "listen"
            ) from None

    @property
    def ready(self) -> bool:
        """Whether it has started and is not stopping."""
        return self._ready.is_set()

    def start(self) -> None:
        """Starts answering, and says so to health checks."""
        self.grpc_server.start()
        self.tell(health_pb2.HealthCheckResponse.SERVING)
        self._ready.set()

    def tell(self, status: int) -> None:
        """Tells health checks, and those who watch it, how all of its services are: a HealthCheckResponse's status."""
        for name in ("", *self._services):
            self._health.set(name, status)

    def stop(self, grace: float) -> None:
        """Turns unready, lets running calls end for `grace` seconds, then stops."""
        self._ready.clear()
        self._health.enter_graceful_shutdown()
        self.grpc_server.stop(grace).wait()

    def run(self, grace: float) -> None:
        """Starts, waits for SIGTERM or SIGINT, and stops gracefully."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopping.set())
        self.start()
        log.info("listening on port %d", self.port)
        self._stopping.wait()
        log.info("stopping")
        self.stop(grace)
