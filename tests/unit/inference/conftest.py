"""A model that names people by their tempo, and a training service that hands it out."""

from __future__ import annotations

import tarfile
import threading
from collections.abc import Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass, field, replace
from pathlib import Path

import grpc
import numpy as np
import onnx
import pyarrow as pa
import pytest
from onnx import TensorProto, helper

from keyprint import attempts, features, package, rpc
from keyprint.channel import channel as open_channel
from keyprint.errors import NotFound
from keyprint.names import parse_reference
from keyprint.table import SCHEMA
from keyprint.v1 import attempts_pb2, training_pb2, training_pb2_grpc

PHRASE = "hi you"
LABELS = ("ann", "bob", "cat")
TEMPO_MS = (80, 200, 500)


TRAINING = package.Training(
    dataset="ds_1",
    fingerprint="f",
    learner="tempo",
    params={},
    holdout=0.2,
    split="late",
    seed=0,
    impostors=0.0,
    temperature=1.0,
    libraries={},
    fit_seconds=0.0,
    near_ties=0,
    curve=(),
    attempt_ids=(),
    timing_ids=(),
    typical=package.Typical((0, *[200_000] * 5), ()),
)


@dataclass(frozen=True)
class _Nothing:
    """Inference does not read how a model did."""


def keystrokes(tempo_ms: float, phrase: str = PHRASE, release_times: bool = False) -> attempts.Keystrokes:
    """One even attempt."""
    pressed = [round(number * tempo_ms * 1000) for number in range(len(phrase))]
    released = [at + 40_000 for at in pressed] if release_times else []
    return attempts.single(list(phrase), pressed, released)


def joined(several: Sequence[attempts.Keystrokes]) -> attempts.Keystrokes:
    """Several batches, one after the other."""
    ends = np.concatenate([np.diff(one.offsets) for one in several]).cumsum()
    return attempts.Keystrokes(
        offsets=np.concatenate([np.zeros(1, np.int64), ends]),
        character=np.concatenate([one.character for one in several]),
        pressed_at=np.concatenate([one.pressed_at for one in several]),
        released_at=np.concatenate([one.released_at for one in several]),
        malformed=np.concatenate([one.malformed for one in several]),
    )


def message(one: attempts.Keystrokes) -> attempts_pb2.Attempt:
    """One attempt as callers send it."""
    known = (one.released_at != attempts.UNKNOWN_TIME).any()
    return attempts_pb2.Attempt(
        character=[attempts.BACKSPACE if code == attempts.BACKSPACE_CODE else chr(code) for code in one.character],
        pressed_at=one.pressed_at.tolist(),
        released_at=one.released_at.tolist() if known else [],
    )


def timings(one: attempts.Keystrokes) -> list[bytes]:
    """The timing ids of valid attempts."""
    return attempts.timing_ids(attempts.align(one, attempts.judge(one, PHRASE), PHRASE))


def batch(*several: attempts.Keystrokes, first: int = 0) -> pa.RecordBatch:
    """What ingest sends of these attempts."""
    together = joined(several)
    reasons = attempts.judge(together, PHRASE).reason
    rows = []
    for number, (begin, end) in enumerate(zip(together.offsets[:-1], together.offsets[1:], strict=True)):
        rows.append(
            {
                "attempt": first + number,
                "attempt_id": bytes(16),
                "user": None,
                "typed_at": int(together.pressed_at[begin]) if end > begin else None,
                "character": [chr(code) for code in together.character[begin:end]],
                "pressed_at": together.pressed_at[begin:end].tolist(),
                "released_at": together.released_at[begin:end].tolist(),
                "reason": attempts.REASONS[reasons[number]],
                "warnings": 0,
                "duplicate": False,
                "enrolled": False,
            }
        )
    return pa.RecordBatch.from_pylist(rows, SCHEMA)


