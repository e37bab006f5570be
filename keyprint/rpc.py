"""The kit of every gRPC server: limits, errors, health, reflection, graceful stop."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, NoReturn, TypeVar, cast

import grpc
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from keyprint import errors, requestid
from keyprint.admission import Admission, stopping
from keyprint.channel import NOT_AHEAD, OPTIONS
from keyprint.load import Count, Load

log = logging.getLogger(__name__)

Message = TypeVar("Message")

CALL_THREADS = 16
"""Threads that answer calls, unless a server is told otherwise.  Many more would only keep gRPC's one serving thread,
which lets calls in and refuses them, from its turn."""

WAITING_CALLS = 500
"""Calls that may wait for a thread, unless a server is told otherwise."""

LARGE_THREADS = 4
"""Threads that answer calls whose requests may take much memory: one is not read before there is a thread for it.

32 batches of 12,000 attempts, 8.4 MB each, that inference was asked about at once took 1.3 GiB of memory, and 100
took 2.3; with 4 threads and `NOT_AHEAD` both take 0.5, in about the same time.
"""

LONG_STREAMS = 48
"""Streams, which last as long as their caller likes, such as watches; they have threads of their own."""

_PENDING = [("grpc.server.max_pending_requests", 2**14), ("grpc.server.max_pending_requests_hard_limit", 2**14)]
"""Calls that gRPC keeps until its serving thread comes to them and takes them in or refuses them.  It cancels more,
without a word of why, and would begin with some of them at a thousand."""

_CONNECTION = [("grpc.max_connection_age_ms", 300_000)]
"""How long a caller keeps its connection.  With the next one it finds replicas that have come since; calls and streams
that have begun go on."""

LEAST_PING_MS = 5_000
"""How often callers may ask whether the server is there, also while nothing is called.  gRPC would hang up on whoever
does so more than every five minutes."""

LAST_SECONDS = 0.2
"""How long the last answers may travel before the process ends."""

WATCH_SECONDS = 0.2
"""How often a watched thing is looked at."""


Explain = Callable[[Exception], errors.KeyprintError | None]
"""What an error of something that a service stands on means for its callers; None if it says nothing of the sort."""


class ErrorInterceptor(grpc.ServerInterceptor):
    """Turns what a handler raises into a status that a stranger may read, and logs each call.

    Attributes:
        unsent: calls that a handler has begun and whose answer has not been sent.
    """

    def __init__(self, explains: Iterable[Explain] = ()) -> None:
        self.unsent = Count()
        self._explains = (errors.of_system, *explains)

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
        # Of a stream of requests, what cannot be read ends as gRPC has it end.
        read = kind.request_deserializer if kind.request_streaming else _reader(kind.request_deserializer)
        return cast(
            "grpc.RpcMethodHandler[Any, Any]",
            cast(Any, make)(wrap(method, behaviour, self), read, kind.response_serializer),
        )

    def explained(self, error: Exception) -> Exception:
        """What to tell of an error, if one of those who may know does; else the error itself."""
        for explain in self._explains:
            if told := explain(error):
                # What a caller need not know stands in the log.
                log.error("%s", told.message, exc_info=error)
                return told
        return error


Behaviour = Callable[[Any, grpc.ServicerContext], Any]
Read = Callable[[bytes], Any]


def _reader(read: Read) -> Read:
    """Reads a request as `read` does, or gives the error to raise: gRPC calls one that is raised here our fault."""

    def call(content: bytes) -> Any:
        try:
            return read(content)
        except DecodeError:
            return errors.InvalidArgument(
                "REQUEST_INVALID",
                "The request cannot be decoded: it is cut off, has a text that is not UTF-8, or is no such message.",
            )

    return call


def _guard_unary(method: str, behaviour: Behaviour, guard: ErrorInterceptor) -> Behaviour:
    def call(request: Any, context: grpc.ServicerContext) -> Any:
        began = time.perf_counter()
        _count(context, guard.unsent)
        requestid.take(context.invocation_metadata())
        try:
            if isinstance(request, errors.KeyprintError):
                raise request
            answer = behaviour(request, context)
        except Exception as error:
            _abort(method, guard.explained(error), context)
        log.debug("%s took %.1f ms", method, (time.perf_counter() - began) * 1e3)
        return answer

    return call


def _guard_stream(method: str, behaviour: Behaviour, guard: ErrorInterceptor) -> Behaviour:
    def call(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        _count(context, guard.unsent)
        requestid.take(context.invocation_metadata())
        try:
            if isinstance(request, errors.KeyprintError):
                raise request
            yield from behaviour(request, context)
        except Exception as error:
            _abort(method, guard.explained(error), context)

    return call


def _count(context: grpc.ServicerContext, unsent: Count) -> None:
    """Counts a call until gRPC has sent its answer, or the caller went away."""
    unsent.up()
    if not context.add_callback(unsent.down):
        unsent.down()


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


class Watches:
    """Streams of how something is, which end when the server stops."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping

    def watch(
        self, context: grpc.ServicerContext, look: Callable[[], Message], goes_on: Callable[[Message], bool]
    ) -> Iterator[Message]:
        """Yields what `look` sees, now and whenever that changed, as long as it `goes_on` and the caller is there.

        Raises:
            Unavailable: the server stops.
        """
        shown = None
        while context.is_active():
            seen = look()
            if seen != shown:
                yield seen
                shown = seen
            if not goes_on(seen):
                return
            if self._stopping.wait(WATCH_SECONDS):
                raise stopping()


