"""The inference service of one model: python -m benchmarks.servers.ours PORT NAME DIRECTORY"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from keyprint.channel import channel
from keyprint.rpc import Server
from keyprint.scheduling import let_finish
from keyprint.v1 import inference_pb2, inference_pb2_grpc, ingest_pb2_grpc
from services.inference.engine import Engine
from services.inference.ingest import Ingest
from services.inference.onemodel import OneModel
from services.inference.servicer import CALL_THREADS, LARGE, InferenceServicer


def main() -> None:
    """Serves until SIGTERM; there is no ingest."""
    port, name, directory = sys.argv[1:]
    let_finish()
    server = Server(f"127.0.0.1:{port}", inference_pb2.DESCRIPTOR, threads=CALL_THREADS, large=LARGE)
    servicer = InferenceServicer(
        OneModel(Engine(f"{name}@1", Path(directory))),
        Ingest(ingest_pb2_grpc.IngestServiceStub(channel("127.0.0.1:1"))),
        lambda: server.calls.at_work,
    )
    inference_pb2_grpc.add_InferenceServiceServicer_to_server(servicer, server.grpc_server)
    # As the service does.
    gc.collect()
    gc.freeze()
    server.run(1.0)


if __name__ == "__main__":
    main()
