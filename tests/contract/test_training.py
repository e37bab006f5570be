"""The training service as a process, with a real ingest before it."""

from __future__ import annotations

import io
import platform
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from keyprint import errors, package
from keyprint.channel import channel as open_channel
from keyprint.v1 import attempts_pb2, ingest_pb2, ingest_pb2_grpc, training_pb2, training_pb2_grpc
from tests.conftest import Stack

pytestmark = pytest.mark.timeout(300)

QUICK = {"adaboost": {"trees": 100, "depth": 4}, "lstm": {"epochs": 15, "units": 16}}


@pytest.fixture(scope="module")
def ingest(keyprint_stack: Stack) -> Iterator[ingest_pb2_grpc.IngestServiceStub]:
    with open_channel(keyprint_stack.addresses["ingest"].listen) as channel:
        yield ingest_pb2_grpc.IngestServiceStub(channel)


@pytest.fixture(scope="module")
def training(keyprint_stack: Stack) -> Iterator[training_pb2_grpc.TrainingServiceStub]:
    with open_channel(keyprint_stack.addresses["training"].listen) as channel:
        yield training_pb2_grpc.TrainingServiceStub(channel)


@pytest.fixture(scope="module")
def dataset(keyprint_stack: Stack, ingest: ingest_pb2_grpc.IngestServiceStub) -> str:
    return imported(ingest, keyprint_stack.source_url)


def imported(ingest: ingest_pb2_grpc.IngestServiceStub, url: str, **more: Any) -> str:
    made = ingest.CreateDataset(ingest_pb2.CreateDatasetRequest(url=url, **more))
    *_, last = ingest.WatchDataset(ingest_pb2.WatchDatasetRequest(dataset=made.id))
    assert last.state == ingest_pb2.Dataset.STATE_READY
    return last.id


def asking(dataset: str, model: str, learner: str = "adaboost", **more: Any) -> training_pb2.CreateTrainingJobRequest:
    params = more.pop("params", QUICK.get(learner, {}))
    asked = training_pb2.CreateTrainingJobRequest(
        **{"dataset": dataset, "learner": learner, "model": model, "holdout": 0.2, **more}
    )
    asked.params.update(params)
    return asked


def watch(training: training_pb2_grpc.TrainingServiceStub, job: str) -> list[training_pb2.TrainingJob]:
    return list(training.WatchTrainingJob(training_pb2.WatchTrainingJobRequest(job=job)))


def refusal(call: Any, message: Any) -> errors.KeyprintError:
    def listen() -> None:
        answer: Any = call(message)
        if hasattr(answer, "__iter__"):
            list(answer)  # a stream, which is refused when it is read

    with pytest.raises(grpc.RpcError) as caught:
        listen()
    return errors.from_rpc_error(caught.value)


def download(training: training_pb2_grpc.TrainingServiceStub, model: str, directory: Path) -> training_pb2.Model:
    """Downloads a model and unpacks it into a directory."""
    first, *rest = training.DownloadModel(training_pb2.DownloadModelRequest(model=model))
    content = b"".join(piece.content for piece in rest)
    assert first.header.size == len(content)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(directory, filter="data")
    return first.header.model


@pytest.fixture(scope="module", params=["adaboost", "lstm"])
def seen(
    request: pytest.FixtureRequest, training: training_pb2_grpc.TrainingServiceStub, dataset: str
) -> list[training_pb2.TrainingJob]:
    """A job as it went, from its creation to its end."""
    learner = request.param
    job = training.CreateTrainingJob(asking(dataset, f"contract-{learner}", learner))
    return [job, *watch(training, job.id)]


def model_of(training: training_pb2_grpc.TrainingServiceStub, job: training_pb2.TrainingJob) -> training_pb2.Model:
    return training.GetModel(training_pb2.GetModelRequest(model=f"{job.model}@{job.version}"))


