"""What is wrong is told in the same words on every surface: gRPC, HTTP and the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from keyprint import errors, simulate
from keyprint.client import InferenceClient, IngestClient, TrainingClient
from keyprint.v1 import ingest_pb2, training_pb2
from tests.conftest import Stack

pytestmark = pytest.mark.timeout(300)

KEYPRINT = str(Path(sys.executable).with_name("keyprint"))


@dataclass
class House:
    """The whole house with a dataset, a model on it, and a dataset of another phrase."""

    stack: Stack
    ingest: IngestClient
    training: TrainingClient
    inference: InferenceClient
    http: httpx.Client
    dataset: str
    other: str
    model: str = "bad-input"

    def keyprint(self, *words: str) -> str:
        """What the command line says when it refuses."""
        addresses = {
            f"KEYPRINT_{part.upper()}_ADDRESS": address.listen for part, address in self.stack.addresses.items()
        }
        done = subprocess.run(  # noqa: S603 - our own
            [KEYPRINT, *words], env={**os.environ, **addresses}, capture_output=True, text=True, check=False
        )
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        return done.stderr

    def state(self) -> tuple[list[str], list[str], list[str]]:
        """All datasets, jobs and models."""
        jobs = self.http.get("/v1/training-jobs").json()["jobs"]
        return (
            [one.id for one in self.ingest.list_datasets()],
            [one["id"] for one in jobs],
            [f"{one.name}@{one.version}" for one in self.training.list_models()],
        )


@pytest.fixture(scope="module")
def house(keyprint_stack: Stack) -> Iterator[House]:
    other, *_ = simulate.write(keyprint_stack.files / "other-words", 2, 25, "other words")
    addresses = keyprint_stack.addresses
    with (
        IngestClient(addresses["ingest"].listen) as ingest,
        TrainingClient(addresses["training"].listen) as training,
        InferenceClient(addresses["inference"].listen) as inference,
        httpx.Client(base_url=keyprint_stack.gateway_url, timeout=60) as http,
    ):

        def imported(url: str, phrase: str) -> str:
            *_, dataset = ingest.watch_dataset(ingest.create_dataset(url, phrase).id)
            return dataset.id

        house = House(
            keyprint_stack,
            ingest,
            training,
            inference,
            http,
            imported(keyprint_stack.source_url, ""),
            imported(f"{keyprint_stack.files_url}/other-words/{other.name}", "other words"),
        )
        job = training.create_training_job(
            house.dataset, "adaboost", house.model, 0.2, params={"trees": 5, "depth": 3}, new_version=True
        )
        *_, job = training.watch_training_job(job.id)
        assert job.state == training_pb2.TrainingJob.STATE_SUCCEEDED
        yield house


def same_everywhere(
    house: House,
    kind: type[errors.KeyprintError],
    reason: str,
    field: str,
    call: Callable[[], object],
    answer: httpx.Response,
    words: list[str],
) -> None:
    """Checks one refusal on all three surfaces, and that nothing came of any of them."""
    before = house.state()
    with pytest.raises(kind) as caught:
        call()
    assert (caught.value.reason, caught.value.field) == (reason, field)
    problem = answer.json()
    assert answer.status_code == errors.TABLE[kind].http
    assert (problem["reason"], problem["field"], problem["detail"]) == (reason, field, caught.value.message)
    said = house.keyprint(*words)
    assert caught.value.message in said
    assert f"[{reason}, {field}]" in said
    assert house.state() == before


@pytest.mark.parametrize(
    ("changes", "kind", "reason", "field"),
    [
        ({"holdout": 0.0}, errors.InvalidArgument, "HOLDOUT_OUT_OF_RANGE", "holdout"),
        ({"holdout": 1.0}, errors.InvalidArgument, "HOLDOUT_OUT_OF_RANGE", "holdout"),
        ({"learner": "oracle"}, errors.InvalidArgument, "LEARNER_NOT_FOUND", "learner"),
        ({"dataset": "ds_000000000000"}, errors.NotFound, "DATASET_NOT_FOUND", "dataset"),
        ({"model": ""}, errors.InvalidArgument, "MODEL_NAME_INVALID", "model"),
        ({"model": "../../etc/passwd"}, errors.InvalidArgument, "MODEL_NAME_INVALID", "model"),
        ({"model": "bad-input"}, errors.AlreadyExists, "MODEL_NAME_TAKEN", "model"),
    ],
)
def test_a_job_that_cannot_be(
    house: House, changes: dict[str, Any], kind: type[errors.KeyprintError], reason: str, field: str
) -> None:
    asked = {"dataset": house.dataset, "learner": "adaboost", "model": "fresh", "holdout": 0.2, **changes}
    words = ["train", asked["dataset"], "--learner", asked["learner"], "--model", asked["model"]]
    same_everywhere(
        house,
        kind,
        reason,
        field,
        lambda: house.training.create_training_job(**asked),
        house.http.post("/v1/training-jobs", json=asked),
        [*words, "--holdout", str(asked["holdout"])],
    )


def test_a_holdout_that_is_no_number(house: House) -> None:
    body = {"dataset": house.dataset, "learner": "adaboost", "model": "fresh", "holdout": "abc"}
    problem = house.http.post("/v1/training-jobs", json=body).json()
    assert (problem["reason"], problem["field"]) == ("HOLDOUT_OUT_OF_RANGE", "holdout")
    said = house.keyprint("train", house.dataset, "--learner", "adaboost", "--model", "fresh", "--holdout", "abc")
    assert "[HOLDOUT_OUT_OF_RANGE, holdout]" in said
    problem = house.http.get(f"/v1/comparisons?dataset={house.dataset}&holdout=abc").json()
    assert (problem["reason"], problem["field"]) == ("HOLDOUT_OUT_OF_RANGE", "holdout")


def test_a_model_that_there_is_not(house: House, tmp_path: Path) -> None:
    csv = tmp_path / "out.csv"
    same_everywhere(
        house,
        errors.NotFound,
        "MODEL_NOT_FOUND",
        "model",
        lambda: list(house.inference.predict_dataset("nobody", house.dataset)),
        house.http.get(f"/v1/models/nobody/predictions.csv?dataset={house.dataset}"),
        ["predict", "nobody", house.dataset, "--csv", str(csv)],
    )
    assert list(tmp_path.iterdir()) == []


def test_a_test_set_of_another_phrase(house: House, tmp_path: Path) -> None:
    csv = tmp_path / "out.csv"
    same_everywhere(
        house,
        errors.FailedPrecondition,
        "OTHER_PHRASE",
        "dataset",
        lambda: list(house.inference.predict_dataset(house.model, house.other)),
        house.http.get(f"/v1/models/{house.model}/predictions.csv?dataset={house.other}"),
        ["predict", house.model, house.other, "--csv", str(csv)],
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("url", "reason"), [("", "SOURCES_INVALID"), ("typing.json", "FILE_NOT_FOUND")])
def test_what_is_no_url_may_be_a_file_to_the_command_line(house: House, url: str, reason: str) -> None:
    before = house.state()
    with pytest.raises(errors.InvalidArgument) as caught:
        house.ingest.create_dataset(url)
    assert (caught.value.reason, caught.value.field) == ("URL_INVALID", "url")
    answer = house.http.post("/v1/datasets", json={"url": url})
    assert (answer.status_code, answer.json()["reason"]) == (400, "URL_INVALID")
    assert f"[{reason}, sources]" in house.keyprint("datasets", "create", url)
    assert house.state() == before


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/a.json"])
def test_a_url_that_is_none(house: House, url: str) -> None:
    same_everywhere(
        house,
        errors.InvalidArgument,
        "URL_INVALID",
        "url",
        lambda: house.ingest.create_dataset(url),
        house.http.post("/v1/datasets", json={"url": url}),
        ["datasets", "create", url],
    )


ATTEMPT = [[{"typed_at": "2024-01-01T00:00:00", "character": "x"}]]


@pytest.mark.parametrize(
    ("content", "state", "reason", "field"),
    [
        (None, "FAILED", "DOCUMENT_NOT_FOUND", "url"),
        ("<html>hello</html>", "FAILED", "NOT_JSON", "url"),
        ('{"users": []}', "FAILED", "NOT_A_DOCUMENT", "url"),
        (json.dumps({"user_label": "ann", "user_data": ATTEMPT}), "FAILED", "NO_VALID_ATTEMPTS", "phrase"),
        ("chain", "INCOMPLETE", "CHAIN_LOOP", "url"),
    ],
)
def test_a_source_that_is_wrong_is_told_on_the_dataset(
    house: House, content: str | None, state: str, reason: str, field: str
) -> None:
    name = f"wrong-{reason.lower()}.json"
    file = house.stack.files / name
    if content == "chain":
        source = json.loads((house.stack.files / Path(house.stack.source_url).name).read_text())
        file.write_text(json.dumps(source | {"next": name}))
    elif content is not None:
        file.write_text(content)
    url = f"{house.stack.files_url}/{name}"
    *_, dataset = house.ingest.watch_dataset(house.ingest.create_dataset(url).id)
    assert ingest_pb2.Dataset.State.Name(dataset.state) == f"STATE_{state}"
    assert (dataset.error.reason, dataset.error.field) == (reason, field)
    shown = house.http.get(f"/v1/datasets/{dataset.id}").json()
    assert (shown["state"], shown["error"]["reason"], shown["error"]["field"]) == (state, reason, field)
    assert (dataset.valid_attempts > 0) == (state == "INCOMPLETE")
    if state == "FAILED":
        said = house.keyprint("datasets", "records", dataset.id)
        assert "[DATASET_NOT_READY, dataset]" in said


def test_a_source_that_does_not_answer_is_told_on_the_dataset(house: House) -> None:
    *_, dataset = house.ingest.watch_dataset(house.ingest.create_dataset("http://127.0.0.1:1/user.json").id)
    assert (dataset.error.reason, dataset.error.field) == ("NO_ANSWER", "url")
