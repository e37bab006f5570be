"""A Bento, built from a trained model and served by two workers where nothing of ours is installed and no network is.

What it answers is what the gateway and the inference service answer of the same model.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from google.protobuf.message import Message
from packaging.requirements import Requirement

from inference import open_inference_grpc_pb2 as protocol
from inference import open_inference_grpc_pb2_grpc as protocol_grpc
from keyprint import processes
from keyprint.addresses import Address, free_address
from keyprint.channel import MESSAGE_BYTES
from keyprint.client import IngestClient, TrainingClient
from keyprint.errors import from_rpc_error
from keyprint.forms import IdentifyBody
from keyprint.source import attempt_from_source
from keyprint.v1 import inference_pb2, inference_pb2_grpc, training_pb2
from tests.conftest import Stack

pytestmark = pytest.mark.timeout(300)

MODEL = "packed"
KEYPRINT = str(Path(sys.executable).with_name("keyprint"))

# Of what Python itself does; BentoML's workers and its command line talk over loopback.
NO_NETWORK = """\
import os, sys

def audit(event, arguments):
    if event == "socket.connect":
        where = arguments[1][0] if isinstance(arguments[1], tuple) else "127.0.0.1"
    elif event == "socket.getaddrinfo":
        where = arguments[0] or "127.0.0.1"
    else:
        return
    if where not in ("127.0.0.1", "localhost", "::1", b"127.0.0.1", b"localhost"):
        with open(os.environ["NETWORK_NOTES"], "a") as notes:
            notes.write(f"{event} {where}\\n")
        raise OSError("there is no network here")