def test_a_job_starts_moves_on_and_succeeds(seen: list[training_pb2.TrainingJob]) -> None:
    first, last = seen[0], seen[-1]
    assert first.state == training_pb2.TrainingJob.STATE_PENDING
    assert last.state == training_pb2.TrainingJob.STATE_SUCCEEDED, last.error
    assert {job.state for job in seen} <= {first.state, training_pb2.TrainingJob.STATE_RUNNING, last.state}
    shares = [job.progress for job in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert last.started_at.ToDatetime() <= last.finished_at.ToDatetime()
    assert [point.step for point in last.curve] == list(range(1, len(last.curve) + 1))


def test_its_model_says_everything_about_itself(
    training: training_pb2_grpc.TrainingServiceStub,
    ingest: ingest_pb2_grpc.IngestServiceStub,
    seen: list[training_pb2.TrainingJob],
    dataset: str,
) -> None:
    model = model_of(training, seen[-1])
    assert (model.version, model.dataset, len(model.users)) == (1, dataset, 4)
    assert model.feature_set.name == "timing"
    assert len(model.digest) == 64
    assert model.fit_seconds > 0
    learners = training.ListLearners(training_pb2.ListLearnersRequest()).learners
    (learner,) = [one for one in learners if one.name == model.learner]
    assert model.params.fields.keys() == {one.name for one in learner.parameters}
    assert model.fingerprint == ingest.GetDataset(ingest_pb2.GetDatasetRequest(dataset=dataset)).fingerprint
    assert (model.holdout, model.split, model.seed) == (0.2, attempts_pb2.SPLIT_LATE, 0)
    assert model.curve == seen[-1].curve
    assert set(model.libraries) >= {"keyprint", "numpy", "onnxruntime", "python", "scikit-learn", "scipy"}
    assert model.libraries["python"] == platform.python_version()
    files = {one.name: one.size for one in model.files}
    assert files.keys() > package.FILES
    assert len(files) == len(package.FILES) + 1
    assert model.size_kib == sum(files.values()) // 1024
    assert model.temperature > 0
    assert model.impostors == 0
    rates = [one.false_accept_rate for one in model.decision.thresholds]
    assert model.decision.default_false_accept_rate in rates
    assert rates == sorted(rates)
    evaluation = model.evaluation
    assert 0.5 < evaluation.accuracy <= 1.0
    assert evaluation.accuracy_low <= evaluation.accuracy <= evaluation.accuracy_high
    assert sum(evaluation.confusion.count) == evaluation.attempts == sum(user.support for user in evaluation.users)
    assert model.training_attempts + evaluation.attempts <= 120


def test_it_downloads_as_bentoml_exports_it_and_its_digest_is_right(
    training: training_pb2_grpc.TrainingServiceStub, seen: list[training_pb2.TrainingJob], tmp_path: Path
) -> None:
    job = seen[-1]
    model = download(training, job.model, tmp_path)
    assert package.digest(tmp_path) == model.digest == model_of(training, job).digest
    made = package.read(tmp_path)
    assert list(made.labels) == list(model.users)
    assert len(made.trained_ids) == model.training_attempts
    assert (tmp_path / package.GRAPH).exists()
    sources = [path for path in tmp_path.rglob("*") if path.suffix in (".keras", ".skops")]
    assert len(sources) == 1


def test_every_model_is_compared_on_the_same_holdout(
    training: training_pb2_grpc.TrainingServiceStub, seen: list[training_pb2.TrainingJob], dataset: str
) -> None:
    asked = training_pb2.CompareModelsRequest(dataset=dataset, holdout=0.2)
    comparison = training.CompareModels(asked)
    row = next(row for row in comparison.rows if row.name == seen[-1].model)
    own = model_of(training, seen[-1]).evaluation
    assert row.seen_attempts == 0
    assert row.evaluation.attempts == comparison.attempts == own.attempts
    assert row.evaluation.accuracy == pytest.approx(own.accuracy)
    assert row.evaluation.macro_f1 == pytest.approx(own.macro_f1)
    assert not comparison.rows[0].HasField("p_value")
    assert training.CompareModels(asked) == comparison
    assert not row.evaluation.users
    assert not row.evaluation.HasField("confusion")
    whole = training.EvaluateModel(
        training_pb2.EvaluateModelRequest(model=seen[-1].model, dataset=dataset, holdout=0.2)
    )
    assert [user.user for user in whole.evaluation.users] == [user.user for user in own.users]
    assert whole.evaluation.confusion == own.confusion
    assert whole.evaluation.accuracy == row.evaluation.accuracy


def test_a_comparison_on_what_a_model_has_seen_says_so(
    training: training_pb2_grpc.TrainingServiceStub, seen: list[training_pb2.TrainingJob], dataset: str
) -> None:
    comparison = training.CompareModels(training_pb2.CompareModelsRequest(dataset=dataset, holdout=0.5))
    row = next(row for row in comparison.rows if row.name == seen[-1].model)
    assert 0 < row.seen_attempts < comparison.attempts


def test_a_model_that_saw_any_of_the_holdout_is_marked_and_ranks_below_every_one_that_did_not(
    training: training_pb2_grpc.TrainingServiceStub, dataset: str
) -> None:
    # One has seen most of what both are judged by, and the other is a single cut that has seen none of it.
    wanted: dict[str, dict[str, Any]] = {
        "saw-most": {"holdout": 0.1},
        "saw-none": {"holdout": 0.6, "params": {"trees": 1, "depth": 1}},
    }
    for name, more in wanted.items():
        *_, job = watch(training, training.CreateTrainingJob(asking(dataset, name, **more)).id)
        assert job.state == training_pb2.TrainingJob.STATE_SUCCEEDED, job.error
    rows = training.CompareModels(training_pb2.CompareModelsRequest(dataset=dataset, holdout=0.6)).rows
    by_name = {row.name: row for row in rows}
    saw, saw_none = by_name["saw-most"], by_name["saw-none"]
    assert (saw_none.seen_attempts, saw.seen_attempts > 0) == (0, True)
    assert saw.evaluation.accuracy > saw_none.evaluation.accuracy
    assert rows[0].seen_attempts == 0
    marked = [row.seen_attempts > 0 for row in rows if row.HasField("evaluation")]
    assert marked == sorted(marked)
    assert saw.HasField("p_value")
    for name in wanted:
        training.DeleteModel(training_pb2.DeleteModelRequest(model=name))


def test_a_model_that_cannot_be_compared_is_listed_last_with_its_reason(
    training: training_pb2_grpc.TrainingServiceStub,
    ingest: ingest_pb2_grpc.IngestServiceStub,
    seen: list[training_pb2.TrainingJob],
    keyprint_stack: Stack,
) -> None:
    from keyprint import simulate

    folder = keyprint_stack.files / "other"
    first, *_ = simulate.write(folder, 2, 25, "another phrase")
    url = f"{keyprint_stack.files_url}/other/{first.name}"
    other = imported(ingest, url, phrase="another phrase")
    comparison = training.CompareModels(training_pb2.CompareModelsRequest(dataset=other, holdout=0.2))
    row = next(row for row in comparison.rows if row.name == seen[-1].model)
    assert row.error.reason == "OTHER_PHRASE"
    assert not row.HasField("evaluation")


def test_a_taken_name_is_refused_and_its_next_version_is_not(
    training: training_pb2_grpc.TrainingServiceStub, dataset: str
) -> None:
    for version in (1, 2):
        job = training.CreateTrainingJob(asking(dataset, "versions", new_version=version > 1))
        assert watch(training, job.id)[-1].state == training_pb2.TrainingJob.STATE_SUCCEEDED
        assert job.version == version
    error = refusal(training.CreateTrainingJob, asking(dataset, "versions"))
    assert isinstance(error, errors.AlreadyExists)
    assert (error.reason, error.field) == ("MODEL_NAME_TAKEN", "model")
    assert training.GetModel(training_pb2.GetModelRequest(model="versions")).version == 2
    training.SetModelAlias(training_pb2.SetModelAliasRequest(model="versions@1", alias="live"))
    assert list(training.GetModel(training_pb2.GetModelRequest(model="versions@live")).aliases) == ["live"]
    training.DeleteModel(training_pb2.DeleteModelRequest(model="versions"))
    missing = refusal(training.GetModel, training_pb2.GetModelRequest(model="versions@1"))
    assert (missing.reason, missing.field) == ("MODEL_NOT_FOUND", "model")


@pytest.mark.parametrize(("learner", "params"), [("adaboost", {"trees": 8}), ("lstm", {"epochs": 2, "units": 4})])
def test_the_same_seed_trains_the_same_model(
    training: training_pb2_grpc.TrainingServiceStub, dataset: str, learner: str, params: dict[str, float]
) -> None:
    made = []
    for _ in range(2):
        asked = asking(dataset, f"seeded-{learner}", learner, params=params, new_version=True, seed=5)
        *_, job = watch(training, training.CreateTrainingJob(asked).id)
        model = model_of(training, job)
        assert list(model.curve) == list(job.curve)
        made.append((model.evaluation, list(job.curve)))
    assert made[0] == made[1]


def test_of_callers_at_once_one_gets_a_new_name(training: training_pb2_grpc.TrainingServiceStub, dataset: str) -> None:
    def ask(_: int) -> training_pb2.TrainingJob | errors.KeyprintError:
        try:
            return training.CreateTrainingJob(asking(dataset, "wanted"))
        except grpc.RpcError as error:
            return errors.from_rpc_error(error)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    (job,) = [one for one in answers if isinstance(one, training_pb2.TrainingJob)]
    refused = [one for one in answers if isinstance(one, errors.AlreadyExists)]
    assert {one.reason for one in refused} == {"MODEL_NAME_TAKEN"}
    assert len(refused) == 7
    assert watch(training, job.id)[-1].state == training_pb2.TrainingJob.STATE_SUCCEEDED
    assert training.GetModel(training_pb2.GetModelRequest(model="wanted")).version == 1


def test_a_running_job_is_cancelled_for_real_and_frees_its_name(
    training: training_pb2_grpc.TrainingServiceStub, dataset: str
) -> None:
    slow = {"trees": 1000, "depth": 20}
    job = training.CreateTrainingJob(asking(dataset, "stopped", params=slow))
    stream = training.WatchTrainingJob(training_pb2.WatchTrainingJobRequest(job=job.id))
    for seen in stream:
        if seen.stage == "fitting" and seen.curve:
            break
    began = time.monotonic()
    training.CancelTrainingJob(training_pb2.CancelTrainingJobRequest(job=job.id))
    *_, last = stream
    assert last.state == training_pb2.TrainingJob.STATE_CANCELLED
    assert time.monotonic() - began < 30
    error = refusal(training.GetModel, training_pb2.GetModelRequest(model="stopped"))
    assert error.reason == "MODEL_NOT_FOUND"
    again = training.CreateTrainingJob(asking(dataset, "stopped"))
    assert watch(training, again.id)[-1].state == training_pb2.TrainingJob.STATE_SUCCEEDED


@pytest.mark.parametrize(
    ("changes", "kind", "reason", "field"),
    [
        ({"dataset": "ds_0"}, errors.NotFound, "DATASET_NOT_FOUND", "dataset"),
        ({"learner": "oracle"}, errors.InvalidArgument, "LEARNER_NOT_FOUND", "learner"),
        ({"model": ""}, errors.InvalidArgument, "MODEL_NAME_INVALID", "model"),
        ({"model": "a/b"}, errors.InvalidArgument, "MODEL_NAME_INVALID", "model"),
        ({"holdout": 0.0}, errors.InvalidArgument, "HOLDOUT_OUT_OF_RANGE", "holdout"),
        ({"holdout": 1.0}, errors.InvalidArgument, "HOLDOUT_OUT_OF_RANGE", "holdout"),
        ({"params": {"nope": 1}}, errors.InvalidArgument, "PARAMETER_INVALID", "params.nope"),
        ({"holdout": 0.999}, errors.FailedPrecondition, "NOT_ENOUGH_ATTEMPTS", "holdout"),
    ],
)
def test_what_is_wrong_is_refused_and_leaves_nothing(
    training: training_pb2_grpc.TrainingServiceStub,
    dataset: str,
    changes: dict[str, Any],
    kind: type[errors.KeyprintError],
    reason: str,
    field: str,
) -> None:
    before = training.ListTrainingJobs(training_pb2.ListTrainingJobsRequest())
    error = refusal(training.CreateTrainingJob, asking(**{"dataset": dataset, "model": "wrong", **changes}))
    assert type(error) is kind
    assert (error.reason, error.field) == (reason, field)
    assert training.ListTrainingJobs(training_pb2.ListTrainingJobsRequest()) == before


def test_unlabelled_data_cannot_be_trained_on_or_compared_on(
    training: training_pb2_grpc.TrainingServiceStub, ingest: ingest_pb2_grpc.IngestServiceStub, keyprint_stack: Stack
) -> None:
    test = imported(ingest, keyprint_stack.test_url)
    for error in (
        refusal(training.CreateTrainingJob, asking(test, "wrong")),
        refusal(training.CompareModels, training_pb2.CompareModelsRequest(dataset=test, holdout=0.2)),
    ):
        assert isinstance(error, errors.FailedPrecondition)
        assert (error.reason, error.field) == ("DATASET_UNLABELLED", "dataset")


def test_a_name_that_nobody_knows_is_not_found(training: training_pb2_grpc.TrainingServiceStub) -> None:
    for call, message, reason in (
        (training.GetTrainingJob, training_pb2.GetTrainingJobRequest(job="job_0"), "JOB_NOT_FOUND"),
        (training.CancelTrainingJob, training_pb2.CancelTrainingJobRequest(job="job_0"), "JOB_NOT_FOUND"),
        (training.WatchTrainingJob, training_pb2.WatchTrainingJobRequest(job="job_0"), "JOB_NOT_FOUND"),
        (training.GetModel, training_pb2.GetModelRequest(model="nobody"), "MODEL_NOT_FOUND"),
        (training.DeleteModel, training_pb2.DeleteModelRequest(model="nobody"), "MODEL_NOT_FOUND"),
        (training.EvaluateModel, training_pb2.EvaluateModelRequest(model="nobody", holdout=0.2), "MODEL_NOT_FOUND"),
        (training.DownloadModel, training_pb2.DownloadModelRequest(model="nobody"), "MODEL_NOT_FOUND"),
    ):
        assert refusal(call, message).reason == reason


def test_learners_and_feature_sets_are_listed_with_their_ranges(
    training: training_pb2_grpc.TrainingServiceStub,
) -> None:
    learners = training.ListLearners(training_pb2.ListLearnersRequest()).learners
    assert [one.name for one in learners][:2] == ["adaboost", "lstm"]
    for one in learners:
        assert one.title
        assert one.description
        assert all(part.minimum <= part.default <= part.maximum and part.description for part in one.parameters)
    sets = training.ListFeatureSets(training_pb2.ListFeatureSetsRequest(phrase="abc")).feature_sets
    assert sets[0].name == "timing"
    assert "log_press_to_press_2" in sets[0].columns


def test_pages_of_jobs_and_models_hold_everything_once(
    training: training_pb2_grpc.TrainingServiceStub, seen: list[training_pb2.TrainingJob]
) -> None:
    found, token = [], ""
    while True:
        page = training.ListModels(training_pb2.ListModelsRequest(page_size=1, page_token=token))
        found += [f"{one.name}@{one.version}" for one in page.models]
        token = page.next_page_token
        if not token:
            break
    assert f"{seen[-1].model}@1" in found
    assert len(set(found)) == len(found)
    error = refusal(training.ListModels, training_pb2.ListModelsRequest(page_token="x"))
    assert error.reason == "PAGE_TOKEN_INVALID"


def test_splits_differ(training: training_pb2_grpc.TrainingServiceStub, dataset: str) -> None:
    random = training_pb2.CompareModelsRequest(dataset=dataset, holdout=0.2, split=attempts_pb2.SPLIT_RANDOM, seed=3)
    assert training.CompareModels(random).split == attempts_pb2.SPLIT_RANDOM
