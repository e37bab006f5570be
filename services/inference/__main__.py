"""Runs the inference service: python -m services.inference"""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from collections.abc import Callable

from inference import open_inference_grpc_pb2, open_inference_grpc_pb2_grpc
from keyprint import logs
from keyprint.channel import NOT_AHEAD, channel
from keyprint.rpc import Server
from keyprint.scheduling import let_finish
from keyprint.settings import InferenceSettings, read, run
from keyprint.v1 import inference_pb2, inference_pb2_grpc, ingest_pb2_grpc, training_pb2_grpc
from services.inference.ingest import Ingest
from services.inference.models import Models
from services.inference.oip import PROBES, OpenInferenceServicer
from services.inference.preload import preload
from services.inference.servicer import CALL_THREADS, LARGE, InferenceServicer

log = logging.getLogger("services.inference")

SWEEP_SECONDS = 2.0
"""How long a deleted model's files may stay, and for how long it may be served on should training go away."""


def main() -> None:
    """Builds everything once and serves until SIGTERM or SIGINT."""
    settings = read(InferenceSettings)
    logs.configure(settings.log_level)
    home = settings.directory("inference")
    let_finish()
    # Arrow's own way keeps for every thread what one has freed: 7 MB for each of 20 readers of a dataset.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    server = Server(
        settings.inference_listen,
        inference_pb2.DESCRIPTOR,
        open_inference_grpc_pb2.DESCRIPTOR,
        threads=CALL_THREADS,
        waiting=settings.waiting_calls,
        probes=PROBES,
        large=LARGE,
    )
    with channel(settings.ingest_address, NOT_AHEAD) as ingest, channel(settings.training_address) as training:
        models = Models(
            training_pb2_grpc.TrainingServiceStub(training), home / "models", settings.inference_models_mib * 2**20
        )
        threading.Thread(target=_sweep, args=(models,), name="sweep", daemon=True).start()
        servicer = InferenceServicer(
            models, Ingest(ingest_pb2_grpc.IngestServiceStub(ingest)), lambda: server.calls.at_work
        )
        inference_pb2_grpc.add_InferenceServiceServicer_to_server(servicer, server.grpc_server)
        open_inference_grpc_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(
            OpenInferenceServicer(models, lambda: server.ready), server.grpc_server
        )
        # What is loaded by now stays, and is not to be looked through for garbage again and again under load.  Models
        # come and go; they are few objects, for graphs and arrays hold what they have outside Python.
        gc.collect()
        gc.freeze()
        server.run(settings.grace_seconds, lambda: preload(models, settings.inference_preload))


def _sweep(models: Models, pause: Callable[[float], None] = time.sleep) -> None:
    while True:
        pause(SWEEP_SECONDS)
        try:
            models.sweep()
        except Exception:
            # Such as too many open files: the next time may do better.
            log.exception("models that training has deleted could not be looked for")


if __name__ == "__main__":
    run(main)
