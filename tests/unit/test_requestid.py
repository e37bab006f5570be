"""The id of a request goes with every call that is made for it, and into the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent import futures
from contextvars import copy_context
from typing import Any

import grpc
import pytest

from keyprint import logs, requestid
from keyprint.channel import channel as open_channel


@pytest.fixture
def service() -> Iterator[str]:
    """Answers every call with the id that came with it."""

    def told(request: Any, context: grpc.ServicerContext) -> bytes:
        requestid.take(context.invocation_metadata())
        return requestid.current().encode()

    def streamed(request: Any, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield told(request, context)

    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "one": grpc.unary_unary_rpc_method_handler(told),
        "stream": grpc.unary_stream_rpc_method_handler(streamed),
        "upload": grpc.stream_unary_rpc_method_handler(told),
    }
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0)


def ask(address: str, given: str) -> list[bytes]:
    if given:
        requestid.begin(given)
    with open_channel(address) as opened:
        # Without types to write and read messages the stubs take none.
        channel: Any = opened
        found = [channel.unary_unary("/s/one")(b""), channel.stream_unary("/s/upload")(iter([b""]))]
        return [*found, *channel.unary_stream("/s/stream")(b"")]


@pytest.mark.parametrize("given", ["", "abc-1"])
def test_calls_of_every_kind_carry_it(service: str, given: str) -> None:
    assert copy_context().run(ask, service, given) == [given.encode()] * 3


def test_an_id_that_would_break_a_log_is_not_taken() -> None:
    def take(value: str) -> str:
        requestid.take([("other", "x"), (requestid.HEADER, value)])
        return requestid.current()

    assert copy_context().run(take, "good-1") == "good-1"
    assert copy_context().run(take, "two\nlines") == ""


def test_a_line_of_the_log_tells_whose_request_it_is_about() -> None:
    def line(given: str) -> str:
        if given:
            requestid.begin(given)
        handler, record = logging.StreamHandler(), logging.makeLogRecord({"msg": "done", "name": "n"})
        handler.setFormatter(logging.Formatter("%(name)s%(request)s %(message)s"))
        logs.tell_requests(handler)
        assert handler.filter(record)
        return handler.format(record)

    assert copy_context().run(line, "abc") == "n [abc] done"
    assert copy_context().run(line, "") == "n done"
