"""The Open Inference Protocol, as tritonclient, which nobody here wrote, speaks it with the inference service."""

from __future__ import annotations

import json
import pickle
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pytest
from google.protobuf.descriptor import Descriptor

from inference import open_inference_grpc_pb2
from keyprint.channel import channel as open_channel
from keyprint.client import IngestClient, TrainingClient
from keyprint.source import attempt_from_source
from keyprint.v1 import attempts_pb2, inference_pb2, inference_pb2_grpc, ingest_pb2, training_pb2
from tests.conftest import Stack

pytestmark = pytest.mark.timeout(300)

MODEL = "spoken"
DECISIONS = {name: f"DECISION_{name}" for name in ("IDENTIFIED", "UNKNOWN", "INVALID")}

Array = npt.NDArray[Any]


class Triton(Protocol):
    """A function that runs others by name where tritonclient is."""

    def __call__(self, function: str, /, *given: Any, **named: Any) -> Any:
        """Gives what the function gives."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Triton]:
    """Runs a function of `triton_calls`."""
    command = [sys.executable, str(Path(__file__).with_name("triton_calls.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own
        assert process.stdin
        assert process.stdout
        calls, answers = process.stdin, process.stdout

        def call(function: str, *given: Any, **named: Any) -> Any:
            pickle.dump((function, given, named), calls)
            calls.flush()
            return pickle.load(answers)  # noqa: S301 - our own script wrote it

        yield call
        calls.close()


@pytest.fixture(scope="module")
def address(keyprint_stack: Stack) -> str:
    """Where an inference service is that can pull MODEL, which also goes by @champion."""
    with IngestClient(keyprint_stack.addresses["ingest"].listen) as ingest:
        *_, dataset = ingest.watch_dataset(ingest.create_dataset(keyprint_stack.source_url).id)
    assert dataset.state == ingest_pb2.Dataset.STATE_READY
    with TrainingClient(keyprint_stack.addresses["training"].listen) as training:
        params = {"trees": 20, "depth": 6}
        job = training.create_training_job(dataset.id, "adaboost", MODEL, 0.2, params=params)
        *_, job = training.watch_training_job(job.id)
        assert job.state == training_pb2.TrainingJob.STATE_SUCCEEDED
        training.set_model_alias(f"{MODEL}@1", "champion")
    return keyprint_stack.addresses["inference"].listen


@pytest.fixture
def triton(elsewhere: Triton, address: str) -> Triton:
    """Likewise, of those that call the service."""

    def call(function: str, *given: Any, **named: Any) -> Any:
        return elsewhere(function, address, *given, **named)

    return call


@pytest.fixture(scope="module")
def typed(keyprint_stack: Stack) -> list[attempts_pb2.Attempt]:
    """The attempts of the test document and one that reads otherwise, as messages."""
    document = json.loads((keyprint_stack.files / "test.json").read_text())
    other = attempts_pb2.Attempt(character=["h", "é", "[shift]"], pressed_at=[0, 5, 9], released_at=[3, 7, -1])
    return [*map(attempt_from_source, document["attempts"]), other]


def rows(attempts: list[attempts_pb2.Attempt]) -> dict[str, Array]:
    """Padded to the longest."""
    shape = (len(attempts), max(len(one.character) for one in attempts))
    character = np.full(shape, b"", object)
    pressed_at, released_at = np.full((2, *shape), -1, np.int64)
    for row, one in enumerate(attempts):
        count = len(one.character)
        character[row, :count] = [key.encode() for key in one.character]
        pressed_at[row, :count], released_at[row, :count] = one.pressed_at, one.released_at
    return {"character": character, "pressed_at": pressed_at, "released_at": released_at}


def message(attempts: list[attempts_pb2.Attempt], **changes: dict[str, Any]) -> list[dict[str, Any]]:
    """Typed inputs, some of them changed."""
    arrays = rows(attempts)
    shape = list(arrays["character"].shape)
    inputs = {
        "character": {"datatype": "BYTES", "contents": {"bytes_contents": arrays["character"].ravel().tolist()}},
        "pressed_at": {"datatype": "INT64", "contents": {"int64_contents": arrays["pressed_at"].ravel().tolist()}},
        "released_at": {"datatype": "INT64", "contents": {"int64_contents": arrays["released_at"].ravel().tolist()}},
    }
    return [{"name": name, "shape": shape, **one, **changes.get(name, {})} for name, one in inputs.items()]


def texts(column: Array) -> list[str]:
    return [text.decode() for text in column.tolist()]


def test_the_messages_are_those_that_the_client_has(elsewhere: Triton) -> None:
    theirs = elsewhere("numbers")

    def check(ours: Descriptor) -> None:
        for field in ours.fields:
            assert theirs[ours.full_name][field.name] == (field.number, field.type, field.is_repeated), field.full_name
        for nested in ours.nested_types:
            check(nested)

    for ours in open_inference_grpc_pb2.DESCRIPTOR.message_types_by_name.values():
        check(ours)


def test_the_server_tells_of_itself(triton: Triton) -> None:
    assert triton("ask", "is_server_live") is True
    assert triton("ask", "is_server_ready") is True
    told = triton("ask", "get_server_metadata", as_json=True)
    assert (told["name"], told["extensions"]) == ("keyprint", ["model_repository"])
    assert told["version"]


@pytest.mark.parametrize("version", ["", "1", "champion"])
def test_a_model_is_ready_and_tells_its_tensors(triton: Triton, version: str) -> None:
    assert triton("ask", "is_model_ready", MODEL, version) is True
    told = triton("ask", "get_model_metadata", MODEL, version, as_json=True)
    assert (told["name"], told["versions"]) == (MODEL, ["1"])
    assert {one["name"]: (one["datatype"], one["shape"]) for one in told["inputs"]} == {
        "character": ("BYTES", ["-1", "-1"]),
        "pressed_at": ("INT64", ["-1", "-1"]),
        "released_at": ("INT64", ["-1", "-1"]),
    }
    assert {one["name"]: (one["datatype"], one["shape"]) for one in told["outputs"]} == {
        "user": ("BYTES", ["-1"]),
        "probability": ("FP64", ["-1"]),
        "decision": ("BYTES", ["-1"]),
        "reason": ("BYTES", ["-1"]),
    }


def test_a_model_that_is_not_there_is_not_ready(triton: Triton) -> None:
    assert triton("ask", "is_model_ready", "nobody") is False
    assert triton("ask", "is_model_ready", MODEL, "2") is False
    assert triton("ask", "get_model_metadata", "nobody").status == "StatusCode.NOT_FOUND"


@pytest.mark.parametrize("count", [1, None], ids=["one", "many"])
def test_attempts_are_answered_as_by_keyprints_own_call(
    triton: Triton, address: str, typed: list[attempts_pb2.Attempt], count: int | None
) -> None:
    sent = typed[:count]
    request = inference_pb2.BatchIdentifyRequest(model=MODEL)
    for attempt in sent:
        request.length.append(len(attempt.character))
        request.character.extend(attempt.character)
        request.pressed_at.extend(attempt.pressed_at)
        request.released_at.extend(attempt.released_at)
    with open_channel(address) as channel:
        expected = inference_pb2_grpc.InferenceServiceStub(channel).BatchIdentify(request)
    found = triton("infer", MODEL, rows(sent), request_id="mine")
    assert (found.model, found.version, found.id, found.raw) == (MODEL, "1", "mine", True)
    assert found.names == ("user", "probability", "decision", "reason")
    assert texts(found.columns["user"]) == list(expected.user)
    assert found.columns["probability"].tolist() == pytest.approx(list(expected.probability))
    assert texts(found.columns["reason"]) == list(expected.reason)
    decisions = [DECISIONS[one] for one in texts(found.columns["decision"])]
    assert decisions == [inference_pb2.Decision.Name(one) for one in expected.decision]


def test_an_attempt_that_is_not_valid_is_a_row(triton: Triton, typed: list[attempts_pb2.Attempt]) -> None:
    unreadable = rows(typed[-2:])
    unreadable["character"][0, 0] = b"\xff"
    found = triton("infer", MODEL, unreadable)
    assert texts(found.columns["reason"]) == ["MALFORMED", "PHRASE_MISMATCH"]
    assert texts(found.columns["decision"]) == ["INVALID", "INVALID"]
    assert texts(found.columns["user"]) == ["", ""]


def test_typed_contents_are_answered_as_typed_contents(triton: Triton, typed: list[attempts_pb2.Attempt]) -> None:
    raw = triton("infer", MODEL, rows(typed)).columns
    answer = triton("send", "ModelInfer", model_name=MODEL, inputs=message(typed))
    assert answer.raw == []
    assert answer.outputs["user"] == [raw["user"].tolist()]
    assert answer.outputs["probability"] == [pytest.approx(raw["probability"].tolist())]
    assert answer.outputs["decision"] == [raw["decision"].tolist()]
    assert answer.outputs["reason"] == [raw["reason"].tolist()]


def test_only_the_outputs_asked_for_come_and_in_their_order(triton: Triton, typed: list[attempts_pb2.Attempt]) -> None:
    found = triton("infer", MODEL, rows(typed[:1]), outputs=["decision", "user"])
    assert found.names == ("decision", "user")


@pytest.mark.parametrize(
    ("model", "version"), [(MODEL, "1"), (f"{MODEL}@1", ""), (f"{MODEL}@champion", ""), (MODEL, "champion")]
)
def test_versions_and_aliases_are_names_too(
    triton: Triton, typed: list[attempts_pb2.Attempt], model: str, version: str
) -> None:
    found = triton("infer", model, rows(typed[:1]), version)
    assert (found.model, found.version) == (MODEL, "1")


def test_release_times_may_be_left_out_of_the_request(triton: Triton, typed: list[attempts_pb2.Attempt]) -> None:
    inputs = rows(typed[:1])
    del inputs["released_at"]
    # This model was trained with them, and says so; the request itself is well formed.
    refused = triton("infer", MODEL, inputs)
    assert refused.status == "StatusCode.FAILED_PRECONDITION"
    assert "was trained with release times" in refused.message


def test_the_client_tells_what_is_wrong(triton: Triton, typed: list[attempts_pb2.Attempt]) -> None:
    good = rows(typed[:2])
    flat = {name: array.ravel() for name, array in good.items()}
    narrow = good | {"pressed_at": good["pressed_at"].astype(np.int32)}
    uneven = good | {"pressed_at": good["pressed_at"][:, 1:].copy()}
    lacking = {"character": good["character"]}
    wrong = "StatusCode.INVALID_ARGUMENT"
    cases: list[tuple[tuple[str, dict[str, Array]], str, str]] = [
        (("nobody", good), "StatusCode.NOT_FOUND", "nobody"),
        ((MODEL, flat), wrong, "character must have the shape [attempts, keystrokes], not"),
        ((MODEL, narrow), wrong, "pressed_at must be INT64[n, n], not 'INT32'."),
        ((MODEL, uneven), wrong, "all inputs must have the same."),
        ((MODEL, lacking), wrong, "The input pressed_at must be there, as INT64[n, n]."),
        ((MODEL, good | {"weight": good["pressed_at"]}), wrong, "'weight' is none of the inputs"),
    ]
    for given, status, text in cases:
        refused = triton("infer", *given)
        assert refused.status == status
        assert text in refused.message
    assert triton("infer", MODEL, good, "2").status == "StatusCode.NOT_FOUND"
    assert triton("infer", MODEL, good, outputs=["users"]).status == wrong


def test_every_refusal_has_its_reason_and_field(triton: Triton, typed: list[attempts_pb2.Attempt]) -> None:
    good = message(typed[:1])
    count = len(typed[0].character)
    short = {"contents": {"int64_contents": [0]}}
    elsewhere = {"contents": {"uint64_contents": [0] * count}}
    raw = [b"", struct.pack("<q", 0) * count, struct.pack("<q", 0) * count]
    bare = [{key: value for key, value in one.items() if key != "contents"} for one in good]
    whole = b"".join(struct.pack("<I", 1) + b"x" for _ in range(count))
    region = {"parameters": {"shared_memory_region": {"string_param": "a"}}}
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"inputs": good[1:]}, "TENSOR_MISSING", "character"),
        ({"inputs": [*good, good[0]]}, "TENSOR_REPEATED", "character"),
        ({"inputs": [*good, {"name": "x" * 100_000}]}, "TENSOR_UNKNOWN", "inputs"),
        ({"inputs": good, "outputs": [{"name": "users"}]}, "TENSOR_UNKNOWN", "outputs"),
        ({"inputs": good, "outputs": [{"name": "user"}] * 2}, "TENSOR_REPEATED", "user"),
        ({"inputs": message(typed[:1], character={"datatype": "STRING"})}, "DATATYPE_INVALID", "character"),
        ({"inputs": message(typed[:1], pressed_at={"shape": [-1, count]})}, "SHAPE_INVALID", "pressed_at"),
        ({"inputs": message(typed[:1], pressed_at={"shape": [count, 1]})}, "SHAPE_INVALID", "pressed_at"),
        ({"inputs": message(typed[:1], character={"shape": [16_385, 1]})}, "BATCH_INVALID", "character"),
        ({"inputs": message(typed[:1], released_at=short)}, "CONTENTS_INVALID", "released_at"),
        ({"inputs": message(typed[:1], pressed_at=elsewhere)}, "CONTENTS_INVALID", "pressed_at"),
        ({"inputs": message(typed[:1], pressed_at=region)}, "PARAMETER_UNSUPPORTED", "pressed_at"),
        ({"inputs": good, "raw_input_contents": [whole, *raw[1:]]}, "CONTENTS_INVALID", "character"),
        ({"inputs": bare, "raw_input_contents": raw}, "CONTENTS_INVALID", "character"),
        ({"inputs": bare, "raw_input_contents": [whole[:-1], *raw[1:]]}, "CONTENTS_INVALID", "character"),
        ({"inputs": bare, "raw_input_contents": [whole, raw[1][1:], raw[2]]}, "CONTENTS_INVALID", "pressed_at"),
        ({"inputs": bare, "raw_input_contents": raw[1:]}, "CONTENTS_INVALID", "raw_input_contents"),
    ]
    for fields, reason, field in cases:
        refused = triton("send", "ModelInfer", model_name=MODEL, **fields)
        assert (refused.status, refused.reason, refused.field) == ("StatusCode.INVALID_ARGUMENT", reason, field)
        assert refused.message.endswith(".")
    refused = triton("send", "ModelInfer", model_name="nobody", inputs=good)
    assert (refused.status, refused.reason) == ("StatusCode.NOT_FOUND", "MODEL_NOT_FOUND")
    refused = triton("send", "RepositoryIndex", repository_name="other")
    assert (refused.status, refused.reason) == ("StatusCode.NOT_FOUND", "REPOSITORY_NOT_FOUND")


def test_models_are_listed_loaded_and_unloaded(triton: Triton, typed: list[attempts_pb2.Attempt]) -> None:
    def state() -> str:
        listed = triton("ask", "get_model_repository_index", as_json=True)["models"]
        (found,) = (one["state"] for one in listed if (one["name"], one["version"]) == (MODEL, "1"))
        assert isinstance(found, str)
        return found

    assert triton("ask", "load_model", MODEL) is None
    assert state() == "READY"
    assert triton("ask", "unload_model", MODEL) is None
    assert state() == "UNAVAILABLE"
    assert triton("infer", MODEL, rows(typed[:1])).version == "1"
    assert state() == "READY"
    assert triton("ask", "load_model", "nobody").status == "StatusCode.NOT_FOUND"
    assert triton("ask", "unload_model", "nobody").status == "StatusCode.NOT_FOUND"
    assert triton("ask", "load_model", MODEL, config="{}").status == "StatusCode.INVALID_ARGUMENT"