def write_package(
    directory: Path,
    release_times: bool = False,
    version: int = 0,
    seen: Sequence[attempts.Keystrokes] = (),
    looks_at: str = "log_press_to_press_1",
    labels: Sequence[str] = LABELS,
    sharpness: float = 10,
) -> Path:
    """A package whose graph is right: probabilities fall with the distance from each person's log tempo.

    Args:
        directory: to be made.
        release_times: whether the model needs them.
        version: of the feature set; 0 for the one that there is.
        seen: attempts that it is said to be trained on.
        looks_at: the one column that the graph looks at.
        labels: names of the three persons.
        sharpness: how fast probabilities fall.
    """
    directory.mkdir(parents=True)
    columns = features.feature_set("timing").columns(PHRASE, release_times)
    # -(x - c)² = 2xc - c² - x², and what is the same for all drops out of the softmax.
    centres = np.log(np.array(TEMPO_MS, np.float64))
    weights = np.zeros((len(columns), len(LABELS)), np.float32)
    weights[columns.index(looks_at)] = 2 * sharpness * centres
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", [package.INPUT, "weights"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["logits"]),
            helper.make_node("Softmax", ["logits"], [package.OUTPUT], axis=1),
        ],
        "tempo",
        [helper.make_tensor_value_info(package.INPUT, TensorProto.FLOAT, ["N", len(columns)])],
        [helper.make_tensor_value_info(package.OUTPUT, TensorProto.FLOAT, ["N", len(LABELS)])],
        [
            onnx.numpy_helper.from_array(weights, "weights"),
            onnx.numpy_helper.from_array((-sharpness * centres**2).astype(np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    (directory / package.GRAPH).write_bytes(model.SerializeToString())
    package.write(
        directory,
        package.Inputs("timing", version or features.feature_set("timing").version, PHRASE, release_times),
        labels,
        package.Thresholds(0.01, (0.001, 0.01, 0.1), (0.9, 0.7, 0.1)),
        _Nothing(),
        replace(
            TRAINING,
            timing_ids=tuple(timing.hex() for one in seen for timing in timings(one)),
            typical=package.Typical((0, *[200_000] * 5), (100_000,) * len(PHRASE) if release_times else ()),
        ),
    )
    return directory


@dataclass
class Training(training_pb2_grpc.TrainingServiceServicer):
    """Hands out models; counts, and breaks on request."""

    archives: dict[str, bytes] = field(default_factory=dict)
    models: dict[str, training_pb2.Model] = field(default_factory=dict)
    downloads: int = 0
    asked: int = 0
    sending: threading.Event = field(default_factory=threading.Event)
    """Clear it to hold downloads up; `held` is set when one is."""
    held: threading.Event = field(default_factory=threading.Event)
    answering: threading.Event = field(default_factory=threading.Event)
    """Clear it to leave those who ask for a model without an answer."""

    def __post_init__(self) -> None:
        self.sending.set()
        self.answering.set()

    def put(self, name: str, version: int, directory: Path) -> None:
        """Publishes a package as the newest version of a name."""
        path = directory.with_suffix(".tar")
        with tarfile.open(path, "w") as archive:
            archive.add(directory, ".")
        self.archives[f"{name}@{version}"] = path.read_bytes()
        model = training_pb2.Model(name=name, version=version, digest=package.digest(directory))
        self.models[name] = self.models[f"{name}@{version}"] = model

    def point(self, name: str, alias: str, version: int) -> None:
        """Moves an alias."""
        self.models[f"{name}@{alias}"] = self.models[f"{name}@{version}"]

    def remove(self, name: str, version: int) -> None:
        """Deletes a model."""
        del self.models[name], self.models[f"{name}@{version}"]

    def ListModels(  # noqa: N802
        self, request: training_pb2.ListModelsRequest, context: grpc.ServicerContext
    ) -> training_pb2.ListModelsResponse:
        return training_pb2.ListModelsResponse(models=[model for key, model in self.models.items() if "@" in key])

    def GetModel(  # noqa: N802
        self, request: training_pb2.GetModelRequest, context: grpc.ServicerContext
    ) -> training_pb2.Model:
        self.asked += 1
        self.answering.wait()
        parse_reference(request.model, "model")
        return self._model(request.model)

    def _model(self, reference: str) -> training_pb2.Model:
        if reference not in self.models:
            raise NotFound("MODEL_NOT_FOUND", f"There is no model {reference!r}.", "model")
        return self.models[reference]

    def DownloadModel(  # noqa: N802
        self, request: training_pb2.DownloadModelRequest, context: grpc.ServicerContext
    ) -> Iterator[training_pb2.DownloadModelResponse]:
        self.downloads += 1
        model = self._model(request.model)
        content = self.archives[request.model]
        yield training_pb2.DownloadModelResponse(
            header=training_pb2.DownloadModelResponse.Header(model=model, size=len(content))
        )
        if not self.sending.is_set():
            self.held.set()
            self.sending.wait()
        for begin in range(0, len(content), 1000):
            yield training_pb2.DownloadModelResponse(content=content[begin : begin + 1000])


@dataclass
class House:
    """A training service that can be stopped, and a stub of it."""

    training: Training
    stub: training_pb2_grpc.TrainingServiceStub
    server: grpc.Server
    address: str


@pytest.fixture
def house() -> Iterator[House]:
    # The stubs call every method abstract; those that inference does not call answer UNIMPLEMENTED.
    training = Training()  # type: ignore[abstract]
    server = grpc.server(futures.ThreadPoolExecutor(16), interceptors=[rpc.ErrorInterceptor()])
    training_pb2_grpc.add_TrainingServiceServicer_to_server(training, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with open_channel(f"127.0.0.1:{port}") as channel:
        yield House(training, training_pb2_grpc.TrainingServiceStub(channel), server, f"127.0.0.1:{port}")
    server.stop(0).wait()
