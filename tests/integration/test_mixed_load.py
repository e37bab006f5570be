"""Everything that inference is asked, all at once and for a while: no error, and memory stays as it is."""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from inference import open_inference_grpc_pb2 as protocol
from inference import open_inference_grpc_pb2_grpc as protocol_grpc
from keyprint.addresses import free_address
from keyprint.arrow import from_ipc
from keyprint.channel import channel as open_channel
from keyprint.client import IngestClient, TrainingClient
from keyprint.errors import from_rpc_error
from keyprint.source import attempt_from_source
from keyprint.v1 import attempts_pb2, inference_pb2, inference_pb2_grpc, ingest_pb2, training_pb2
from tests.conftest import Stack

SECONDS = int(os.environ.get("KEYPRINT_TEST_LOAD_SECONDS", "60"))
"""How long it lasts; `make soak` asks for more."""

pytestmark = pytest.mark.timeout(SECONDS + 300)

CALLERS = 12
MODEL, ALIAS = "mixed", "mixed@live"
GROWTH = 0.05
"""What the second half may take more than the second quarter; what a call leaked would be seen thousands of times."""


@pytest.fixture(scope="module")
def versions(keyprint_stack: Stack) -> Iterator[TrainingClient]:
    """Two versions of one model, trained."""
    with IngestClient(keyprint_stack.addresses["ingest"].listen) as ingest:
        *_, dataset = ingest.watch_dataset(ingest.create_dataset(keyprint_stack.source_url).id)
    with TrainingClient(keyprint_stack.addresses["training"].listen) as training:
        for trees in (20, 40):
            job = training.create_training_job(
                dataset.id, "adaboost", MODEL, 0.2, params={"trees": trees, "depth": 8}, new_version=trees == 40
            )
            *_, job = training.watch_training_job(job.id)
            assert job.state == training_pb2.TrainingJob.STATE_SUCCEEDED
        training.set_model_alias(f"{MODEL}@1", "live")
        yield training
        training.delete_model(MODEL)


@pytest.fixture
def process(keyprint_stack: Stack, tmp_path: Path) -> Iterator[tuple[str, psutil.Process]]:
    """An inference service of its own, and where it listens."""
    address = free_address(tuple(keyprint_stack.addresses.values())).listen
    environment = {
        **os.environ,
        "KEYPRINT_HOME": str(tmp_path),
        "KEYPRINT_LOG_LEVEL": "WARNING",
        "KEYPRINT_INFERENCE_LISTEN": address,
        "KEYPRINT_INFERENCE_PRELOAD": f"{MODEL}@1,{MODEL}@2,{ALIAS}",
        "KEYPRINT_INGEST_ADDRESS": keyprint_stack.addresses["ingest"].listen,
        "KEYPRINT_TRAINING_ADDRESS": keyprint_stack.addresses["training"].listen,
    }
    command = [sys.executable, "-m", "services.inference"]
    with subprocess.Popen(command, env=environment) as started:  # noqa: S603 - our own module
        yield address, psutil.Process(started.pid)
        started.terminate()
        assert started.wait(30) == 0


