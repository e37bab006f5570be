"""How fast inference is.

python -m benchmarks.inference [DIRECTORY] [--phrase TEXT] [--mlserver PYTHON] [--uvloop PYTHON] [--calls N]

DIRECTORY holds labelled documents, user_*.json, of people to train on; without it 35 typists are made up.  Of each
learner a model is trained by the service's own code (the LSTM for a few epochs only: it answers no slower for it), and
then, each beside what it is compared with:

- one attempt at a time through the graph alone, another attempt each time, against the source estimator; and many
  together, which no BatchIdentify can be faster than;
- whether graph and source name the same user, for the hold-out and for random inputs;
- Identify of 64 callers, server on one core and load on another, against the best echo of the same message that a gRPC
  server in Python gives; against MLServer (an environment of its own: `pip install "mlserver>=1.7,<1.8" onnxruntime`)
  and against BentoML with adaptive batching, which are given features, and so have less to do;
- BatchIdentify of 64, in attempts per second;
- request to features, of one attempt.

Every server is loaded in turns, and what is shown is the median of them.  Needs h2load and two cores.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import read
from benchmarks.load import GRPC, Rate, framed, load, served
from inference import open_inference_grpc_pb2 as oip
from keyprint import attempts, package, simulate
from keyprint.addresses import free_address
from keyprint.attempts import BACKSPACE, BACKSPACE_CODE, Keystrokes
from keyprint.channel import channel
from keyprint.features import Matrix, feature_set
from keyprint.graph import Graph
from keyprint.v1 import attempts_pb2, inference_pb2, inference_pb2_grpc
from services.inference import requests
from services.ingest.parse import parse_document
from services.training.agreement import is_clear
from services.training.arrays import Floats
from services.training.calibrate import softmax
from services.training.learners import learner
from services.training.trainer import train
from services.training.work import Order

USERS, ATTEMPTS = 35, 100
HOLDOUT = 0.2
PARAMS: dict[str, dict[str, float]] = {"adaboost": {}, "lstm": {"epochs": 4}}
ROWS = 300
"""Attempts that are timed one at a time."""
SLOW_ROWS = 60
"""Of the source estimators."""
ROUNDS = 50
"""Through those attempts in a turn of the graph's: long enough that it finds the processor's caches as it left them
itself, and not as the source did."""
RANDOM = 100_000
BATCH = 64
TURNS = 3
SERVICE = "keyprint.v1.InferenceService"

Source = Callable[[Any], Floats]


@dataclass(frozen=True)
class Made:
    """A model.

    Attributes:
        name: of its learner.
        directory: its package.
        source: what the source estimator answers to features, as it comes.
        logits: what makes logits of that.
        temperature: what calibration divides these by.
        unseen: features of its hold-out.
    """

    name: str
    directory: Path
    source: Source
    logits: Source
    temperature: float
    unseen: Matrix


def main() -> None:
    """Prints every comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, nargs="?")
    parser.add_argument("--phrase", default=attempts.DEFAULT_PHRASE)
    parser.add_argument("--mlserver", metavar="PYTHON", help="of an environment with MLServer")
    parser.add_argument("--uvloop", metavar="PYTHON", help="of an environment with uvloop and what keyprint needs")
    parser.add_argument("--calls", type=int, default=10_000, help="of each server in each turn")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        directory = wanted.directory
        if directory is None:
            directory = Path(folder) / "typists"
            list(simulate.write(directory, USERS, ATTEMPTS, wanted.phrase))
        documents = sorted(directory.glob("user_*.json"))
        made = [make(name, Path(folder) / name, documents, wanted.phrase) for name in PARAMS]
        messages = some_attempts(documents, wanted.phrase)
        print(f"request to features, one attempt: {to_features(messages, wanted.phrase, made[0]):.1f} us")
        for one in made:
            alone(one)
            agreement(one)
        under_load(wanted, made, messages)


def make(name: str, directory: Path, documents: Sequence[Path], phrase: str) -> Made:
    """Trains."""
    directory.mkdir()
    data = read(documents, phrase)
    params = learner(name).check(PARAMS[name])
    train(Order("", str(directory), "", name, params, HOLDOUT, "late", "timing", 0), data, lambda told: None)
    unseen = data.hold_out(HOLDOUT, "late", 0)
    features = feature_set("timing").compute(unseen.attempts, data.release_times)
    return Made(name, directory, *source(directory), package.read(directory).training.temperature, features)


def source(directory: Path) -> tuple[Source, Source]:
    """The source estimator of a package, and what makes logits of its answers."""
    if (directory / "estimator.skops").exists():
        from skops import io

        path = directory / "estimator.skops"
        estimator = io.load(path, trusted=io.get_untrusted_types(file=path))
        return estimator.predict_proba, np.log
    import keras

    model = keras.models.load_model(directory / "estimator.keras")
    return lambda features: model.predict(features, batch_size=1024, verbose=0), np.asarray


