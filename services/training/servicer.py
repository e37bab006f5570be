"""TrainingService: messages in, messages out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial

import grpc
from google.protobuf import empty_pb2

from keyprint import checks
from keyprint.errors import InvalidArgument
from keyprint.features import FEATURE_SETS
from keyprint.names import check_alias, check_model_name
from keyprint.rpc import Watches
from keyprint.v1 import training_pb2, training_pb2_grpc
from services.training import departures, messages, requests
from services.training.arrivals import Arrivals
from services.training.compare import Comparer
from services.training.dataset import Trainable
from services.training.ingest import Ingest
from services.training.intake import Intake
from services.training.jobs import Jobs
from services.training.learners import LEARNERS
from services.training.models import Models
from services.training.paging import page
from services.training.store import Store
from services.training.tables import Model

PIECE_BYTES = 2**20
_UNDER_WAY = (
    training_pb2.TrainingJob.STATE_PENDING,
    training_pb2.TrainingJob.STATE_RUNNING,
    training_pb2.TrainingJob.STATE_CANCELLING,
)


class TrainingServicer(training_pb2_grpc.TrainingServiceServicer):
    """Answers from the tables and the store; jobs run elsewhere."""

    def __init__(
        self,
        jobs: Jobs,
        models: Models,
        store: Store,
        comparer: Comparer,
        arrivals: Arrivals,
        intake: Intake,
        ingest: Ingest,
        watches: Watches,
    ) -> None:
        self._jobs = jobs
        self._models = models
        self._store = store
        self._comparer = comparer
        self._arrivals = arrivals
        self._intake = intake
        self._ingest = ingest
        self._watches = watches

    def ListLearners(  # noqa: N802 - gRPC's name, as are all that follow
        self, request: training_pb2.ListLearnersRequest, context: grpc.ServicerContext
    ) -> training_pb2.ListLearnersResponse:
        return training_pb2.ListLearnersResponse(learners=map(messages.learner_message, LEARNERS.values()))

    def ListFeatureSets(  # noqa: N802
        self, request: training_pb2.ListFeatureSetsRequest, context: grpc.ServicerContext
    ) -> training_pb2.ListFeatureSetsResponse:
        phrase = checks.phrase(request.phrase)
        sets = [messages.feature_set_message(one, phrase) for one in FEATURE_SETS.values()]
        return training_pb2.ListFeatureSetsResponse(feature_sets=sets)

    def CreateTrainingJob(  # noqa: N802
        self, request: training_pb2.CreateTrainingJobRequest, context: grpc.ServicerContext
    ) -> training_pb2.TrainingJob:
        asked = requests.asked(request)
        return messages.job_message(self._intake.create(asked, request.request_id, request.new_version))

    def GetTrainingJob(  # noqa: N802
        self, request: training_pb2.GetTrainingJobRequest, context: grpc.ServicerContext
    ) -> training_pb2.TrainingJob:
        return messages.job_message(self._jobs.get(checks.keepable(request.job, "job")))

    def ListTrainingJobs(  # noqa: N802
        self, request: training_pb2.ListTrainingJobsRequest, context: grpc.ServicerContext
    ) -> training_pb2.ListTrainingJobsResponse:
        rows, token = page("jobs", request, self._jobs.page)
        jobs = [messages.job_message(row, curve=False) for row in rows]
        return training_pb2.ListTrainingJobsResponse(jobs=jobs, next_page_token=token)

    def CancelTrainingJob(  # noqa: N802
        self, request: training_pb2.CancelTrainingJobRequest, context: grpc.ServicerContext
    ) -> training_pb2.TrainingJob:
        job = checks.keepable(request.job, "job")
        self._jobs.ask_to_cancel(job)
        return messages.job_message(self._jobs.get(job))

    def WatchTrainingJob(  # noqa: N802
        self, request: training_pb2.WatchTrainingJobRequest, context: grpc.ServicerContext
    ) -> Iterator[training_pb2.TrainingJob]:
        job = checks.keepable(request.job, "job")

        def look() -> training_pb2.TrainingJob:
            return messages.job_message(self._jobs.get(job))

        yield from self._watches.watch(context, look, lambda job: job.state in _UNDER_WAY)

    def GetModel(  # noqa: N802
        self, request: training_pb2.GetModelRequest, context: grpc.ServicerContext
    ) -> training_pb2.Model:
        return self._message(self._models.get(request.model))

    def ListModels(  # noqa: N802
        self, request: training_pb2.ListModelsRequest, context: grpc.ServicerContext
    ) -> training_pb2.ListModelsResponse:
        rows, token = page("models", request, self._models.page)
        aliases = self._models.aliases()
        found = [messages.model_message(row, aliases.get(row.reference, ())) for row in rows]
        return training_pb2.ListModelsResponse(models=found, next_page_token=token)

    def DeleteModel(  # noqa: N802
        self, request: training_pb2.DeleteModelRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        departures.delete(self._models, self._store, request.model)
        return empty_pb2.Empty()

    def SetModelAlias(  # noqa: N802
        self, request: training_pb2.SetModelAliasRequest, context: grpc.ServicerContext
    ) -> training_pb2.Model:
        return self._message(self._models.set_alias(request.model, check_alias(request.alias)))

    def ListAliasMoves(  # noqa: N802
        self, request: training_pb2.ListAliasMovesRequest, context: grpc.ServicerContext
    ) -> training_pb2.ListAliasMovesResponse:
        name = check_model_name(request.model, "model")
        rows, token = page(f"moves of {name}", request, partial(self._models.alias_moves, name))
        return training_pb2.ListAliasMovesResponse(moves=map(messages.alias_move_message, rows), next_page_token=token)

    def CompareModels(  # noqa: N802
        self, request: training_pb2.CompareModelsRequest, context: grpc.ServicerContext
    ) -> training_pb2.Comparison:
        asked = requests.holdout(request)
        holdout = self._held_out(request.dataset, asked)
        return training_pb2.Comparison(
            dataset=holdout.id,
            fingerprint=holdout.fingerprint,
            holdout=asked.share,
            split=messages.split_value(asked.split),
            seed=asked.seed,
            attempts=len(holdout.ids),
            rows=map(messages.row_message, self._comparer.compare(holdout)),
        )

    def EvaluateModel(  # noqa: N802
        self, request: training_pb2.EvaluateModelRequest, context: grpc.ServicerContext
    ) -> training_pb2.ComparisonRow:
        asked, model = requests.holdout(request), self._models.get(request.model)
        row, evaluation = self._comparer.evaluate(model.reference, self._held_out(request.dataset, asked))
        return messages.row_message(row, evaluation)

    def DownloadModel(  # noqa: N802
        self, request: training_pb2.DownloadModelRequest, context: grpc.ServicerContext
    ) -> Iterator[training_pb2.DownloadModelResponse]:
        model = self._models.get(request.model)
        self._store.check(model)
        with self._store.exported(model.name, model.version) as path, path.open("rb") as file:
            header = training_pb2.DownloadModelResponse.Header(model=self._message(model), size=path.stat().st_size)
            yield training_pb2.DownloadModelResponse(header=header)
            while content := file.read(PIECE_BYTES):
                yield training_pb2.DownloadModelResponse(content=content)

    def UploadModel(  # noqa: N802
        self, request_iterator: Iterator[training_pb2.UploadModelRequest], context: grpc.ServicerContext
    ) -> training_pb2.Model:
        with closing(self._arrivals.in_time(request_iterator, lambda message: len(message.content))) as sent:
            first = next(sent, training_pb2.UploadModelRequest())
            if first.WhichOneof("part") != "header":
                raise InvalidArgument("HEADER_MISSING", "An upload must begin with its header.", "header")
            name = check_model_name(first.header.model, "model")
            pieces = (message.content for message in sent)
            return self._message(self._arrivals.receive(pieces, name, first.header.new_version))

    def _held_out(self, dataset: str, asked: requests.Holdout) -> Trainable:
        return self._ingest.read(dataset).hold_out(asked.share, asked.split, asked.seed)

    def _message(self, model: Model) -> training_pb2.Model:
        return messages.whole_model_message(model, self._models.aliases().get(model.reference, ()))
