"""The service inside a Bento: one model, over HTTP through BentoML and over gRPC from BentoML's start-up hook.

`keyprint.bento` builds Bentos; nothing else imports this module, for BentoML takes more than a second to come in.
"""

from __future__ import annotations

from pathlib import Path

import bentoml

from inference import open_inference_grpc_pb2, open_inference_grpc_pb2_grpc
from keyprint import logs, package
from keyprint.addresses import Address, setting_of
from keyprint.bento import ALIAS
from keyprint.channel import NOT_AHEAD, channel
from keyprint.errors import FailedPrecondition
from keyprint.rpc import Server
from keyprint.scheduling import let_finish
from keyprint.settings import InferenceSettings, read, run
from keyprint.v1 import inference_pb2, inference_pb2_grpc, ingest_pb2_grpc
from services.inference import web
from services.inference.engine import Engine
from services.inference.ingest import Ingest
from services.inference.oip import PROBES, OpenInferenceServicer
from services.inference.onemodel import OneModel
from services.inference.servicer import CALL_THREADS, LARGE, InferenceServicer

app = web.create_app()


@bentoml.service(name="keyprint")
@bentoml.asgi_app(app)
class Keyprint:
    """Says who typed: `POST /v1/models/{name}:identify` and `:verify`, and the same over gRPC."""

    def __init__(self) -> None:
        """Loads the model, warm, before BentoML lets the first request in."""
        self._settings = read(InferenceSettings)
        logs.configure(self._settings.log_level)
        self._models = OneModel(_engine())
        self._ingest = channel(self._settings.ingest_address, NOT_AHEAD)
        self._servicer = InferenceServicer(
            self._models, Ingest(ingest_pb2_grpc.IngestServiceStub(self._ingest)), lambda: self._server.calls.at_work
        )
        app.state.servicer = self._servicer
        self._server = Server(
            self._settings.inference_listen,
            inference_pb2.DESCRIPTOR,
            open_inference_grpc_pb2.DESCRIPTOR,
            threads=CALL_THREADS,
            waiting=self._settings.waiting_calls,
            probes=PROBES,
            large=LARGE,
            shares_port=True,
        )

    @bentoml.on_deployment  # type: ignore[untyped-decorator]  # BentoML types it in part
    @staticmethod
    def check() -> None:
        """Once, before any worker: ends with one sentence and status 2 where the workers could not serve.

        They share the port, so that none of them could tell that a stranger has it; and BentoML would start one that
        cannot load the model again and again.
        """
        run(_check)

    @bentoml.on_startup  # type: ignore[untyped-decorator]  # BentoML types it in part
    def serve_rpc(self) -> None:
        """In every worker: gRPC, on the port that all of them share."""
        let_finish()
        inference_pb2_grpc.add_InferenceServiceServicer_to_server(self._servicer, self._server.grpc_server)
        open_inference_grpc_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(
            OpenInferenceServicer(self._models, lambda: self._server.ready), self._server.grpc_server
        )
        self._server.start()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]  # BentoML types it in part
    def stop_rpc(self) -> None:
        """When the worker's HTTP requests are answered: lets its calls end too."""
        self._server.stop(self._settings.grace_seconds)
        self._ingest.close()

    def __is_ready__(self) -> bool:
        """What /readyz says: from when gRPC answers as well until it stops."""
        return self._server.ready


def _check() -> None:
    settings = read(InferenceSettings)
    setting = setting_of("inference")
    if not Address.parse(settings.inference_listen, setting).is_free():
        raise FailedPrecondition(
            "ADDRESS_IN_USE",
            f"Nothing can listen on {settings.inference_listen}, which is taken or not this machine's; "
            f"{setting} names another.",
            setting,
        )
    _engine()


def _engine() -> Engine:
    """The model, loaded.

    Raises:
        Internal: it is damaged, or of another Keyprint.
    """
    model = bentoml.models.get(ALIAS)
    directory = Path(model.path)
    reference = f"{model.tag.name}@{model.tag.version}"
    try:
        if package.digest(directory) != model.info.metadata["digest"]:
            raise ValueError("its digest is another")
        return Engine(reference, directory)
    except (OSError, ValueError) as error:
        raise package.corrupt(reference, error) from error
