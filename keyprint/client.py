"""A typed client of Keyprint's services; of what is installed it needs grpcio and protobuf alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, Protocol, TypeVar

import grpc
from google.protobuf import empty_pb2
from google.protobuf.message import Message

from keyprint import errors
from keyprint.channel import channel
from keyprint.fields import wrong
from keyprint.v1 import (
    attempts_pb2,
    inference_pb2,
    inference_pb2_grpc,
    ingest_pb2,
    ingest_pb2_grpc,
    training_pb2,
    training_pb2_grpc,
)

_PIECE_BYTES = 2**18
"""Few enough that a slow line has sent them before ingest has waited too long for the next."""

_USERS_PAGE = 1000

Request = TypeVar("Request", bound=Message)
Sent = TypeVar("Sent")


class _AskedInPages(Protocol):
    page_token: str


class _OnePage(Protocol):
    next_page_token: str


Asked = TypeVar("Asked", bound=_AskedInPages)
Page = TypeVar("Page", bound=_OnePage)


@contextmanager
def _told(service: str) -> Iterator[None]:
    """Turns a refused call into the error that `service` raised."""
    try:
        yield
    except grpc.RpcError as error:
        raise errors.from_rpc_error(error, service) from None


@contextmanager
def _sending(service: str, messages: Iterator[Sent]) -> Iterator[Iterator[Sent]]:
    """Likewise, for a call that sends these: what goes wrong while they are made is raised as it is.

    gRPC takes them in a thread of its own, and would tell of it as of a call that failed.
    """
    failures: list[Exception] = []

    def watched() -> Iterator[Sent]:
        try:
            yield from messages
        except Exception as error:
            failures.append(error)
            raise

    try:
        with _told(service):
            yield watched()
    except errors.KeyprintError:
        if failures:
            raise failures[0] from None
        raise


def _request(kind: type[Request], **fields: Any) -> Request:
    """A message of these fields.

    Raises:
        InvalidArgument: one has a value that it cannot hold: a number out of its range, a text that is no UTF-8.
    """
    message = kind()
    for name, value in fields.items():
        try:
            message.MergeFrom(kind(**{name: value}))
        except ValueError:
            raise wrong(name) or errors.InvalidArgument("FIELD_INVALID", f"{name} cannot be {value!r}.", name) from None
    return message


def _pages(service: str, call: Callable[[Asked], Page], request: Asked) -> Iterator[Page]:
    """The pages of a list, each asked for when it is wanted."""
    more = True
    while more:
        with _told(service):
            page = call(request)
        yield page
        request.page_token = page.next_page_token
        more = bool(page.next_page_token)


def _pieces(
    header: ingest_pb2.UploadDatasetRequest.Header, documents: Iterable[tuple[str, bytes]], broken_at: str = ""
) -> Iterator[ingest_pb2.UploadDatasetRequest]:
    yield ingest_pb2.UploadDatasetRequest(header=header)
    before = ""
    for number, (given, content) in enumerate(documents):
        # A change of name is what tells documents apart.
        name = before = given if given != before else f"{given} ({number})"
        for begin in range(0, max(len(content), 1), _PIECE_BYTES):
            piece = ingest_pb2.UploadDatasetRequest.Piece(name=name, content=content[begin : begin + _PIECE_BYTES])
            yield ingest_pb2.UploadDatasetRequest(piece=piece)
    if broken_at:
        yield ingest_pb2.UploadDatasetRequest(broken_at=ingest_pb2.UploadDatasetRequest.Break(name=broken_at))
    yield ingest_pb2.UploadDatasetRequest(end=empty_pb2.Empty())


def _model_pieces(
    header: training_pb2.UploadModelRequest.Header, content: BinaryIO
) -> Iterator[training_pb2.UploadModelRequest]:
    yield training_pb2.UploadModelRequest(header=header)
    while piece := content.read(_PIECE_BYTES):
        yield training_pb2.UploadModelRequest(content=piece)


class IngestClient:
    """The ingest service.  Every method raises the `keyprint.errors` that the service does, and Unavailable."""

    def __init__(self, address: str = "127.0.0.1:50051") -> None:
        self._channel = channel(address)
        self._stub = ingest_pb2_grpc.IngestServiceStub(self._channel)

    def __enter__(self) -> IngestClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def create_dataset(
        self, url: str, phrase: str = "", min_attempts: int = 0, refresh: bool = False
    ) -> ingest_pb2.Dataset:
        """Starts an import, or finds the one of the same source; `refresh` asks whether that has changed."""
        with _told("ingest"):
            return self._stub.CreateDataset(
                _request(
                    ingest_pb2.CreateDatasetRequest, url=url, phrase=phrase, min_attempts=min_attempts, refresh=refresh
                )
            )

    def upload_dataset(
        self,
        documents: Iterable[tuple[str, bytes]],
        phrase: str = "",
        min_attempts: int = 0,
        base_dataset: str = "",
        broken_at: str = "",
    ) -> ingest_pb2.Dataset:
        """Makes a dataset of documents, each its name and content, in order, after those of `base_dataset`.

        It ends INCOMPLETE where their chain goes on with `broken_at`, which is not there, or is one of them again.
        """
        header = _request(
            ingest_pb2.UploadDatasetRequest.Header, phrase=phrase, min_attempts=min_attempts, base_dataset=base_dataset
        )
        with _sending("ingest", _pieces(header, documents, broken_at)) as messages:
            return self._stub.UploadDataset(messages)

    def get_dataset(self, dataset: str) -> ingest_pb2.Dataset:
        """One dataset as it stands."""
        with _told("ingest"):
            return self._stub.GetDataset(_request(ingest_pb2.GetDatasetRequest, dataset=dataset))

    def list_datasets(self) -> Iterator[ingest_pb2.Dataset]:
        """All datasets, newest first."""
        for page in _pages("ingest", self._stub.ListDatasets, ingest_pb2.ListDatasetsRequest()):
            yield from page.datasets

    def list_users(self, dataset: str) -> Iterator[ingest_pb2.UserStatistics]:
        """The users of a dataset with their counts, in its order, page by page as they are taken."""
        request = _request(ingest_pb2.ListUsersRequest, dataset=dataset, page_size=_USERS_PAGE)
        for page in _pages("ingest", self._stub.ListUsers, request):
            yield from page.users

    def watch_dataset(self, dataset: str) -> Iterator[ingest_pb2.Dataset]:
        """The dataset now, and again whenever it changes, until its import has ended."""
        with _told("ingest"):
            yield from self._stub.WatchDataset(_request(ingest_pb2.WatchDatasetRequest, dataset=dataset))

    def cancel_dataset(self, dataset: str) -> ingest_pb2.Dataset:
        """Stops an import."""
        with _told("ingest"):
            return self._stub.CancelDataset(_request(ingest_pb2.CancelDatasetRequest, dataset=dataset))

    def delete_dataset(self, dataset: str) -> None:
        """Deletes a dataset."""
        with _told("ingest"):
            self._stub.DeleteDataset(_request(ingest_pb2.DeleteDatasetRequest, dataset=dataset))

    def summarize_dataset(self, dataset: str, user: str = "") -> ingest_pb2.DatasetSummary:
        """Attempts over time, speed, corrections and the profile along the phrase, of all and of one `user`."""
        with _told("ingest"):
            return self._stub.SummarizeDataset(_request(ingest_pb2.SummarizeDatasetRequest, dataset=dataset, user=user))

    def list_records(self, dataset: str, first_n: int) -> list[ingest_pb2.Record]:
        """The first rows of the keystroke table, at most 1000."""
        with _told("ingest"):
            request = _request(ingest_pb2.ListRecordsRequest, dataset=dataset, page_size=first_n)
            return list(self._stub.ListRecords(request).records)


class TrainingClient:
    """The training service.  Every method raises the `keyprint.errors` that the service does, and Unavailable."""

    def __init__(self, address: str = "127.0.0.1:50052") -> None:
        self._channel = channel(address)
        self._stub = training_pb2_grpc.TrainingServiceStub(self._channel)

    def __enter__(self) -> TrainingClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def list_learners(self) -> list[training_pb2.Learner]:
        """The ways to train, with their parameters."""
        with _told("training"):
            return list(self._stub.ListLearners(training_pb2.ListLearnersRequest()).learners)

    def create_training_job(
        self,
        dataset: str,
        learner: str,
        model: str,
        holdout: float,
        split: attempts_pb2.Split.ValueType = attempts_pb2.SPLIT_UNSPECIFIED,
        features: str = "",
        params: Mapping[str, float] | None = None,
        seed: int = 0,
        new_version: bool = False,
        impostors: float = 0.0,
    ) -> training_pb2.TrainingJob:
        """Queues a training job."""
        request = _request(
            training_pb2.CreateTrainingJobRequest,
            dataset=dataset,
            learner=learner,
            model=model,
            holdout=holdout,
            split=split,
            features=features,
            seed=seed,
            new_version=new_version,
            impostors=impostors,
            params=dict(params or {}),
        )
        with _told("training"):
            return self._stub.CreateTrainingJob(request)

    def get_training_job(self, job: str) -> training_pb2.TrainingJob:
        """One job as it stands."""
        with _told("training"):
            return self._stub.GetTrainingJob(_request(training_pb2.GetTrainingJobRequest, job=job))

    def list_training_jobs(self) -> Iterator[training_pb2.TrainingJob]:
        """All jobs, newest first, without their curves."""
        for page in _pages("training", self._stub.ListTrainingJobs, training_pb2.ListTrainingJobsRequest()):
            yield from page.jobs

    def watch_training_job(self, job: str) -> Iterator[training_pb2.TrainingJob]:
        """The job now, and again whenever it changes, until it has ended."""
        with _told("training"):
            yield from self._stub.WatchTrainingJob(_request(training_pb2.WatchTrainingJobRequest, job=job))

    def cancel_training_job(self, job: str) -> training_pb2.TrainingJob:
        """Stops a job."""
        with _told("training"):
            return self._stub.CancelTrainingJob(_request(training_pb2.CancelTrainingJobRequest, job=job))

    def get_model(self, model: str) -> training_pb2.Model:
        """One model."""
        with _told("training"):
            return self._stub.GetModel(_request(training_pb2.GetModelRequest, model=model))

    def list_models(self) -> Iterator[training_pb2.Model]:
        """All models, newest first."""
        for page in _pages("training", self._stub.ListModels, training_pb2.ListModelsRequest()):
            yield from page.models

    def delete_model(self, model: str) -> None:
        """Deletes a model; a bare name deletes all its versions."""
        with _told("training"):
            self._stub.DeleteModel(_request(training_pb2.DeleteModelRequest, model=model))

    def set_model_alias(self, model: str, alias: str) -> training_pb2.Model:
        """Points an alias of a name at one of its versions."""
        with _told("training"):
            return self._stub.SetModelAlias(_request(training_pb2.SetModelAliasRequest, model=model, alias=alias))

    def alias_moves(self, model: str) -> Iterator[training_pb2.AliasMove]:
        """Where the aliases of a name pointed, newest first."""
        request = _request(training_pb2.ListAliasMovesRequest, model=model)
        for page in _pages("training", self._stub.ListAliasMoves, request):
            yield from page.moves

    def download_model(self, model: str) -> Iterator[bytes]:
        """A model as a file that `upload_model` takes, piece by piece."""
        with _told("training"):
            for piece in self._stub.DownloadModel(_request(training_pb2.DownloadModelRequest, model=model)):
                yield piece.content

    def upload_model(self, content: BinaryIO, model: str, new_version: bool = False) -> training_pb2.Model:
        """Publishes a model from such a file."""
        header = _request(training_pb2.UploadModelRequest.Header, model=model, new_version=new_version)
        with _sending("training", _model_pieces(header, content)) as messages:
            return self._stub.UploadModel(messages)

    def compare_models(
        self,
        dataset: str,
        holdout: float,
        split: attempts_pb2.Split.ValueType = attempts_pb2.SPLIT_UNSPECIFIED,
        seed: int = 0,
    ) -> training_pb2.Comparison:
        """Every model on one hold-out, best first."""
        with _told("training"):
            return self._stub.CompareModels(
                _request(training_pb2.CompareModelsRequest, dataset=dataset, holdout=holdout, split=split, seed=seed)
            )

    def evaluate_model(
        self,
        model: str,
        dataset: str,
        holdout: float,
        split: attempts_pb2.Split.ValueType = attempts_pb2.SPLIT_UNSPECIFIED,
        seed: int = 0,
    ) -> training_pb2.ComparisonRow:
        """One model on a hold-out, user by user too."""
        request = _request(
            training_pb2.EvaluateModelRequest, model=model, dataset=dataset, holdout=holdout, split=split, seed=seed
        )
        with _told("training"):
            return self._stub.EvaluateModel(request)


class InferenceClient:
    """The inference service.  Every method raises the `keyprint.errors` that the service does, and Unavailable."""

    def __init__(self, address: str = "127.0.0.1:50053") -> None:
        self._channel = channel(address)
        self._stub = inference_pb2_grpc.InferenceServiceStub(self._channel)

    def __enter__(self) -> InferenceClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def identify(
        self, model: str, attempt: attempts_pb2.Attempt, candidates: int = 0, explain: bool = False, far: float = 0.0
    ) -> inference_pb2.IdentifyResponse:
        """Who typed this one attempt, and what each key said about the best candidate if `explain`."""
        request = _request(
            inference_pb2.IdentifyRequest,
            model=model,
            attempt=attempt,
            candidates=candidates,
            explain=explain,
            far=far,
        )
        with _told("inference"):
            return self._stub.Identify(request)

    def predict_dataset(
        self, model: str, dataset: str, keystrokes: bool = False, first_n: int = 0, far: float = 0.0
    ) -> Iterator[attempts_pb2.RecordBatch]:
        """Every attempt of a dataset, in its order, as batches of rows: one for each attempt, or each keystroke."""
        kind = inference_pb2.PredictDatasetRequest
        rows = kind.ROWS_KEYSTROKES if keystrokes else kind.ROWS_ATTEMPTS
        request = _request(kind, model=model, dataset=dataset, rows=rows, first_n=first_n, far=far)
        with _told("inference"):
            yield from self._stub.PredictDataset(request)
