"""A gRPC server that gives IdentifyRequests back: python -m benchmarks.servers.echo sync|aio|uvloop PORT [THREADS]"""

from __future__ import annotations

import asyncio
import sys
from concurrent import futures
from typing import Any

import grpc

from keyprint.channel import OPTIONS
from keyprint.v1.inference_pb2 import IdentifyRequest


def main() -> None:
    """Serves until it is killed."""
    kind, port, *threads = sys.argv[1:]
    if kind == "sync":
        server = grpc.server(futures.ThreadPoolExecutor(int(*threads)), options=OPTIONS)
        server.add_generic_rpc_handlers((_handler(lambda request, context: request),))
        server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        server.wait_for_termination()
        return
    if kind == "uvloop":
        import uvloop

        uvloop.install()
    asyncio.run(_serve(port))


async def _serve(port: str) -> None:
    async def echo(request: IdentifyRequest, context: Any) -> IdentifyRequest:
        return request

    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers((_handler(echo),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


def _handler(echo: Any) -> Any:
    unary = grpc.unary_unary_rpc_method_handler(
        echo, request_deserializer=IdentifyRequest.FromString, response_serializer=IdentifyRequest.SerializeToString
    )
    return grpc.method_handlers_generic_handler("keyprint.v1.InferenceService", {"Identify": unary})


if __name__ == "__main__":
    main()