class _Health(health.HealthServicer):
    """Ends watches of health when the server stops.

    Not in gRPC's own way of sending without a thread: it sends under a lock that the serving thread wants.
    """

    def __init__(self, stopping: threading.Event) -> None:
        super().__init__(experimental_non_blocking=False)
        self._stopping = stopping

    # The base class answers with an iterator too, unless it is to send without a thread.
    def Watch(  # type: ignore[override]  # noqa: N802 - gRPC's name
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> Iterator[health_pb2.HealthCheckResponse]:
        for status in super().Watch(request, context):
            yield status
            if status.status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN:
                # No service is added later, and so nothing told that would end this.
                while context.is_active() and not self._stopping.wait(WATCH_SECONDS):
                    pass
                return
            if self._stopping.is_set() and status.status != health_pb2.HealthCheckResponse.SERVING:
                return


class Server:
    """A gRPC server with health and reflection, which stops gracefully on SIGTERM and SIGINT."""

    def __init__(
        self,
        listen: str,
        *protos: FileDescriptor,
        threads: int = CALL_THREADS,
        waiting: int = WAITING_CALLS,
        probes: Iterable[str] = (),
        large: Collection[str] = (),
        shares_port: bool = False,
        explains: Iterable[Explain] = (),
    ) -> None:
        """Prepares a server; add servicers to `grpc_server`, then call `run`.

        Args:
            listen: "host:port"; port 0 takes a free one.
            protos: whose services it offers, for health and reflection.
            threads: calls that are answered at once.
            waiting: calls that may wait for a thread; beyond them callers are told to try again.
            probes: methods, as "/package.Service/Method", that are answered even then, as those of health are.
            large: methods, likewise, whose requests may take much memory; few are answered at once, by threads of their
                own, and as many may wait.
            shares_port: whether other processes may listen on the same port, each of which then gets some of the calls.
            explains: what errors of what the service stands on, such as its database, mean for callers.

        Raises:
            FailedPrecondition: it cannot listen there.
        """
        self.calls = Load(threads, waiting, "call")
        self.streams = Load(LONG_STREAMS, 0, "stream")
        self.large = Load(LARGE_THREADS, waiting, "large")
        self._admission = Admission(self.calls, self.streams, probes, dict.fromkeys(large, self.large))
        guard = ErrorInterceptor(explains)
        self._unsent = guard.unsent
        options = [
            *OPTIONS,
            *_PENDING,
            *_CONNECTION,
            ("grpc.http2.min_ping_interval_without_data_ms", LEAST_PING_MS),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.so_reuseport", int(shares_port)),
        ]
        if large:
            options += NOT_AHEAD
        self.grpc_server = grpc.server(self.calls, interceptors=[self._admission, guard], options=options)
        self._stopping = threading.Event()
        self._health = _Health(self._stopping)
        self._services = [service.full_name for proto in protos for service in proto.services_by_name.values()]
        self.tell(health_pb2.HealthCheckResponse.NOT_SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.grpc_server)
        reflection.enable_server_reflection(
            [*self._services, health.SERVICE_NAME, reflection.SERVICE_NAME], self.grpc_server
        )
        self._ready = threading.Event()
        self._told_to_stop = threading.Event()
        self.watches = Watches(self._stopping)
        try:
            self.port = self.grpc_server.add_insecure_port(listen)
        except RuntimeError:
            raise errors.FailedPrecondition(
                "ADDRESS_IN_USE", f"Nothing can listen on {listen}, which is taken or not this machine's.", "listen"
            ) from None

    @property
    def ready(self) -> bool:
        """Whether it has started, has what is to be there, and is not stopping."""
        return self._ready.is_set() and not self._stopping.is_set()

    def start(self, prepare: Callable[[], None] | None = None) -> None:
        """Starts answering; says that it is ready, to health checks too, once it has prepared what is to be there."""
        if prepare is None:
            self.grpc_server.start()
            self._be_ready()
            return
        self.grpc_server.start()

        def then() -> None:
            prepare()
            self._be_ready()

        threading.Thread(target=then, name="prepare", daemon=True).start()

    def _be_ready(self) -> None:
        self.tell(health_pb2.HealthCheckResponse.SERVING)
        self._ready.set()

    def tell(self, status: int) -> None:
        """Tells health checks, and those who watch it, how all of its services are: a HealthCheckResponse's status."""
        for name in ("", *self._services):
            self._health.set(name, status)

    def drain(self, grace: float) -> None:
        """Turns unready, refuses what comes, and lets what was let in be answered for `grace` seconds."""
        ends = time.monotonic() + grace
        self._stopping.set()
        self._health.enter_graceful_shutdown()
        self._admission.close()
        for count in (self.calls.held, self.large.held, self.streams.held, self._unsent):
            count.wait(ends - time.monotonic())

    def stop(self, grace: float) -> None:
        """Drains, then stops; gRPC cancels what reaches it at that moment."""
        self.drain(grace)
        self.grpc_server.stop(0).wait()

    def run(self, grace: float, prepare: Callable[[], None] | None = None) -> NoReturn:
        """Starts, serves until SIGTERM or SIGINT, drains, and ends the process.

        It is ready when `prepare` has returned, and may be told to stop before.

        The server is not stopped: those who call to the last are told that it is stopping, and then that nobody is
        there, which is UNAVAILABLE both times.  Other threads and child processes end with it, whatever they are at.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._told_to_stop.set())
        self.start(prepare)
        log.info("listening on port %d", self.port)
        self._told_to_stop.wait()
        log.info("stopping")
        self.drain(grace)
        # A connection that is closed with something unread in it forgets what it has sent and is not acknowledged.
        time.sleep(min(grace, LAST_SECONDS))
        logging.shutdown()
        os._exit(0)