sys.addaudithook(audit)
"""

Json = Any
Attempts = list[list[dict[str, str]]]


@pytest.fixture(scope="module")
def model(keyprint_stack: Stack) -> str:
    """A model that also goes by @champion."""
    with IngestClient(keyprint_stack.addresses["ingest"].listen) as ingest:
        *_, dataset = ingest.watch_dataset(ingest.create_dataset(keyprint_stack.source_url).id)
    with TrainingClient(keyprint_stack.addresses["training"].listen) as training:
        params = {"trees": 20, "depth": 6}
        job = training.create_training_job(dataset.id, "adaboost", MODEL, 0.2, params=params)
        *_, job = training.watch_training_job(job.id)
        assert job.state == training_pb2.TrainingJob.STATE_SUCCEEDED, job.error
        training.set_model_alias(f"{MODEL}@1", "champion")
    return MODEL


@pytest.fixture(scope="module")
def unpacked(keyprint_stack: Stack, model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive that the command line builds, unpacked in an empty directory."""
    here = tmp_path_factory.mktemp("built")
    built = subprocess.run(  # noqa: S603 - our own
        [KEYPRINT, "models", "bento", f"{model}@champion"],
        cwd=here,
        env={**os.environ, "KEYPRINT_TRAINING_ADDRESS": keyprint_stack.addresses["training"].listen},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert [path.name for path in here.iterdir()] == [f"{model}-1.bento.tar"]
    directory = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(here / f"{model}-1.bento.tar") as archive:
        archive.extractall(directory, filter="data")
    return directory


@pytest.fixture(scope="module")
def bare(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the packages that the Bento's own requirements lock, and nothing else, of ours least of all."""
    home = tmp_path_factory.mktemp("bare")
    venv.create(home, symlinks=True)
    (site,) = home.glob("lib/python*/site-packages")
    for line in (unpacked / "env" / "python" / "requirements.txt").read_text().splitlines():
        if "==" in line:
            locked = Requirement(line.rstrip(" \\"))
            if locked.marker is None or locked.marker.evaluate():
                _link(locked.name, site)
    (site / "sitecustomize.py").write_text(NO_NETWORK)
    return home / "bin" / "python"


def _link(name: str, site: Path) -> None:
    """Makes an installed distribution importable from `site` too."""
    files = metadata.distribution(name).files or []
    for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
        place = site / top
        if not place.exists():
            place.symlink_to(Path(str(files[0].locate())).parents[len(files[0].parts) - 1] / top)


@dataclass(frozen=True)
class Bento:
    """One that is served.

    Attributes:
        process: BentoML's supervisor, whose children are the workers.
        http: where HTTP is.
        rpc: where gRPC is.
        log: what all of them said.
        network: what they wanted of the network, if anything.
    """

    process: subprocess.Popen[bytes]
    http: Address
    rpc: Address
    log: Path
    network: Path

    @property
    def workers(self) -> list[psutil.Process]:
        """The processes that answer."""
        children = psutil.Process(self.process.pid).children()
        return [one for one in children if "_bentoml_impl.worker.service" in one.cmdline()]

    def wait(self) -> None:
        """Until it is ready."""
        ends = time.monotonic() + 60
        while time.monotonic() < ends and self.process.poll() is None:
            try:
                if ask(self.http.url, "readyz")[0] == 200:
                    return
            except OSError:
                time.sleep(0.1)
        pytest.fail(f"it is not ready:\n{self.log.read_text()}")


def start(directory: Path, python: Path, folder: Path, **settings: str) -> Bento:
    """Serves what was unpacked, with two workers, knowing no more of this machine than where its own things are."""
    (folder / "home").mkdir()
    http = free_address()
    rpc = free_address((http,))
    environment = {
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "HOME": str(folder / "home"),
        "BENTOML_HOME": str(folder / "home" / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_CONFIG_OPTIONS": "services.keyprint.workers=2",
        "KEYPRINT_INFERENCE_LISTEN": rpc.listen,
        "KEYPRINT_GRACE_SECONDS": "2",
        "NETWORK_NOTES": str(folder / "network"),
        **settings,
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own
            [str(python), "-m", "bentoml", "serve", ".", "--host", http.host, "--port", str(http.port)],
            cwd=directory,
            env=environment,
            stdout=log,
            stderr=log,
        )
    return Bento(process, http, rpc, folder / "log", folder / "network")


def end(bento: Bento) -> None:
    """Kills what is left of it."""
    if bento.process.poll() is None:
        for one in psutil.Process(bento.process.pid).children(recursive=True):
            one.kill()
        bento.process.kill()
    bento.process.wait()


@pytest.fixture(scope="module")
def served(
    unpacked: Path, bare: Path, keyprint_stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bento]:
    bento = start(
        unpacked,
        bare,
        tmp_path_factory.mktemp("served"),
        KEYPRINT_INGEST_ADDRESS=keyprint_stack.addresses["ingest"].listen,
    )
    try:
        bento.wait()
        yield bento
    finally:
        end(bento)


@pytest.fixture(scope="module")
def typed(keyprint_stack: Stack) -> Attempts:
    """The attempts of the test document, the last keys of one of them missing."""
    attempts: Attempts = json.loads((keyprint_stack.files / "test.json").read_text())["attempts"]
    return [*attempts[:12], attempts[12][:-2]]


def even(phrase: str) -> list[dict[str, str]]:
    """An attempt that no hands typed."""
    return [
        {
            "typed_at": f"2024-01-01T00:00:{number * 0.2:09.6f}",
            "released_at": f"2024-01-01T00:00:{number * 0.2 + 0.1:09.6f}",
            "character": key,
        }
        for number, key in enumerate(phrase)
    ]


def ask(url: str, path: str, content: bytes | None = None) -> tuple[int, str, Any]:
    """Status, type and, where it is JSON, body."""
    request = urllib.request.Request(  # noqa: S310 - our own
        f"{url.rstrip('/')}/{path}", content, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
            status, kind, text = answer.status, answer.headers.get_content_type(), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, kind, text = error.code, error.headers.get_content_type(), error.read()
    return status, kind, json.loads(text) if "json" in kind else text


def on_both(bento: Bento, stack: Stack, call: str, body: Json) -> list[tuple[int, str, Any]]:
    """What the gateway and what the Bento say."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return [ask(url, f"v1/models/{call}", content) for url in (stack.gateway_url, bento.http.url)]


def test_nothing_of_ours_is_installed_where_it_is_served(
    served: Bento, unpacked: Path, bare: Path, tmp_path: Path
) -> None:
    for name in ("keyprint", "services", "inference", "gateway", "sklearn", "tensorflow"):
        tried = subprocess.run(  # noqa: S603 - our own
            [str(bare), "-c", f"import {name}"],
            cwd=tmp_path,
            env={"NETWORK_NOTES": str(tmp_path / "network")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert f"No module named '{name}'" in tried.stderr
    assert [Path(worker.cmdline()[0]) for worker in served.workers] == [bare, bare]
    # What they imported was compiled where it lies.
    for package in ("keyprint", "inference", "services/inference"):
        assert list((unpacked / "src" / package / "__pycache__").glob("*.pyc"))


def test_one_attempt_is_identified_as_the_gateway_does(served: Bento, keyprint_stack: Stack, typed: Attempts) -> None:
    for number, attempt in enumerate(typed):
        body = {"attempt": attempt, "candidates": 3, "explain": number < 2}
        gateway, bento = on_both(served, keyprint_stack, f"{MODEL}@1:identify", body)
        assert bento == gateway
        assert bento[:2] == (200, "application/json")
    assert (bento[2]["decision"], bento[2]["reason"]) == ("INVALID", "PHRASE_MISMATCH")


def test_the_call_in_the_readme_is_answered(served: Bento, keyprint_stack: Stack) -> None:
    readme = (processes.checkout() / "README.md").read_text()
    found = re.search(r"curl http://127.0.0.1:3000/v1/models/ada:identify --json @../var/typists/(\S+)", readme)
    assert found
    content = (keyprint_stack.files / found[1]).read_bytes()
    status, _, answer = ask(served.http.url, f"v1/models/{MODEL}:identify", content)
    assert status == 200
    assert len(answer["results"]) == len(json.loads(content)["attempts"])
    assert "IDENTIFIED" in {one["decision"] for one in answer["results"]}


def test_many_attempts_are_identified_and_claims_decided_as_the_gateway_does(
    served: Bento, keyprint_stack: Stack, typed: Attempts
) -> None:
    fresh = [_later(attempt, 1) for attempt in typed]
    gateway, bento = on_both(served, keyprint_stack, f"{MODEL}:identify", {"attempts": fresh})
    assert bento == gateway
    assert len(bento[2]["results"]) == len(typed)
    users = {one["user"] for one in bento[2]["results"]} - {""}
    for number, user in enumerate(sorted(users)):
        claim = {"user": user, "attempt": _later(typed[0], 2 + number), "far": 0.2, "explain": True}
        gateway, bento = on_both(served, keyprint_stack, f"{MODEL}:verify", claim)
        assert bento == gateway
        assert bento[0] == 200


def _later(attempt: list[dict[str, str]], number: int) -> list[dict[str, str]]:
    """The same attempt with its last key that many milliseconds later, which makes it no replay."""
    *keys, last = attempt
    late = timedelta(milliseconds=number)
    moved = {name: (datetime.fromisoformat(last[name]) + late).isoformat() for name in ("typed_at", "released_at")}
    return [*keys, {**last, **moved}]


def test_what_is_odd_is_flagged_on_both_surfaces(served: Bento, keyprint_stack: Stack) -> None:
    attempt = even(keyprint_stack.phrase)
    gateway, bento = on_both(served, keyprint_stack, f"{MODEL}:identify", {"attempt": attempt})
    assert bento == gateway
    assert bento[2]["flags"] == ["SYNTHETIC_SUSPECTED"]
    # The model's own package says what it was trained on, so every worker knows it again.
    document = json.loads((keyprint_stack.files / "user_typist00.json").read_text())
    with grpc.insecure_channel(served.rpc.listen) as channel:
        stub = inference_pb2_grpc.InferenceServiceStub(channel)
        seen = [
            stub.Identify(inference_pb2.IdentifyRequest(model=MODEL, attempt=attempt_from_source(one)))
            for one in document["user_data"][:5]
        ]
    assert all(inference_pb2.FLAG_REPLAY_SUSPECTED in one.flags for one in seen if not one.reason)


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("packed:identify", b"{"),
        pytest.param("packed:identify", b" " * (MESSAGE_BYTES + 1), id="a body that is too large"),
        ("packed:identify", {"attempts": [[], [1]]}),
        ("packed:identify", {"attempt": [], "rows": 1}),
        ("packed:identify", {"attempts": [], "explain": True}),
        ("packed:identify", {"attempt": [], "candidates": 1001}),
        ("packed:verify", {"attempt": []}),
        ("packed:verify", {"user": "eve", "attempt": []}),
        ("packed:verify", {"user": "typist00", "attempt": [], "far": 0.9}),
        ("Packed:verify", {"user": "typist00", "attempt": []}),
    ],
)
def test_problems_are_those_of_the_gateway(served: Bento, keyprint_stack: Stack, call: str, body: Json) -> None:
    gateway, bento = on_both(served, keyprint_stack, call, body)
    assert bento == gateway
    assert bento[1] == "application/problem+json"


def test_no_other_model_is_there(served: Bento, keyprint_stack: Stack) -> None:
    for other in ("packed@2", "packed@nobody", "eve"):
        gateway, bento = on_both(served, keyprint_stack, f"{other}:identify", {"attempt": []})
        assert bento[:2] == gateway[:2] == (404, "application/problem+json")
        assert bento[2]["reason"] == gateway[2]["reason"] == "MODEL_NOT_FOUND"
        assert "this Bento holds packed@1 alone" in bento[2]["detail"]


def test_grpc_answers_what_the_inference_service_does(served: Bento, keyprint_stack: Stack, typed: Attempts) -> None:
    attempts = [_later(attempt, 7) for attempt in typed]
    single = inference_pb2.IdentifyRequest(model=MODEL, attempt=attempt_from_source(attempts[0]), explain=True)
    many = IdentifyBody(attempts=attempts[1:]).request(MODEL)
    claim = inference_pb2.VerifyRequest(model=MODEL, user="typist00", attempt=attempt_from_source(_later(typed[0], 8)))
    dataset = _test_dataset(keyprint_stack)
    whole = inference_pb2.PredictDatasetRequest(model=MODEL, dataset=dataset)
    asked: list[list[Message]] = []
    for address in (keyprint_stack.addresses["inference"], served.rpc):
        with grpc.insecure_channel(address.listen) as channel:
            stub = inference_pb2_grpc.InferenceServiceStub(channel)
            assert isinstance(many, inference_pb2.BatchIdentifyRequest)
            asked.append([stub.Identify(single), stub.BatchIdentify(many), stub.Verify(claim)])
            asked[-1].extend(stub.PredictDataset(whole))
    assert asked[0] == asked[1]


def _test_dataset(stack: Stack) -> str:
    with IngestClient(stack.addresses["ingest"].listen) as ingest:
        *_, dataset = ingest.watch_dataset(ingest.create_dataset(stack.test_url).id)
        return dataset.id


def test_the_open_inference_protocol_is_answered_as_by_the_inference_service(
    served: Bento, keyprint_stack: Stack, typed: Attempts
) -> None:
    request = protocol.ModelInferRequest(model_name=MODEL, model_version="1", id="7")
    count, width = len(typed), max(len(attempt) for attempt in typed)
    messages = [attempt_from_source(attempt) for attempt in typed]
    character = request.inputs.add(name="character", datatype="BYTES", shape=[count, width])
    pressed_at = request.inputs.add(name="pressed_at", datatype="INT64", shape=[count, width])
    released_at = request.inputs.add(name="released_at", datatype="INT64", shape=[count, width])
    for message in messages:
        padding = width - len(message.character)
        character.contents.bytes_contents.extend([key.encode() for key in message.character] + [b""] * padding)
        pressed_at.contents.int64_contents.extend([*message.pressed_at, *[-1] * padding])
        released_at.contents.int64_contents.extend([*message.released_at, *[-1] * padding])
    answers: list[list[Message]] = []
    for address in (keyprint_stack.addresses["inference"], served.rpc):
        with grpc.insecure_channel(address.listen) as channel:
            stub = protocol_grpc.GRPCInferenceServiceStub(channel)
            assert stub.ServerReady(protocol.ServerReadyRequest()).ready
            assert stub.ModelReady(protocol.ModelReadyRequest(name=MODEL, version="1")).ready
            described = stub.ModelMetadata(protocol.ModelMetadataRequest(name=MODEL))
            server = stub.ServerMetadata(protocol.ServerMetadataRequest())
            answers.append([stub.ModelInfer(request), described, server])
    assert answers[0] == answers[1]


def test_its_model_stays_loaded(served: Bento) -> None:
    with grpc.insecure_channel(served.rpc.listen) as channel:
        stub = protocol_grpc.GRPCInferenceServiceStub(channel)
        (held,) = stub.RepositoryIndex(protocol.RepositoryIndexRequest()).models
        assert (held.name, held.version, held.state) == (MODEL, "1", "READY")
        with pytest.raises(grpc.RpcError) as refused:
            stub.RepositoryModelUnload(protocol.RepositoryModelUnloadRequest(model_name=MODEL))
        assert from_rpc_error(refused.value).reason == "MODEL_FIXED"


def test_every_worker_answers_grpc(served: Bento, typed: Attempts) -> None:
    request = inference_pb2.IdentifyRequest(model=MODEL, attempt=attempt_from_source(typed[0]))
    # Channels of one process share their connection unless they are told not to.
    channels = [grpc.insecure_channel(served.rpc.listen, [("grpc.use_local_subchannel_pool", 1)]) for _ in range(40)]
    try:
        for channel in channels:
            inference_pb2_grpc.InferenceServiceStub(channel).Identify(request)
        called = [
            sum(one.laddr.port == served.rpc.port and one.status == "ESTABLISHED" for one in worker.net_connections())
            for worker in served.workers
        ]
    finally:
        for channel in channels:
            channel.close()
    # That one of two gets none of 40 connections happens once in 5e11 times.
    assert len(called) == 2
    assert min(called) > 0


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="only Linux has scheduling policies")
def test_the_threads_of_every_worker_that_answer_grpc_let_each_other_finish(served: Bento) -> None:
    for worker in served.workers:
        policies = [os.sched_getscheduler(thread.id) for thread in worker.threads()]
        assert os.SCHED_BATCH in policies


def test_no_network_was_asked_for(served: Bento) -> None:
    assert not served.network.exists(), served.network.read_text()


def test_a_damaged_model_or_a_taken_port_ends_the_start_with_one_sentence(
    served: Bento, unpacked: Path, bare: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(unpacked, damaged)
    graph = damaged / "models" / MODEL / "1" / "model.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    cases = {
        "The package of packed@1 cannot be used: its digest is another. [MODEL_CORRUPT]": (damaged, {}),
        "which is taken or not this machine's; KEYPRINT_INFERENCE_LISTEN names another. [ADDRESS_IN_USE]": (
            unpacked,
            {"KEYPRINT_INFERENCE_LISTEN": served.rpc.listen},
        ),
    }
    for number, (sentence, (directory, settings)) in enumerate(cases.items()):
        (folder := tmp_path / str(number)).mkdir()
        bento = start(directory, bare, folder, **settings)
        try:
            assert bento.process.wait(60) == 2
        finally:
            end(bento)
        said = bento.log.read_text()
        assert said.count("error: ") == 1
        assert sentence in said
        assert "Traceback" not in said


def test_sigterm_ends_every_process_of_it(served: Bento) -> None:
    supervisor = psutil.Process(served.process.pid)
    everybody = [supervisor, *supervisor.children(recursive=True)]
    assert len(everybody) >= 3
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(30) == 0
    _, alive = psutil.wait_procs(everybody, timeout=5)
    assert not alive
    assert served.http.is_free()
    assert served.rpc.is_free()