class Caller:
    """Asks one thing after the other, whatever comes to its mind, and looks at each answer."""

    def __init__(self, channel: grpc.Channel, attempts: list[attempts_pb2.Attempt], dataset: str, seed: int) -> None:
        self._inference = inference_pb2_grpc.InferenceServiceStub(channel)
        self._protocol = protocol_grpc.GRPCInferenceServiceStub(channel)
        # The stubs know no methods of this one.
        self._health = cast(Any, health_pb2_grpc.HealthStub(channel))
        self._attempts = attempts
        self._dataset = dataset
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self.calls = 0

    def run(self, over: threading.Event) -> None:
        """Until it is over."""
        often: list[Callable[[], None]] = [self.identify, self.verify, self.infer]
        seldom = [self.explain, self.batch, self.invalid, self.unknown, self.hurry, self.give_up, self.look]
        rarely = [self.predict, self.stop_reading]
        while not over.is_set():
            self._random.choice(self._random.choices([often, seldom, rarely], [80, 18, 2])[0])()
            self.calls += 1

    def _attempt(self) -> attempts_pb2.Attempt:
        return self._random.choice(self._attempts)

    def _model(self) -> str:
        return self._random.choice([MODEL, ALIAS, f"{MODEL}@1"])

    def _identify(self, **more: Any) -> inference_pb2.IdentifyResponse:
        request = inference_pb2.IdentifyRequest(model=self._model(), attempt=self._attempt(), **more)
        return self._inference.Identify(request, timeout=60)

    def identify(self) -> None:
        """Who typed this."""
        answer = self._identify()
        assert answer.model in (f"{MODEL}@1", f"{MODEL}@2")
        assert bool(answer.candidates) == (not answer.reason)

    def explain(self) -> None:
        """And why."""
        answer = self._identify(explain=True)
        assert answer.HasField("explanation") == (not answer.reason)

    def verify(self) -> None:
        """Whether it was somebody."""
        request = inference_pb2.VerifyRequest(model=self._model(), attempt=self._attempt(), user="typist00")
        answer = self._inference.Verify(request, timeout=60)
        assert answer.accepted == (not answer.reason and answer.score >= answer.threshold)

    def batch(self) -> None:
        """Many attempts at once."""
        request = inference_pb2.BatchIdentifyRequest(model=self._model())
        for one in self._random.choices(self._attempts, k=64):
            request.length.append(len(one.character))
            request.character.extend(one.character)
            request.pressed_at.extend(one.pressed_at)
            request.released_at.extend(one.released_at)
        assert len(self._inference.BatchIdentify(request, timeout=60).user) == 64

    def infer(self) -> None:
        """In the words of the Open Inference Protocol."""
        attempt = self._attempt()
        shape = [1, len(attempt.character)]
        tensor, contents = protocol.ModelInferRequest.InferInputTensor, protocol.InferTensorContents
        keys = contents(bytes_contents=[key.encode() for key in attempt.character])
        inputs = [
            tensor(name="character", datatype="BYTES", shape=shape, contents=keys),
            *(
                tensor(name=name, datatype="INT64", shape=shape, contents=contents(int64_contents=times))
                for name, times in (("pressed_at", attempt.pressed_at), ("released_at", attempt.released_at))
            ),
        ]
        request = protocol.ModelInferRequest(model_name=MODEL, model_version="live", inputs=inputs)
        assert self._protocol.ModelInfer(request, timeout=60).model_version in ("1", "2")

    def invalid(self) -> None:
        """An attempt at something else."""
        attempt = attempts_pb2.Attempt(character=list("other"), pressed_at=range(5), released_at=range(1, 6))
        request = inference_pb2.IdentifyRequest(model=self._model(), attempt=attempt)
        assert self._inference.Identify(request, timeout=60).reason == "PHRASE_MISMATCH"

    def unknown(self) -> None:
        """A model that nobody has trained."""
        with pytest.raises(grpc.RpcError) as refused:
            self._inference.Identify(inference_pb2.IdentifyRequest(model="nobody"), timeout=60)
        assert from_rpc_error(refused.value).reason == "MODEL_NOT_FOUND"

    def hurry(self) -> None:
        """With hardly any time."""
        request = inference_pb2.IdentifyRequest(model=self._model(), attempt=self._attempt())
        try:
            self._inference.Identify(request, timeout=self._random.random() / 100)
        except grpc.RpcError as error:
            # Of what else there may be only this is to be expected.
            if cast(grpc.Call, error).code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise

    def give_up(self) -> None:
        """And cancel at once."""
        request = inference_pb2.IdentifyRequest(model=self._model(), attempt=self._attempt())
        cast(Any, self._inference.Identify).future(request).cancel()

    def look(self) -> None:
        """Whether it is well."""
        status = self._health.Check(health_pb2.HealthCheckRequest(), timeout=60).status
        assert status == health_pb2.HealthCheckResponse.SERVING

    def _predict(self) -> Any:
        request = inference_pb2.PredictDatasetRequest(model=self._model(), dataset=self._dataset)
        return self._inference.PredictDataset(request, timeout=60)

    def predict(self) -> None:
        """A whole dataset."""
        assert sum(from_ipc(piece.ipc).num_rows for piece in self._predict()) >= len(self._attempts)

    def stop_reading(self) -> None:
        """Of one, no more than its begin."""
        stream = self._predict()
        next(stream)
        stream.cancel()


def test_a_mixed_load_gives_no_error_and_memory_stays_flat(
    keyprint_stack: Stack, versions: TrainingClient, process: tuple[str, psutil.Process]
) -> None:
    address, measured = process
    document = json.loads((keyprint_stack.files / "test.json").read_text())
    attempts = [attempt_from_source(one) for one in document["attempts"]]
    with IngestClient(keyprint_stack.addresses["ingest"].listen) as ingest:
        *_, dataset = ingest.watch_dataset(ingest.create_dataset(keyprint_stack.test_url).id)
    assert dataset.state == ingest_pb2.Dataset.STATE_READY
    over = threading.Event()
    resident: list[int] = []
    with open_channel(address) as channel, ThreadPoolExecutor(CALLERS) as pool:
        # The stubs know no methods of this one.
        health = cast(Any, health_pb2_grpc.HealthStub(channel)).Watch(
            health_pb2.HealthCheckRequest(), wait_for_ready=True
        )
        assert any(one.status == health_pb2.HealthCheckResponse.SERVING for one in health)
        callers = [Caller(channel, attempts, dataset.id, seed) for seed in range(CALLERS)]
        calling = [pool.submit(caller.run, over) for caller in callers]
        try:
            for second in range(SECONDS):
                if any(one.done() for one in calling):
                    break
                versions.set_model_alias(f"{MODEL}@{1 + second % 2}", "live")
                resident.append(measured.memory_info().rss)
                time.sleep(1)
        finally:
            over.set()
        for one in calling:
            one.result()
    assert min(caller.calls for caller in callers) > 0
    quarter = len(resident) // 4
    settled, later = (statistics.median(part) for part in (resident[quarter : 2 * quarter], resident[-quarter:]))
    assert later <= settled * (1 + GROWTH), [round(one / 2**20) for one in resident]


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="only Linux has scheduling policies")
def test_its_threads_let_each_other_finish(process: tuple[str, psutil.Process]) -> None:
    address, measured = process
    with open_channel(address) as channel:
        # The stubs know no methods of this one.
        cast(Any, health_pb2_grpc.HealthStub(channel)).Check(health_pb2.HealthCheckRequest(), wait_for_ready=True)
    assert os.sched_getscheduler(measured.pid) == os.SCHED_BATCH
