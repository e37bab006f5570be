"""The three services as the gateway sees them, over real gRPC, with answers that a test can foresee."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
from google.protobuf.empty_pb2 import Empty

from keyprint import errors, rpc
from keyprint.arrow import to_ipc
from keyprint.names import check_alias, check_model_name, parse_reference
from keyprint.v1 import (
    attempts_pb2,
    inference_pb2,
    inference_pb2_grpc,
    ingest_pb2,
    ingest_pb2_grpc,
    training_pb2,
    training_pb2_grpc,
)

PHRASE = "Be Authentic. Be Yourself. Be Typing."
USERS = ("ada", "grace", "hedy", "katherine", "radia")
STATE = ingest_pb2.Dataset
JOB = training_pb2.TrainingJob


class Ingest(ingest_pb2_grpc.IngestServiceServicer):
    """Imports end after `steps` looks; a URL with "dead" in it finds nothing, one with "half" breaks off."""

    def __init__(self, pause: float = 0.0, steps: int = 3) -> None:
        self.datasets: dict[str, ingest_pb2.Dataset] = {}
        self.uploads: list[ingest_pb2.UploadDatasetRequest] = []
        self._pause = pause
        self._steps = steps

    def CreateDataset(self, request: ingest_pb2.CreateDatasetRequest, context: Any) -> ingest_pb2.Dataset:  # noqa: N802
        if not request.url.startswith(("http://", "https://")):
            raise errors.InvalidArgument("URL_INVALID", f"{request.url!r} is no http or https URL.", "url")
        for dataset in self.datasets.values():
            if dataset.source_url == request.url and dataset.phrase == (request.phrase or PHRASE):
                return dataset
        dataset = ingest_pb2.Dataset(
            id=f"ds_{len(self.datasets):012x}",
            state=STATE.STATE_IMPORTING,
            source_url=request.url,
            phrase=request.phrase or PHRASE,
            min_attempts=request.min_attempts or 20,
            labelled="test" not in request.url,
        )
        dataset.created_at.GetCurrentTime()
        self.datasets[dataset.id] = dataset
        return dataset

    def UploadDataset(  # noqa: N802
        self, request_iterator: Iterator[ingest_pb2.UploadDatasetRequest], context: Any
    ) -> ingest_pb2.Dataset:
        first = next(request_iterator)
        if first.header.base_dataset:
            sentence = f"There is no dataset {first.header.base_dataset!r}."
            raise errors.NotFound("DATASET_NOT_FOUND", sentence, "base_dataset")
        if first.header.phrase == "slow":
            raise errors.TooSlow("LIMIT_EXCEEDED", "The upload is too slow.", "files")
        *pieces, end = request_iterator
        if end.WhichOneof("part") != "end":
            raise errors.Cancelled("UPLOAD_BROKEN_OFF", "The upload broke off before its end.")
        self.uploads = [first, *pieces]
        request = ingest_pb2.CreateDatasetRequest(url="http://upload/1", phrase=self.uploads[0].header.phrase)
        dataset = self.CreateDataset(request, context)
        dataset.source_url = "upload:0123abcd"
        return dataset

    def GetDataset(self, request: Any, context: Any) -> ingest_pb2.Dataset:  # noqa: N802
        if request.dataset not in self.datasets:
            raise errors.NotFound("DATASET_NOT_FOUND", f"There is no dataset {request.dataset!r}.", "dataset")
        return self.datasets[request.dataset]

    def ListDatasets(self, request: ingest_pb2.ListDatasetsRequest, context: Any) -> ingest_pb2.ListDatasetsResponse:  # noqa: N802
        newest = list(self.datasets.values())[::-1]
        return ingest_pb2.ListDatasetsResponse(datasets=newest[: request.page_size or 100])

    def DeleteDataset(self, request: ingest_pb2.DeleteDatasetRequest, context: Any) -> Empty:  # noqa: N802
        del self.datasets[self.GetDataset(request, context).id]
        return Empty()

    def CancelDataset(self, request: ingest_pb2.CancelDatasetRequest, context: Any) -> ingest_pb2.Dataset:  # noqa: N802
        dataset = self.GetDataset(request, context)
        dataset.state = STATE.STATE_CANCELLED
        return dataset

    def WatchDataset(self, request: ingest_pb2.WatchDatasetRequest, context: Any) -> Iterator[ingest_pb2.Dataset]:  # noqa: N802
        dataset = self.GetDataset(request, context)
        for step in range(self._steps):
            if dataset.state != STATE.STATE_IMPORTING:
                break
            dataset.documents, dataset.attempts, dataset.downloaded_kib = step + 1, 125 * (step + 1), 310 * step
            yield dataset
            time.sleep(self._pause)
        if dataset.state == STATE.STATE_IMPORTING:
            _finish(dataset)
        yield dataset

    def ListRecords(self, request: ingest_pb2.ListRecordsRequest, context: Any) -> ingest_pb2.ListRecordsResponse:  # noqa: N802
        self.GetDataset(request, context)
        records = []
        for number in range(request.page_size):
            attempt, index = divmod(number, len(PHRASE))
            record = ingest_pb2.Record(
                attempt=attempt,
                user=USERS[attempt % 5],
                character=PHRASE[index],
                character_index=index,
                year=2019,
                month=6,
                day=30,
                hour=15,
                minute=5,
                second=attempt,
                microsecond=743_893 + index,
                hold_ms=81.25 + index,
                reason="PHRASE_MISMATCH" if attempt == 2 else "",
                erased=index == 5,
            )
            record.typed_at.FromJsonString(f"2019-06-30T15:05:{attempt:02}.{743_893 + index}Z")
            if index:
                record.press_to_press_ms = 143.5
                record.flight_ms = -12.25
            records.append(record)
        return ingest_pb2.ListRecordsResponse(records=records)

    def ListUsers(self, request: ingest_pb2.ListUsersRequest, context: Any) -> ingest_pb2.ListUsersResponse:  # noqa: N802
        self.GetDataset(request, context)
        users = [
            ingest_pb2.UserStatistics(
                user=user,
                attempts=99,
                valid_attempts=75 - number * 14,
                enrolled=number != 4,
                invalid={"PHRASE_MISMATCH": 24 + number * 14},
                warnings={"NEGATIVE_HOLD": number},
            )
            for number, user in enumerate(USERS)
        ]
        first = int(request.page_token or 0)
        last = first + (request.page_size or 100)
        return ingest_pb2.ListUsersResponse(
            users=users[first:last], next_page_token=str(last) if last < len(users) else ""
        )

    def SummarizeDataset(self, request: ingest_pb2.SummarizeDatasetRequest, context: Any) -> ingest_pb2.DatasetSummary:  # noqa: N802
        summary = ingest_pb2.DatasetSummary(dataset=self.GetDataset(request, context).id, keys=list(PHRASE))
        if request.user:
            summary.user.user = request.user
        return summary

    def ReadAttempts(self, request: Any, context: grpc.ServicerContext) -> Iterator[attempts_pb2.RecordBatch]:  # noqa: N802
        raise NotImplementedError("the gateway does not read attempts")


def _finish(dataset: ingest_pb2.Dataset) -> None:
    dataset.finished_at.GetCurrentTime()
    if "dead" in dataset.source_url:
        dataset.state = STATE.STATE_FAILED
        dataset.documents = dataset.attempts = 0
        dataset.error.CopyFrom(attempts_pb2.Error(reason="NO_ANSWER", field="url", message="The URL does not answer."))
        return
    dataset.state = STATE.STATE_READY
    if "half" in dataset.source_url:
        dataset.state = STATE.STATE_INCOMPLETE
        message = "user_4.json was not found (404); the chain ends there."
        dataset.error.CopyFrom(attempts_pb2.Error(reason="DOCUMENT_NOT_FOUND", field="url", message=message))
    dataset.attempts, dataset.valid_attempts, dataset.duplicate_attempts = 495, 375, 2
    dataset.invalid.update({"PHRASE_MISMATCH": 104, "OUT_OF_ORDER": 14, "EMPTY": 2})
    dataset.warnings.update({"NEGATIVE_HOLD": 9})
    dataset.users, dataset.enrolled_users, dataset.release_times = len(USERS), len(USERS) - 1, True
    dataset.fewest_trainable_attempts, dataset.most_trainable_attempts = 33, 75
    dataset.fingerprint = "5f" * 32


class Training(training_pb2_grpc.TrainingServiceServicer):
    """Jobs take `steps` steps of `pause` seconds and end with a model."""

    def __init__(self, pause: float = 0.0, steps: int = 3) -> None:
        self.jobs: dict[str, JOB] = {}
        self.models: list[training_pb2.Model] = []
        self.moves: list[training_pb2.AliasMove] = []
        self.requests: list[training_pb2.CreateTrainingJobRequest] = []
        self._pause = pause
        self._steps = steps
        self._lock = threading.Lock()

    def ListLearners(self, request: Any, context: Any) -> training_pb2.ListLearnersResponse:  # noqa: N802
        parameter = training_pb2.Parameter
        whole, real = parameter.KIND_INTEGER, parameter.KIND_NUMBER
        return training_pb2.ListLearnersResponse(
            learners=[
                training_pb2.Learner(
                    name="adaboost",
                    title="AdaBoost",
                    description="Boosted trees: quick to train, good from few attempts.",
                    parameters=[
                        parameter(
                            name="trees", description="How many.", kind=whole, default=200, minimum=1, maximum=999
                        ),
                        parameter(name="depth", description="Depth.", kind=whole, default=10, minimum=1, maximum=32),
                    ],
                ),
                training_pb2.Learner(
                    name="lstm",
                    title="LSTM",
                    description="A recurrent network: slower, better with many attempts.",
                    parameters=[
                        parameter(name="epochs", description="Passes.", kind=whole, default=40, minimum=1, maximum=500),
                        parameter(name="rate", description="Step.", kind=real, default=0.001, minimum=1e-5, maximum=1),
                    ],
                ),
            ]
        )

    def ListFeatureSets(self, request: Any, context: Any) -> training_pb2.ListFeatureSetsResponse:  # noqa: N802
        timing = training_pb2.FeatureSet(name="timing", version=1, description="Log latencies and hold times.")
        return training_pb2.ListFeatureSetsResponse(feature_sets=[timing])

    def CreateTrainingJob(self, request: training_pb2.CreateTrainingJobRequest, context: Any) -> JOB:  # noqa: N802
        self.requests.append(request)
        check_model_name(request.model)
        if not 0 < request.holdout < 1:
            sentence = f"The hold-out must be a number above 0 and below 1, like 0.2, and not {request.holdout:g}."
            raise errors.InvalidArgument("HOLDOUT_OUT_OF_RANGE", sentence, "holdout")
        if request.learner not in ("adaboost", "lstm"):
            raise errors.InvalidArgument("LEARNER_NOT_FOUND", f"There is no learner {request.learner!r}.", "learner")
        learner = next(one for one in self.ListLearners(None, None).learners if one.name == request.learner)
        for parameter in learner.parameters:
            value = dict(request.params.items()).get(parameter.name, parameter.default)
            if not isinstance(value, float) or not parameter.minimum <= value <= parameter.maximum:
                sentence = f"{parameter.name} must be {parameter.minimum:g} to {parameter.maximum:g}."
                raise errors.InvalidArgument("PARAMETER_INVALID", sentence, f"params.{parameter.name}")
        versions = [model.version for model in self.models if model.name == request.model]
        if versions and not request.new_version:
            sentence = f"There is a model {request.model!r} already; choose another name or ask for a new version."
            raise errors.AlreadyExists("MODEL_NAME_TAKEN", sentence, "model")
        job = JOB(
            id=f"job_{len(self.jobs):012x}",
            state=JOB.STATE_PENDING,
            stage="queued",
            dataset=request.dataset,
            learner=request.learner,
            model=request.model,
            version=max(versions, default=0) + 1,
            holdout=request.holdout,
            split=request.split or attempts_pb2.SPLIT_LATE,
            features=request.features or "timing",
            params=request.params,
            seed=request.seed,
        )
        job.created_at.GetCurrentTime()
        self.jobs[job.id] = job
        return job

    def GetTrainingJob(self, request: Any, context: Any) -> JOB:  # noqa: N802
        if request.job not in self.jobs:
            raise errors.NotFound("JOB_NOT_FOUND", f"There is no training job {request.job!r}.", "job")
        return self.jobs[request.job]

    def ListTrainingJobs(self, request: Any, context: Any) -> training_pb2.ListTrainingJobsResponse:  # noqa: N802
        return training_pb2.ListTrainingJobsResponse(jobs=list(self.jobs.values())[::-1])

    def CancelTrainingJob(self, request: Any, context: Any) -> JOB:  # noqa: N802
        job = self.GetTrainingJob(request, context)
        job.state = JOB.STATE_CANCELLED
        return job

    def WatchTrainingJob(self, request: Any, context: Any) -> Iterator[JOB]:  # noqa: N802
        job = self.GetTrainingJob(request, context)
        if job.state == JOB.STATE_PENDING:
            yield job
            time.sleep(self._pause)
            with self._lock:
                if job.state == JOB.STATE_PENDING:  # and not cancelled meanwhile
                    job.state, job.stage = JOB.STATE_RUNNING, "fitting"
                    job.started_at.GetCurrentTime()
        for step in range(1, self._steps + 1):
            if job.state != JOB.STATE_RUNNING:
                break
            job.progress = step / (self._steps + 1)
            job.message = f"Training has started: step {step} of {self._steps}."
            job.remaining_seconds = self._pause * (self._steps - step)
            job.curve.add(step=step, loss=2.3 / step, accuracy=1 - 0.7 / step)
            yield job
            time.sleep(self._pause)
        with self._lock:
            if job.state == JOB.STATE_RUNNING:
                self._publish(job)
        yield job

    def _publish(self, job: JOB) -> None:
        job.state, job.stage, job.progress = JOB.STATE_SUCCEEDED, "done", 1.0
        job.ClearField("remaining_seconds")
        job.finished_at.GetCurrentTime()
        self.models.insert(
            0,
            training_pb2.Model(
                name=job.model,
                version=job.version,
                learner=job.learner,
                phrase=PHRASE,
                users=USERS,
                dataset=job.dataset,
                holdout=job.holdout,
                split=job.split,
                evaluation=evaluation(0.962),
            ),
        )

    def _find(self, text: str) -> training_pb2.Model:
        wanted = parse_reference(text)
        for model in self.models:
            if model.name == wanted.name and wanted.version in (None, model.version):
                return model
        raise errors.NotFound("MODEL_NOT_FOUND", f"There is no model {text!r}.", "model")

    def GetModel(self, request: training_pb2.GetModelRequest, context: Any) -> training_pb2.Model:  # noqa: N802
        return self._find(request.model)

    def ListModels(self, request: Any, context: Any) -> training_pb2.ListModelsResponse:  # noqa: N802
        return training_pb2.ListModelsResponse(models=self.models)

    def DeleteModel(self, request: training_pb2.DeleteModelRequest, context: Any) -> Empty:  # noqa: N802
        self.models.remove(self._find(request.model))
        return Empty()

    def SetModelAlias(self, request: training_pb2.SetModelAliasRequest, context: Any) -> training_pb2.Model:  # noqa: N802
        model = self._find(request.model)
        model.aliases.append(check_alias(request.alias))
        self.moves.append(training_pb2.AliasMove(alias=request.alias, version=model.version))
        return model

    def ListAliasMoves(self, request: Any, context: Any) -> training_pb2.ListAliasMovesResponse:  # noqa: N802
        return training_pb2.ListAliasMovesResponse(moves=self.moves[::-1])

    def UploadModel(self, request_iterator: Any, context: Any) -> training_pb2.Model:  # noqa: N802
        raise errors.InvalidArgument("MODEL_FILE_INVALID", "Nobody sends models over HTTP.", "content")

    def EvaluateModel(self, request: training_pb2.EvaluateModelRequest, context: Any) -> training_pb2.ComparisonRow:  # noqa: N802
        if request.model != "adaboost-1":
            raise errors.NotFound("MODEL_NOT_FOUND", f"There is no model {request.model!r}.", "model")
        found = evaluation(0.9)
        found.users.add(user="ann", recall=0.75, support=8)
        return training_pb2.ComparisonRow(name=request.model, version=1, evaluation=found, seen_attempts=request.seed)

    def CompareModels(self, request: training_pb2.CompareModelsRequest, context: Any) -> training_pb2.Comparison:  # noqa: N802
        row = training_pb2.ComparisonRow
        rows = [
            row(
                name=model.name,
                version=model.version,
                learner=model.learner,
                evaluation=evaluation(0.962 - 0.03 * number),
            )
            for number, model in enumerate(self.models)
        ]
        for later in rows[1:]:
            later.p_value = 0.0312
        rows.append(row(name="old-leaky", version=3, learner="lstm", evaluation=evaluation(0.994), seen_attempts=61))
        sentence = "It was trained on another phrase."
        other = attempts_pb2.Error(reason="OTHER_PHRASE", message=sentence)
        rows.append(row(name="alphabet", version=1, learner="adaboost", error=other))
        return training_pb2.Comparison(
            dataset=request.dataset,
            holdout=request.holdout,
            split=request.split,
            seed=request.seed,
            attempts=76,
            rows=rows,
        )

    def DownloadModel(self, request: Any, context: Any) -> Iterator[training_pb2.DownloadModelResponse]:  # noqa: N802
        model = self._find(request.model)
        pieces = [b"x" * 2**20, b"the end"]
        size = sum(map(len, pieces))
        yield training_pb2.DownloadModelResponse(
            header=training_pb2.DownloadModelResponse.Header(model=model, size=size)
        )
        for piece in pieces:
            yield training_pb2.DownloadModelResponse(content=piece)


def evaluation(accuracy: float) -> training_pb2.Evaluation:
    """Figures that hang together well enough to look at."""
    return training_pb2.Evaluation(
        attempts=76,
        accuracy=accuracy,
        accuracy_low=accuracy - 0.041,
        accuracy_high=min(1.0, accuracy + 0.021),
        macro_precision=accuracy - 0.004,
        macro_recall=accuracy - 0.007,
        macro_f1=accuracy - 0.006,
        equal_error_rate=(1 - accuracy) / 2,
    )


PREDICTIONS = pa.schema(
    [
        ("attempt", pa.uint32()),
        ("predicted_user", pa.string()),
        ("probability", pa.float64()),
        ("decision", pa.string()),
        ("reason", pa.string()),
    ]
)


_EXPLANATION = inference_pb2.Explanation(
    user="ada", keys=[inference_pb2.Explanation.Key(character="B", latency=0.5, hold=-0.25)]
)


class Inference(inference_pb2_grpc.InferenceServiceServicer):
    """Everything was typed by ada, and model "busy" has too much to do.

    Dataset "breaks" fails after two batches, "huge" has a hundred and "short" three.
    """

    def __init__(self, pause: float = 0.0) -> None:
        self._pause = pause
        self.sent = 0
        self.requests: list[inference_pb2.PredictDatasetRequest] = []

    def Identify(self, request: inference_pb2.IdentifyRequest, context: Any) -> inference_pb2.IdentifyResponse:  # noqa: N802
        if request.model == "busy":
            raise errors.ResourceExhausted("TOO_MANY_CALLS", "Try again.", retry_seconds=1.2)
        if not request.attempt.character:
            return inference_pb2.IdentifyResponse(decision=inference_pb2.DECISION_INVALID, reason="EMPTY")
        return inference_pb2.IdentifyResponse(
            model=f"{request.model}@1",
            candidates=[inference_pb2.Candidate(user="ada", probability=0.75)],
            decision=inference_pb2.DECISION_IDENTIFIED,
            threshold=1 - request.far,
            far=request.far,
            flags=[inference_pb2.FLAG_REPLAY_SUSPECTED],
            explanation=_EXPLANATION if request.explain else None,
        )

    def BatchIdentify(  # noqa: N802
        self, request: inference_pb2.BatchIdentifyRequest, context: Any
    ) -> inference_pb2.BatchIdentifyResponse:
        assert len(request.character) == sum(request.length) == len(request.pressed_at)
        many = len(request.length)
        return inference_pb2.BatchIdentifyResponse(
            model=f"{request.model}@1",
            user=["ada"] * many,
            probability=[0.75] * many,
            decision=[inference_pb2.DECISION_UNKNOWN] * many,
            reason=[""] * many,
            flags=[number % 4 for number in range(many)],
            threshold=1 - request.far,
            far=request.far,
        )

    def Verify(self, request: inference_pb2.VerifyRequest, context: Any) -> inference_pb2.VerifyResponse:  # noqa: N802
        return inference_pb2.VerifyResponse(
            model=f"{request.model}@1",
            score=0.75,
            threshold=1 - request.far,
            accepted=request.user == "ada",
            far=request.far,
            explanation=_EXPLANATION if request.explain else None,
        )

    def PredictDataset(  # noqa: N802
        self, request: inference_pb2.PredictDatasetRequest, context: Any
    ) -> Iterator[attempts_pb2.RecordBatch]:
        self.requests.append(request)
        time.sleep(self._pause)
        if request.dataset == "other-phrase":
            raise errors.FailedPrecondition("OTHER_PHRASE", "The dataset has another phrase than the model.", "dataset")
        if request.dataset == "none":
            return
        sizes = {"breaks": [4, 4], "huge": [16_384] * 100, "short": [16_384] * 3}.get(
            request.dataset, [request.first_n or 300, 195]
        )
        if request.first_n:
            sizes = [request.first_n]
        first = 0
        for size in sizes:
            self.sent += 1
            yield attempts_pb2.RecordBatch(ipc=to_ipc(predictions(first, size)))
            first += size
        if request.dataset == "breaks":
            raise errors.Internal("INTERNAL", "Something broke.")


def predictions(first: int, count: int) -> pa.RecordBatch:
    """Every seventh attempt is not valid, every fifth is nobody's; the first user's name is a formula."""
    number = np.arange(first, first + count)
    invalid = number % 7 == 3
    unknown = number % 5 == 4
    user = np.array(["=1+1", *USERS[1:]])[number % 3]
    decision = np.where(invalid, "INVALID", np.where(unknown, "UNKNOWN", "IDENTIFIED"))
    columns = [
        pa.array(number, pa.uint32()),
        pa.array(np.where(invalid, "", user)),
        pa.array(np.where(unknown, 0.31, 0.93), mask=invalid),
        pa.array(decision),
        pa.array(np.where(invalid, "PHRASE_MISMATCH", "")),
    ]
    return pa.record_batch(columns, schema=PREDICTIONS)


def serve(servicer: Ingest | Training | Inference, listen: str = "127.0.0.1:0") -> rpc.Server:
    """Starts a server with this one servicer; the caller stops it."""
    if isinstance(servicer, Ingest):
        server = rpc.Server(listen, ingest_pb2.DESCRIPTOR)
        ingest_pb2_grpc.add_IngestServiceServicer_to_server(servicer, server.grpc_server)
    elif isinstance(servicer, Training):
        server = rpc.Server(listen, training_pb2.DESCRIPTOR)
        training_pb2_grpc.add_TrainingServiceServicer_to_server(servicer, server.grpc_server)
    else:
        server = rpc.Server(listen, inference_pb2.DESCRIPTOR)
        inference_pb2_grpc.add_InferenceServiceServicer_to_server(servicer, server.grpc_server)
    server.start()
    return server