def some_attempts(documents: Sequence[Path], phrase: str) -> list[attempts_pb2.Attempt]:
    """Valid attempts of several people."""
    found = []
    for path in documents[: ROWS // 10]:
        typed = parse_document(path.read_bytes()).keystrokes
        valid = np.flatnonzero(attempts.judge(typed, phrase).reason == 0)[:10]
        found += [_message(typed, number) for number in valid.tolist()]
    return found


def _message(typed: Keystrokes, number: int) -> attempts_pb2.Attempt:
    here = slice(int(typed.offsets[number]), int(typed.offsets[number + 1]))
    return attempts_pb2.Attempt(
        character=[BACKSPACE if code == BACKSPACE_CODE else chr(code) for code in typed.character[here].tolist()],
        pressed_at=typed.pressed_at[here].tolist(),
        released_at=typed.released_at[here].tolist(),
    )


def median_us(work: Callable[[Any], object], each: Sequence[Any]) -> float:
    """Microseconds that the work takes for one of them."""
    found = []
    for one in each:
        began = time.perf_counter_ns()
        work(one)
        found.append((time.perf_counter_ns() - began) / 1e3)
    return statistics.median(found)


def to_features(messages: Sequence[attempts_pb2.Attempt], phrase: str, one: Made) -> float:
    """Microseconds from a request's bytes to features."""
    timing, releases = feature_set("timing"), package.read(one.directory).inputs.release_times
    contents = [inference_pb2.IdentifyRequest(model="m", attempt=message).SerializeToString() for message in messages]

    def read_one(content: bytes) -> Matrix:
        typed = requests.joined([inference_pb2.IdentifyRequest.FromString(content).attempt])
        return timing.compute(attempts.align(typed, attempts.judge(typed, phrase), phrase), releases)

    for content in contents:
        read_one(content)
    return median_us(read_one, contents)


def alone(one: Made) -> None:
    """One attempt at a time, in turns with the source estimator."""
    graph = Graph(one.directory / package.GRAPH)
    rows = [one.unseen[number : number + 1] for number in range(min(ROWS, len(one.unseen)))]
    slow = rows[:SLOW_ROWS]
    for row in slow[:5]:
        one.source(row)
    ours, theirs = [], []
    for _ in range(TURNS):
        ours.append(median_us(graph.run, rows * ROUNDS))
        theirs.append(median_us(one.source, slow))
    same = median_us(graph.run, [rows[0]] * ROWS)
    batches = [one.unseen[begin : begin + BATCH] for begin in range(0, len(one.unseen) - BATCH + 1, BATCH)]
    of_many = median_us(graph.run, batches * ROUNDS) / BATCH
    mine, other = statistics.median(ours), statistics.median(theirs)
    print(
        f"{one.name}, one attempt: graph {mine:.0f} us ({same:.0f} if always the same), source {other / 1e3:.1f} ms: "
        f"{other / mine:,.0f} x; of {BATCH} together {of_many:.0f} us each, which is {1e6 / of_many:,.0f} a second"
    )


def agreement(one: Made) -> None:
    """Whether the graph names whom the source estimator names."""
    rng = np.random.default_rng(0)
    spread = one.unseen.std(axis=0)
    rows = one.unseen[rng.integers(len(one.unseen), size=RANDOM)]
    noisy = (rows + rng.normal(size=rows.shape) * spread).astype(np.float32)
    graph = Graph(one.directory / package.GRAPH)
    for what, features in (("the hold-out", one.unseen), ("random inputs", noisy)):
        expected = softmax(one.logits(one.source(features)), one.temperature)
        found = graph.run(features).argmax(axis=1)
        clear = is_clear(expected)
        same = int((found == expected.argmax(axis=1))[clear].sum())
        print(
            f"{one.name}, same user as the source on {what}: {same:,} of {int(clear.sum()):,}; "
            f"{int((~clear).sum())} near ties"
        )


def under_load(wanted: argparse.Namespace, made: Sequence[Made], messages: Sequence[attempts_pb2.Attempt]) -> None:
    """Every server, one after the other, several times."""
    identify = framed(inference_pb2.IdentifyRequest(model="m", attempt=messages[0]).SerializeToString())
    together = [messages[number % len(messages)] for number in range(BATCH)]
    batch = framed(_batch(together).SerializeToString())
    found: dict[str, list[Rate]] = {}

    def put(name: str, rate: Rate) -> None:
        found.setdefault(name, []).append(rate)
        print(
            f"  {name}: {rate.per_second:,.0f} a second, p50 {rate.p50_ms:.1f} ms, p99 {rate.p99_ms:.1f} ms, "
            f"{rate.processor_us:.0f} us of the processor a call",
            flush=True,
        )

    echoes = {"echo, 10 threads": ("sync", "10"), "echo, 64 threads": ("sync", "64"), "echo, grpc.aio": ("aio",)}
    for _ in range(TURNS):
        for name, (kind, *threads) in echoes.items():
            port = free_address().port
            with served([sys.executable, "-m", "benchmarks.servers.echo", kind, str(port), *threads], port) as pid:
                put(name, load(_url(port, "Identify"), identify, GRPC, pid, wanted.calls))
        if wanted.uvloop:
            port = free_address().port
            with served([wanted.uvloop, "-m", "benchmarks.servers.echo", "uvloop", str(port)], port) as pid:
                put("echo, uvloop", load(_url(port, "Identify"), identify, GRPC, pid, wanted.calls))
        for one in made:
            port = free_address().port
            command = [sys.executable, "-m", "benchmarks.servers.ours", str(port), "m", str(one.directory)]
            with served(command, port) as pid:
                check(port, messages[0])
                put(f"Identify, {one.name}", load(_url(port, "Identify"), identify, GRPC, pid, wanted.calls))
                rate = load(_url(port, "BatchIdentify"), batch, GRPC, pid, max(wanted.calls // BATCH, 200))
                put(f"BatchIdentify of {BATCH}, {one.name}", rate)
            rivals(wanted, one, put)
    summary(found, made)


def rivals(wanted: argparse.Namespace, one: Made, put: Callable[[str, Rate], None]) -> None:
    """The same graph behind other servers."""
    row = one.unseen[:1]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        graph = (one.directory / package.GRAPH).resolve()
        if wanted.mlserver:
            http, port = free_address().port, free_address().port
            settings = {"http_port": http, "grpc_port": port, "host": "127.0.0.1", "metrics_endpoint": None}
            settings |= {"parallel_workers": 0, "debug": False}
            (folder / "settings.json").write_text(json.dumps(settings))
            model = {"name": "m", "implementation": "benchmarks.servers.mlserver_onnx.Graph"}
            (folder / "model-settings.json").write_text(json.dumps(model | {"parameters": {"uri": str(graph)}}))
            request = oip.ModelInferRequest(model_name="m", raw_input_contents=[row.tobytes()])
            request.inputs.add(name="features", datatype="FP32", shape=row.shape)
            command = [wanted.mlserver, "-m", "mlserver.cli.main", "start", str(folder)]
            with served(command, port, {"PYTHONPATH": os.getcwd()}) as pid:
                url = f"http://127.0.0.1:{port}/inference.GRPCInferenceService/ModelInfer"
                body = framed(request.SerializeToString())
                put(f"MLServer, {one.name}", load(url, body, GRPC, pid, wanted.calls // 4))
        port = free_address().port
        command = [str(Path(sys.executable).with_name("bentoml")), "serve", "benchmarks.servers.bento_onnx:Graph"]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        environment = {"GRAPH": str(graph), "BENTOML_HOME": str(folder), "BENTOML_DO_NOT_TRACK": "true"}
        with served(command, port, environment) as pid:
            body = json.dumps({"rows": row.tolist()}).encode()
            headers = ("content-type: application/json",)
            url = f"http://127.0.0.1:{port}/predict"
            put(f"BentoML, {one.name}", load(url, body, headers, pid, wanted.calls // 4, http1=True))


def check(port: int, message: attempts_pb2.Attempt) -> None:
    """Fails if the service does not answer rightly: h2load takes a gRPC error for an answer."""
    with channel(f"127.0.0.1:{port}") as line:
        stub = inference_pb2_grpc.InferenceServiceStub(line)
        request = inference_pb2.IdentifyRequest(model="m", attempt=message)
        answer = stub.Identify(request, wait_for_ready=True, timeout=20)
        stub.BatchIdentify(_batch([message]), timeout=20)
    if answer.reason or not answer.candidates:
        raise SystemExit(f"this is no answer: {answer}")


def summary(found: dict[str, list[Rate]], made: Sequence[Made]) -> None:
    """Ratios of medians."""

    def per_second(name: str) -> float:
        return statistics.median(rate.per_second for rate in found[name])

    def p99(name: str) -> float:
        return statistics.median(rate.p99_ms for rate in found[name])

    best = max((name for name in found if name.startswith("echo")), key=per_second)
    print(f"the best echo is {best}: {per_second(best):,.0f} a second")
    for one in made:
        ours = f"Identify, {one.name}"
        print(f"{ours}: {per_second(ours) / per_second(best):.0%} of the echo; p99 {p99(ours) / p99(best):.1f} x")
        batched = per_second(f"BatchIdentify of {BATCH}, {one.name}") * BATCH
        print(f"  BatchIdentify of {BATCH}: {batched:,.0f} attempts a second, {batched / per_second(ours):.0f} x unary")
        for rival in ("MLServer", "BentoML"):
            if f"{rival}, {one.name}" in found:
                print(f"  {per_second(ours) / per_second(f'{rival}, {one.name}'):.1f} x {rival}")


def _batch(messages: Sequence[attempts_pb2.Attempt]) -> inference_pb2.BatchIdentifyRequest:
    return inference_pb2.BatchIdentifyRequest(
        model="m",
        length=[len(message.character) for message in messages],
        character=[character for message in messages for character in message.character],
        pressed_at=[at for message in messages for at in message.pressed_at],
        released_at=[at for message in messages for at in message.released_at],
    )


def _url(port: int, method: str) -> str:
    return f"http://127.0.0.1:{port}/{SERVICE}/{method}"


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.disable(logging.WARNING)
    main()
