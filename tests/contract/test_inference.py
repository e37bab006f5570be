"""The inference service as a process, with a real ingest and a real training behind it."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pyarrow as pa
import pytest

from keyprint import errors, simulate
from keyprint.arrow import from_ipc
from keyprint.attempts import DEFAULT_PHRASE
from keyprint.channel import channel as open_channel
from keyprint.client import IngestClient, TrainingClient
from keyprint.predictions import ATTEMPTS, KEYSTROKES
from keyprint.source import attempt_from_source
from keyprint.v1 import attempts_pb2, inference_pb2, inference_pb2_grpc, ingest_pb2, training_pb2
from services.inference.references import MEMORY_SECONDS
from tests.conftest import Stack

pytestmark = pytest.mark.timeout(300)

Kind = inference_pb2.PredictDatasetRequest


@pytest.fixture(scope="module")
def inference(keyprint_stack: Stack) -> Iterator[inference_pb2_grpc.InferenceServiceStub]:
    with open_channel(keyprint_stack.addresses["inference"].listen) as channel:
        yield inference_pb2_grpc.InferenceServiceStub(channel)


def imported(stack: Stack, url: str, phrase: str = "") -> str:
    with IngestClient(stack.addresses["ingest"].listen) as ingest:
        *_, dataset = ingest.watch_dataset(ingest.create_dataset(url, phrase).id)
    assert dataset.state == ingest_pb2.Dataset.STATE_READY
    return dataset.id


@pytest.fixture(scope="module")
def model(keyprint_stack: Stack) -> str:
    dataset = imported(keyprint_stack, keyprint_stack.source_url)
    with TrainingClient(keyprint_stack.addresses["training"].listen) as training:
        job = training.create_training_job(dataset, "adaboost", "answers", 0.2, params={"trees": 60, "depth": 12})
        *_, job = training.watch_training_job(job.id)
    assert job.state == training_pb2.TrainingJob.STATE_SUCCEEDED
    return "answers"


@pytest.fixture(scope="module")
def test_data(keyprint_stack: Stack) -> str:
    return imported(keyprint_stack, keyprint_stack.test_url)


@pytest.fixture(scope="module")
def labels(keyprint_stack: Stack) -> list[str]:
    """Who really typed each attempt of the test document."""
    with (keyprint_stack.files / "test_labels.csv").open(newline="") as file:
        return [row["user"] for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def typed(keyprint_stack: Stack) -> list[attempts_pb2.Attempt]:
    """The attempts of the test document, as messages."""
    document = json.loads((keyprint_stack.files / "test.json").read_text())
    return [attempt_from_source(one) for one in document["attempts"]]


def predict(inference: inference_pb2_grpc.InferenceServiceStub, model: str, dataset: str, **more: Any) -> pa.Table:
    pieces = inference.PredictDataset(Kind(model=model, dataset=dataset, **more))
    return pa.Table.from_batches([from_ipc(piece.ipc) for piece in pieces])


def refusal(call: Any, message: Any) -> errors.KeyprintError:
    def listen() -> None:
        answer: Any = call(message)
        if hasattr(answer, "__iter__"):
            list(answer)  # a stream, which is refused when it is read

    with pytest.raises(grpc.RpcError) as caught:
        listen()
    return errors.from_rpc_error(caught.value)


def test_a_dataset_is_predicted_in_order_and_well_above_chance(
    inference: inference_pb2_grpc.InferenceServiceStub, model: str, test_data: str, labels: list[str]
) -> None:
    table = predict(inference, model, test_data)
    assert table.schema == ATTEMPTS
    rows = table.to_pylist()
    assert [row["attempt"] for row in rows] == list(range(len(labels)))
    valid = [(row, label) for row, label in zip(rows, labels, strict=True) if row["decision"] != "INVALID"]
    assert sum(row["predicted_user"] == label for row, label in valid) > 0.6 * len(valid)
    assert all(row["predicted_user"] and not row["reason"] for row, _ in valid)


def test_one_attempt_at_a_time_gives_the_same_answers(
    inference: inference_pb2_grpc.InferenceServiceStub,
    model: str,
    test_data: str,
    typed: list[attempts_pb2.Attempt],
) -> None:
    rows = predict(inference, model, test_data).to_pylist()
    for attempt, row in zip(typed, rows, strict=True):
        answer = inference.Identify(inference_pb2.IdentifyRequest(model=model, attempt=attempt, candidates=2))
        assert inference_pb2.Decision.Name(answer.decision) == f"DECISION_{row['decision']}"
        assert answer.reason == row["reason"]
        if answer.candidates:
            first, second = answer.candidates
            assert (first.user, second.user) == (row["predicted_user"], row["second_choice"])
            assert first.probability == pytest.approx(row["probability"])
            assert (answer.decision == inference_pb2.DECISION_IDENTIFIED) == (first.probability >= answer.threshold)


def test_many_attempts_at_once_give_the_same_answers(
    inference: inference_pb2_grpc.InferenceServiceStub,
    model: str,
    test_data: str,
    typed: list[attempts_pb2.Attempt],
) -> None:
    request = inference_pb2.BatchIdentifyRequest(model=model)
    for attempt in typed:
        request.length.append(len(attempt.character))
        request.character.extend(attempt.character)
        request.pressed_at.extend(attempt.pressed_at)
        request.released_at.extend(attempt.released_at)
    answer = inference.BatchIdentify(request)
    table = predict(inference, model, test_data)
    assert list(answer.user) == table["predicted_user"].to_pylist()
    assert list(answer.probability) == pytest.approx(table["probability"].to_pylist())
    assert list(answer.reason) == table["reason"].to_pylist()


def test_an_answer_is_explained_on_request_key_by_key(
    inference: inference_pb2_grpc.InferenceServiceStub, model: str, typed: list[attempts_pb2.Attempt]
) -> None:
    explained, for_the_best = 0, 0.0
    for attempt in typed[:8]:
        ask = inference_pb2.IdentifyRequest(model=model, attempt=attempt, explain=True)
        answer = inference.Identify(ask)
        assert answer.HasField("explanation") == (not answer.reason)
        if answer.reason:
            continue
        explained += 1
        said = answer.explanation
        assert said.user == answer.candidates[0].user
        assert "".join(key.character for key in said.keys) == DEFAULT_PHRASE
        for_the_best += sum(key.latency + key.hold for key in said.keys)
        assert any(key.hold for key in said.keys)
        claim = inference_pb2.VerifyRequest(model=model, user=said.user, attempt=attempt, explain=True)
        assert inference.Verify(claim).explanation == said
        ask.explain = claim.explain = False
        assert not inference.Identify(ask).HasField("explanation")
        assert not inference.Verify(claim).HasField("explanation")
    assert explained
    # Not of every attempt, for some answers are weak; but of all together.
    assert for_the_best > 0


def test_a_copy_is_flagged_and_decided_as_it_was(
    inference: inference_pb2_grpc.InferenceServiceStub, keyprint_stack: Stack, model: str, labels: list[str]
) -> None:
    document = json.loads((keyprint_stack.files / "test.json").read_text())
    attempt = attempt_from_source(document["attempts"][0])
    # Slower by a thousandth, so that no other test has asked about it; a whole millisecond at some key.
    begins = attempt.pressed_at[0]
    attempt.pressed_at[:] = [begins + (at - begins) * 1001 // 1000 for at in attempt.pressed_at]
    ask = inference_pb2.IdentifyRequest(model=model, attempt=attempt)
    first, second = inference.Identify(ask), inference.Identify(ask)
    assert (list(first.flags), list(second.flags)) == ([], [inference_pb2.FLAG_REPLAY_SUSPECTED])
    assert second.decision == first.decision
    assert second.candidates == first.candidates
    claim = inference.Verify(inference_pb2.VerifyRequest(model=model, user=labels[0], attempt=attempt))
    assert list(claim.flags) == [inference_pb2.FLAG_REPLAY_SUSPECTED]
    assert claim.accepted == (claim.score >= claim.threshold)


def test_what_the_model_was_trained_on_is_flagged_and_nobody_else_is(
    inference: inference_pb2_grpc.InferenceServiceStub, keyprint_stack: Stack, model: str, test_data: str
) -> None:
    flags = predict(inference, model, test_data)["flags"].to_pylist()
    assert set(flags) == {""}
    trained = predict(inference, model, imported(keyprint_stack, keyprint_stack.source_url)).to_pylist()
    valid = [row["flags"] for row in trained if not row["reason"]]
    # A fifth was held out.
    assert 0.7 < valid.count("REPLAY_SUSPECTED") / len(valid) < 0.9
    assert set(valid) == {"", "REPLAY_SUSPECTED"}


def test_true_claims_score_higher_than_false_ones(
    inference: inference_pb2_grpc.InferenceServiceStub,
    model: str,
    typed: list[attempts_pb2.Attempt],
    labels: list[str],
) -> None:
    users = sorted(set(labels))
    own: list[float] = []
    others: list[float] = []
    for attempt, label in list(zip(typed, labels, strict=True))[:12]:
        for user in users:
            answer = inference.Verify(inference_pb2.VerifyRequest(model=model, user=user, attempt=attempt))
            if not answer.reason:
                (own if user == label else others).append(answer.score)
                assert answer.accepted == (answer.score >= answer.threshold)
    assert sum(own) / len(own) > 2 * sum(others) / len(others)


def test_a_stricter_rate_asks_for_a_higher_score(
    inference: inference_pb2_grpc.InferenceServiceStub, model: str, typed: list[attempts_pb2.Attempt], labels: list[str]
) -> None:
    strict, lax = (
        inference.Verify(inference_pb2.VerifyRequest(model=model, user=labels[0], attempt=typed[0], far=far)).threshold
        for far in (0.05, 0.2)
    )
    assert strict > lax


def test_whoever_asks_who_typed_chooses_the_rate_too(
    inference: inference_pb2_grpc.InferenceServiceStub,
    model: str,
    test_data: str,
    typed: list[attempts_pb2.Attempt],
) -> None:
    (attempt,) = [one for one in typed if len(one.character) == len(DEFAULT_PHRASE)][:1]
    columns = inference_pb2.BatchIdentifyRequest(
        model=model,
        length=[len(attempt.character)],
        character=attempt.character,
        pressed_at=attempt.pressed_at,
        released_at=attempt.released_at,
    )
    unknown: list[int] = []
    for far in (0.05, 0.5):
        one = inference.Identify(inference_pb2.IdentifyRequest(model=model, attempt=attempt, far=far))
        claim = inference_pb2.VerifyRequest(model=model, user=one.candidates[0].user, attempt=attempt, far=far)
        verified = inference.Verify(claim)
        assert (one.threshold, one.far) == (verified.threshold, far)
        # The best candidate is whom it takes the attempt for, exactly when it would believe that they claim it.
        assert (one.decision == inference_pb2.DECISION_IDENTIFIED) == verified.accepted
        columns.far = far
        many = inference.BatchIdentify(columns)
        assert (many.threshold, many.far, list(many.decision)) == (one.threshold, far, [one.decision])
        unknown.append(predict(inference, model, test_data, far=far)["decision"].to_pylist().count("UNKNOWN"))
    assert unknown[0] >= unknown[1]


def test_a_rate_that_the_calibration_cannot_tell_is_refused(
    inference: inference_pb2_grpc.InferenceServiceStub,
    model: str,
    test_data: str,
    typed: list[attempts_pb2.Attempt],
    labels: list[str],
) -> None:
    claim = inference_pb2.VerifyRequest(model=model, user=labels[0], attempt=typed[0])
    # Of so few attempts nothing can be told of one claim in a hundred.
    assert inference.Verify(claim).far > 0.01
    claim.far = 1e-6
    refused = (
        refusal(inference.Verify, claim),
        refusal(inference.Identify, inference_pb2.IdentifyRequest(model=model, attempt=typed[0], far=1e-6)),
        refusal(inference.BatchIdentify, inference_pb2.BatchIdentifyRequest(model=model, far=1e-6)),
        refusal(inference.PredictDataset, Kind(model=model, dataset=test_data, far=1e-6)),
    )
    for told in refused:
        assert (told.reason, told.field) == ("FAR_OUT_OF_RANGE", "far")
        least = float(re.findall(r"must be from (\S+), the smallest that", told.message)[0])
        assert 0.01 < least < 0.05


def test_keystrokes_are_rows_too(
    inference: inference_pb2_grpc.InferenceServiceStub,
    model: str,
    test_data: str,
    typed: list[attempts_pb2.Attempt],
) -> None:
    table = predict(inference, model, test_data, rows=Kind.ROWS_KEYSTROKES)
    assert table.schema == KEYSTROKES
    assert table["character"].to_pylist() == [key for attempt in typed for key in attempt.character]
    assert predict(inference, model, test_data, rows=Kind.ROWS_KEYSTROKES, first_n=50).num_rows == 50


def test_an_invalid_attempt_is_an_answer(inference: inference_pb2_grpc.InferenceServiceStub, model: str) -> None:
    attempt = attempts_pb2.Attempt(character=list("hello"), pressed_at=range(5), released_at=range(1, 6))
    answer = inference.Identify(inference_pb2.IdentifyRequest(model=model, attempt=attempt))
    assert answer.decision == inference_pb2.DECISION_INVALID
    assert answer.reason == "PHRASE_MISMATCH"
    assert list(answer.candidates) == []
    claim = inference.Verify(inference_pb2.VerifyRequest(model=model, user="typist00", attempt=attempt))
    assert (claim.accepted, claim.reason) == (False, "PHRASE_MISMATCH")


def test_what_is_wrong_is_named(
    inference: inference_pb2_grpc.InferenceServiceStub,
    model: str,
    test_data: str,
    typed: list[attempts_pb2.Attempt],
) -> None:
    attempt = typed[0]
    uneven = attempts_pb2.Attempt(character=["a"], pressed_at=[1, 2])
    identify, verify = inference_pb2.IdentifyRequest, inference_pb2.VerifyRequest
    invalid, missing = errors.InvalidArgument, errors.NotFound
    batch = inference_pb2.BatchIdentifyRequest(model=model, length=[2])
    cases: list[tuple[Any, Any, type[errors.KeyprintError], str, str]] = [
        (inference.Identify, identify(model="nobody", attempt=attempt), missing, "MODEL_NOT_FOUND", "model"),
        (inference.Identify, identify(model="a/b", attempt=attempt), invalid, "MODEL_NAME_INVALID", "model"),
        (inference.Identify, identify(model=model, attempt=uneven), invalid, "ATTEMPT_INVALID", "attempt"),
        (inference.Identify, identify(model=model, candidates=1001), invalid, "CANDIDATES_INVALID", "candidates"),
        (inference.Verify, verify(model=model, attempt=attempt, user="eve"), missing, "USER_NOT_FOUND", "user"),
        (inference.Verify, verify(model=model, attempt=attempt, far=0.7), invalid, "FAR_OUT_OF_RANGE", "far"),
        (inference.BatchIdentify, batch, invalid, "BATCH_INVALID", "character"),
        (inference.PredictDataset, Kind(model=model, dataset="ds_0"), missing, "DATASET_NOT_FOUND", "dataset"),
        (inference.PredictDataset, Kind(model="nobody", dataset=test_data), missing, "MODEL_NOT_FOUND", "model"),
    ]
    for call, message, kind, reason, field in cases:
        error = refusal(call, message)
        assert (type(error), error.reason, error.field) == (kind, reason, field)
        assert error.message.endswith(".")


@pytest.mark.parametrize(
    ("phrase", "press_only", "reason"),
    [("other words", False, "OTHER_PHRASE"), (DEFAULT_PHRASE, True, "NO_RELEASE_TIMES")],
)
def test_data_that_the_model_cannot_read_is_a_failed_precondition(
    inference: inference_pb2_grpc.InferenceServiceStub,
    model: str,
    keyprint_stack: Stack,
    phrase: str,
    press_only: bool,
    reason: str,
) -> None:
    folder = keyprint_stack.files / reason.lower()
    first, *_ = simulate.write(folder, 2, 25, phrase, press_only=press_only)
    dataset = imported(keyprint_stack, f"{keyprint_stack.files_url}/{folder.name}/{first.name}", phrase)
    error = refusal(inference.PredictDataset, Kind(model=model, dataset=dataset))
    assert isinstance(error, errors.FailedPrecondition)
    assert (error.reason, error.field) == (reason, "dataset")


def test_a_caller_may_stop_reading_at_any_time(
    inference: inference_pb2_grpc.InferenceServiceStub, model: str, test_data: str
) -> None:
    stream = inference.PredictDataset(Kind(model=model, dataset=test_data))
    next(stream)
    stream.cancel()
    assert predict(inference, model, test_data, first_n=1).num_rows == 1


def test_nothing_that_trains_is_in_the_process() -> None:
    script = (
        "import sys, services.inference.__main__\n"
        "found = {'bentoml', 'keras', 'pandas', 'sklearn', 'tensorflow'} & set(sys.modules)\n"
        "sys.exit(str(found) if found else 0)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)  # noqa: S603 - our own script


def test_a_deleted_model_is_gone_from_answers_and_from_disk(
    inference: inference_pb2_grpc.InferenceServiceStub,
    keyprint_stack: Stack,
    model: str,
    typed: list[attempts_pb2.Attempt],
) -> None:
    with TrainingClient(keyprint_stack.addresses["training"].listen) as training:
        file = io.BytesIO(b"".join(training.download_model(model)))
        for name in ("kept", "going"):
            file.seek(0)
            training.upload_model(file, name)
        ask = inference_pb2.IdentifyRequest(model="going", attempt=typed[0])
        assert inference.Identify(ask).model == "going@1"
        training.delete_model("going")
        time.sleep(MEMORY_SECONDS)
        assert refusal(inference.Identify, ask).reason == "MODEL_NOT_FOUND"
        # The others have the same content; it goes with the last of them.
        packages = keyprint_stack.home / "inference" / "models"
        digest = training.get_model("kept").digest
        assert (packages / digest).exists()
        ask.model = "kept"
        assert inference.Identify(ask).model == "kept@1"
        for name in ("kept", model):
            training.delete_model(name)
        while (packages / digest).exists():
            time.sleep(0.1)
        assert refusal(inference.Identify, ask).reason == "MODEL_NOT_FOUND"
