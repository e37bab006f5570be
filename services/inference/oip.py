"""The Open Inference Protocol over the engines of InferenceService: messages in, messages out."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata

import grpc

from inference import open_inference_grpc_pb2 as protocol
from inference import open_inference_grpc_pb2_grpc as protocol_grpc
from keyprint.errors import Internal, InvalidArgument, NotFound, Unavailable
from services.inference import decide, tensors
from services.inference.engine import Engines

PLATFORM = "keyprint_onnx"
PROBES = ("/inference.GRPCInferenceService/ServerLive", "/inference.GRPCInferenceService/ServerReady")
"""What is answered whatever the server has to do."""

READY, UNAVAILABLE = "READY", "UNAVAILABLE"


class OpenInferenceServicer(protocol_grpc.GRPCInferenceServiceServicer):
    """Answers clients of KServe, Triton and MLServer; a version is a number or an alias, or none for the newest."""

    def __init__(self, models: Engines, ready: Callable[[], bool]) -> None:
        self._models = models
        self._ready = ready

    def ServerLive(  # noqa: N802 - gRPC's name, as are all that follow
        self, request: protocol.ServerLiveRequest, context: grpc.ServicerContext
    ) -> protocol.ServerLiveResponse:
        return protocol.ServerLiveResponse(live=True)

    def ServerReady(  # noqa: N802
        self, request: protocol.ServerReadyRequest, context: grpc.ServicerContext
    ) -> protocol.ServerReadyResponse:
        return protocol.ServerReadyResponse(ready=self._ready())

    def ModelReady(  # noqa: N802
        self, request: protocol.ModelReadyRequest, context: grpc.ServicerContext
    ) -> protocol.ModelReadyResponse:
        # A model is loaded when it is first asked for, be it only whether it is ready.
        try:
            self._models.get(_reference(request.name, request.version))
        except (NotFound, Unavailable, Internal):
            return protocol.ModelReadyResponse(ready=False)
        return protocol.ModelReadyResponse(ready=True)

    def ServerMetadata(  # noqa: N802
        self, request: protocol.ServerMetadataRequest, context: grpc.ServicerContext
    ) -> protocol.ServerMetadataResponse:
        return protocol.ServerMetadataResponse(
            name="keyprint", version=metadata.version("keyprint"), extensions=["model_repository"]
        )

    def ModelMetadata(  # noqa: N802
        self, request: protocol.ModelMetadataRequest, context: grpc.ServicerContext
    ) -> protocol.ModelMetadataResponse:
        name, _, version = self._models.get(_reference(request.name, request.version)).reference.partition("@")
        return protocol.ModelMetadataResponse(
            name=name,
            versions=[version],
            platform=PLATFORM,
            inputs=map(_metadata, tensors.INPUTS.values()),
            outputs=map(_metadata, tensors.OUTPUTS.values()),
        )

    def ModelInfer(  # noqa: N802
        self, request: protocol.ModelInferRequest, context: grpc.ServicerContext
    ) -> protocol.ModelInferResponse:
        keystrokes = tensors.read(request)
        wanted = tensors.asked(request)
        engine = self._models.get(_reference(request.model_name, request.model_version))
        engine.check_releases(keystrokes)
        answers = engine.answer(keystrokes, context.is_active)
        decided = decide.decide(engine, answers, engine.package.decision.default)
        answer = tensors.write(decided, wanted, raw=bool(request.raw_input_contents))
        answer.model_name, _, answer.model_version = engine.reference.partition("@")
        answer.id = request.id
        return answer

    def RepositoryIndex(  # noqa: N802
        self, request: protocol.RepositoryIndexRequest, context: grpc.ServicerContext
    ) -> protocol.RepositoryIndexResponse:
        _check_repository(request.repository_name)
        answer = protocol.RepositoryIndexResponse()
        for one in self._models.index():
            if one.loaded:
                answer.models.add(name=one.name, version=str(one.version), state=READY)
            elif not request.ready:
                reason = one.trouble or "not in memory; the first call loads it"
                answer.models.add(name=one.name, version=str(one.version), state=UNAVAILABLE, reason=reason)
        return answer

    def RepositoryModelLoad(  # noqa: N802
        self, request: protocol.RepositoryModelLoadRequest, context: grpc.ServicerContext
    ) -> protocol.RepositoryModelLoadResponse:
        _check_repository(request.repository_name)
        if request.parameters:
            raise InvalidArgument(
                "PARAMETER_UNSUPPORTED",
                "A model brings its own configuration and files; load it without parameters.",
                "parameters",
            )
        self._models.get(request.model_name)
        return protocol.RepositoryModelLoadResponse()

    def RepositoryModelUnload(  # noqa: N802
        self, request: protocol.RepositoryModelUnloadRequest, context: grpc.ServicerContext
    ) -> protocol.RepositoryModelUnloadResponse:
        _check_repository(request.repository_name)
        self._models.unload(request.model_name)
        return protocol.RepositoryModelUnloadResponse()


def _reference(name: str, version: str) -> str:
    return f"{name}@{version}" if version else name


def _metadata(tensor: tensors.Tensor) -> protocol.ModelMetadataResponse.TensorMetadata:
    return protocol.ModelMetadataResponse.TensorMetadata(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)


def _check_repository(name: str) -> None:
    if name:
        raise NotFound(
            "REPOSITORY_NOT_FOUND",
            "There is one repository, which has no name; leave repository_name empty.",
            "repository_name",
        )
