"""The command line against stand-ins for the services: what it sends, what it prints, how it exits."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import grpc
import pyarrow as pa
import pytest
from google.protobuf import empty_pb2

from keyprint import cli, errors, rpc
from keyprint.arrow import to_ipc
from keyprint.v1 import (
    attempts_pb2,
    inference_pb2,
    inference_pb2_grpc,
    ingest_pb2,
    ingest_pb2_grpc,
    training_pb2,
    training_pb2_grpc,
)

# ruff: noqa: N802 - the stand-ins' methods have gRPC's names

MODEL = b"a model as a file"

_MEASURED = training_pb2.Evaluation(
    users=[training_pb2.UserEvaluation(user="ann", precision=1.0, recall=0.875, support=8)],
    open_set=training_pb2.OpenSet(
        impostors=["eve"],
        attempts=20,
        stated_false_accept_rate=0.01,
        false_accept_rate=0.02,
        false_positive_identification_rate=0.4,
        false_negative_identification_rate=0.05,
    ),
)

Context = grpc.ServicerContext
Dataset = ingest_pb2.Dataset
Job = training_pb2.TrainingJob


@dataclass
class Ingest(ingest_pb2_grpc.IngestServiceServicer):
    """One dataset, and a note of what was asked."""

    dataset: ingest_pb2.Dataset = field(
        default_factory=lambda: Dataset(
            id="ds_1", state=Dataset.STATE_READY, source_url="http://x/", attempts=3, valid_attempts=2, documents=1
        )
    )
    users: list[ingest_pb2.UserStatistics] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)

    def CreateDataset(self, request: ingest_pb2.CreateDatasetRequest, context: Context) -> Dataset:
        self.asked.append(request)
        if not request.url.startswith("http"):
            raise errors.InvalidArgument("URL_INVALID", "The url must be http or https.", "url")
        # A refresh begins as another dataset.
        return Dataset(id="ds_2" if request.refresh else self.dataset.id, state=Dataset.STATE_IMPORTING)

    def UploadDataset(self, request_iterator: Iterator[Any], context: Context) -> Dataset:
        self.asked.extend(request_iterator)
        return self.dataset

    def GetDataset(self, request: ingest_pb2.GetDatasetRequest, context: Context) -> Dataset:
        if request.dataset != self.dataset.id:
            raise errors.NotFound("DATASET_NOT_FOUND", f"There is no dataset {request.dataset!r}.", "dataset")
        return self.dataset

    def WatchDataset(self, request: ingest_pb2.WatchDatasetRequest, context: Context) -> Iterator[Dataset]:
        yield Dataset(id=self.dataset.id, state=Dataset.STATE_IMPORTING, documents=1)
        yield self.dataset

    def ListDatasets(
        self, request: ingest_pb2.ListDatasetsRequest, context: Context
    ) -> ingest_pb2.ListDatasetsResponse:
        if not request.page_token:
            return ingest_pb2.ListDatasetsResponse(datasets=[self.dataset], next_page_token="2")
        return ingest_pb2.ListDatasetsResponse(datasets=[Dataset(id="ds_0", state=Dataset.STATE_FAILED)])

    def ListUsers(self, request: ingest_pb2.ListUsersRequest, context: Context) -> ingest_pb2.ListUsersResponse:
        # Pages of one, whatever is asked for.
        first = int(request.page_token or 0)
        token = str(first + 1) if first + 1 < len(self.users) else ""
        return ingest_pb2.ListUsersResponse(users=self.users[first : first + 1], next_page_token=token)

    def ListRecords(self, request: ingest_pb2.ListRecordsRequest, context: Context) -> ingest_pb2.ListRecordsResponse:
        rows = [
            ingest_pb2.Record(user="[red]ann", character="B", hold_ms=90.04),
            ingest_pb2.Record(user="ann", character="[backspace]", character_index=1, duplicate=True),
        ]
        return ingest_pb2.ListRecordsResponse(records=rows[: request.page_size])

    def DeleteDataset(self, request: ingest_pb2.DeleteDatasetRequest, context: Context) -> empty_pb2.Empty:
        self.asked.append(request)
        return empty_pb2.Empty()


@dataclass
class Training(training_pb2_grpc.TrainingServiceServicer):
    """One job and its model."""

    ending: training_pb2.TrainingJob = field(default_factory=lambda: Job(state=Job.STATE_SUCCEEDED))
    asked: list[Any] = field(default_factory=list)

    def ListLearners(
        self, request: training_pb2.ListLearnersRequest, context: Context
    ) -> training_pb2.ListLearnersResponse:
        depth = training_pb2.Parameter(
            name="depth",
            description="Most decisions.",
            kind=training_pb2.Parameter.KIND_INTEGER,
            default=24,
            minimum=1,
            maximum=64,
        )
        other = training_pb2.Learner(name="oracle", title="Oracle", description="Knows.")
        return training_pb2.ListLearnersResponse(
            learners=[training_pb2.Learner(name="bush", title="Bush", parameters=[depth]), other]
        )

    def CreateTrainingJob(self, request: training_pb2.CreateTrainingJobRequest, context: Context) -> Job:
        self.asked.append(request)
        if request.model == "taken":
            raise errors.AlreadyExists("MODEL_NAME_TAKEN", "There is a model 'taken'.", "model")
        return Job(id="job_1", state=Job.STATE_PENDING, model=request.model, version=1, learner=request.learner)

    def GetTrainingJob(self, request: training_pb2.GetTrainingJobRequest, context: Context) -> Job:
        if request.job != "job_1":
            raise errors.NotFound("JOB_NOT_FOUND", f"There is no training job {request.job!r}.", "job")
        return Job(id="job_1", state=Job.STATE_RUNNING, progress=0.25, stage="fitting", model="m", version=1)

    def ListTrainingJobs(
        self, request: training_pb2.ListTrainingJobsRequest, context: Context
    ) -> training_pb2.ListTrainingJobsResponse:
        first = not request.page_token
        job = Job(id="job_2" if first else "job_1", state=Job.STATE_RUNNING, model="m", version=2 if first else 1)
        return training_pb2.ListTrainingJobsResponse(jobs=[job], next_page_token="1" if first else "")

    def CancelTrainingJob(self, request: training_pb2.CancelTrainingJobRequest, context: Context) -> Job:
        self.asked.append(request)
        return Job(id="job_1", state=Job.STATE_CANCELLING, model="m", version=1)

    def WatchTrainingJob(self, request: training_pb2.WatchTrainingJobRequest, context: Context) -> Iterator[Job]:
        yield Job(id="job_1", state=Job.STATE_RUNNING, progress=0.5, stage="fitting", model="m", version=1)
        ending = Job(id="job_1", progress=1, stage="done", model="m", version=1)
        ending.MergeFrom(self.ending)
        yield ending

    def GetModel(self, request: training_pb2.GetModelRequest, context: Context) -> training_pb2.Model:
        if request.model not in ("m", "m@1"):
            raise errors.NotFound("MODEL_NOT_FOUND", f"There is no model {request.model!r}.", "model")
        return training_pb2.Model(
            name="m",
            version=1,
            phrase="hi there",
            users=["ann"],
            user_count=1,
            training_attempts=1234,
            temperature=0.0625,
            evaluation=_MEASURED,
            decision=training_pb2.Thresholds(
                default_false_accept_rate=0.01,
                thresholds=[training_pb2.Threshold(false_accept_rate=0.01, threshold=0.4321)],
            ),
            files=[training_pb2.PackageFile(name="model.onnx", size=654_321)],
            curve=[training_pb2.CurvePoint(step=1, loss=2.5), training_pb2.CurvePoint(step=2, loss=1.25)],
        )

    def ListModels(self, request: training_pb2.ListModelsRequest, context: Context) -> training_pb2.ListModelsResponse:
        model = training_pb2.Model(name="m", version=1, aliases=["best"], user_count=1)
        model.evaluation.accuracy = 0.5
        return training_pb2.ListModelsResponse(models=[model])

    def EvaluateModel(self, request: training_pb2.EvaluateModelRequest, context: Context) -> training_pb2.ComparisonRow:
        self.asked.append(request)
        return training_pb2.ComparisonRow(name="m", version=1, evaluation=_MEASURED, seen_attempts=3)

    def CompareModels(self, request: training_pb2.CompareModelsRequest, context: Context) -> training_pb2.Comparison:
        self.asked.append(request)
        if request.dataset == "ds_gone":
            raise errors.NotFound("DATASET_NOT_FOUND", "There is no dataset 'ds_gone'.", "dataset")
        figures = training_pb2.Evaluation(accuracy=0.956, accuracy_low=0.9, accuracy_high=0.99, macro_f1=0.955)
        return training_pb2.Comparison(
            dataset=request.dataset,
            holdout=request.holdout,
            split=attempts_pb2.SPLIT_LATE,
            attempts=180,
            rows=[
                training_pb2.ComparisonRow(name="m", version=1, learner="adaboost", evaluation=figures),
                training_pb2.ComparisonRow(
                    name="second", version=1, learner="lstm", evaluation=figures, p_value=0.03125
                ),
                training_pb2.ComparisonRow(
                    name="old", version=3, learner="lstm", error=attempts_pb2.Error(reason="OTHER_PHRASE")
                ),
            ],
        )

    def SetModelAlias(self, request: training_pb2.SetModelAliasRequest, context: Context) -> training_pb2.Model:
        self.asked.append(request)
        return training_pb2.Model(name="m", version=7)

    def ListAliasMoves(
        self, request: training_pb2.ListAliasMovesRequest, context: Context
    ) -> training_pb2.ListAliasMovesResponse:
        first = not request.page_token
        move = training_pb2.AliasMove(alias="best", version=0 if first else 7)
        move.moved_at.FromSeconds(2 if first else 1)
        return training_pb2.ListAliasMovesResponse(moves=[move], next_page_token="1" if first else "")

    def DownloadModel(
        self, request: training_pb2.DownloadModelRequest, context: Context
    ) -> Iterator[training_pb2.DownloadModelResponse]:
        model = self.GetModel(training_pb2.GetModelRequest(model=request.model), context)
        yield training_pb2.DownloadModelResponse(
            header=training_pb2.DownloadModelResponse.Header(model=model, size=len(MODEL))
        )
        for at in range(0, len(MODEL), 4):
            yield training_pb2.DownloadModelResponse(content=MODEL[at : at + 4])
        if request.model == "m@1":
            raise errors.Unavailable("SERVICE_UNAVAILABLE", "The service stops.")

    def UploadModel(
        self, request_iterator: Iterator[training_pb2.UploadModelRequest], context: Context
    ) -> training_pb2.Model:
        header, *rest = request_iterator
        self.asked.append((header.header, b"".join(one.content for one in rest)))
        if header.header.model == "taken":
            raise errors.AlreadyExists("MODEL_NAME_TAKEN", "There is a model 'taken'.", "model")
        return training_pb2.Model(name=header.header.model, version=2)

    def DeleteModel(self, request: training_pb2.DeleteModelRequest, context: Context) -> empty_pb2.Empty:
        self.asked.append(request)
        return empty_pb2.Empty()


@dataclass
class Inference(inference_pb2_grpc.InferenceServiceServicer):
    """Always says that it was Ann."""

    users: list[str] = field(default_factory=lambda: ["ann", "bob", ""])
    asked: list[Any] = field(default_factory=list)

    def PredictDataset(
        self, request: inference_pb2.PredictDatasetRequest, context: Context
    ) -> Iterator[attempts_pb2.RecordBatch]:
        self.asked.append(request)
        for number, user in enumerate(self.users):
            yield attempts_pb2.RecordBatch(ipc=to_ipc(_row(number, user)))
        if request.model == "breaks":
            raise errors.FailedPrecondition("OTHER_PHRASE", "The dataset has another phrase.", "dataset")

    def Identify(self, request: inference_pb2.IdentifyRequest, context: Context) -> inference_pb2.IdentifyResponse:
        self.asked.append(request)
        if len(request.attempt.character) < 2:
            return inference_pb2.IdentifyResponse(
                model="m@1", decision=inference_pb2.DECISION_INVALID, reason="PHRASE_MISMATCH"
            )
        return inference_pb2.IdentifyResponse(
            model="m@1",
            decision=inference_pb2.DECISION_IDENTIFIED,
            candidates=[inference_pb2.Candidate(user="ann", probability=0.875)],
            flags=[inference_pb2.FLAG_SYNTHETIC_SUSPECTED],
            explanation=_SAID if request.explain else None,
        )


_SAID = inference_pb2.Explanation(
    user="ann", keys=[inference_pb2.Explanation.Key(character=" ", latency=1.25, hold=-0.5)]
)


def _row(number: int, user: str) -> pa.RecordBatch:
    return pa.record_batch(
        {
            "attempt": pa.array([number], pa.uint32()),
            "predicted_user": [user],
            "probability": [0.5 if user else None],
            "decision": ["IDENTIFIED" if user else "INVALID"],
            "reason": ["" if user else "EMPTY"],
        }
    )


@dataclass
class Services:
    """The stand-ins."""

    ingest: Ingest = field(default_factory=Ingest)
    training: Training = field(default_factory=Training)
    inference: Inference = field(default_factory=Inference)


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    stand_ins = Services()
    server = rpc.Server("127.0.0.1:0")
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(stand_ins.ingest, server.grpc_server)
    training_pb2_grpc.add_TrainingServiceServicer_to_server(stand_ins.training, server.grpc_server)
    inference_pb2_grpc.add_InferenceServiceServicer_to_server(stand_ins.inference, server.grpc_server)
    server.start()
    for part in ("INGEST", "TRAINING", "INFERENCE"):
        monkeypatch.setenv(f"KEYPRINT_{part}_ADDRESS", f"127.0.0.1:{server.port}")
    yield stand_ins
    server.stop(0)


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    status: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def keyprint(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["keyprint", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        code = ended.value.code
        # As the interpreter does with a sentence.
        return Result(0 if code is None else 1 if isinstance(code, str) else int(code), told.out, _said(code, told.err))

    return run


def _said(code: object, err: str) -> str:
    return f"{err}{code}\n" if isinstance(code, str) else err


def test_create_follows_the_import_to_its_end(services: Services, keyprint: Run) -> None:
    result = keyprint("datasets", "create", "http://x/", "--phrase", "hi", "--min-attempts", "5")
    assert result.status == 0
    assert "ds_1" in result.out
    assert "READY" in result.out
    asked = services.ingest.asked[0]
    assert (asked.url, asked.phrase, asked.min_attempts) == ("http://x/", "hi", 5)


def test_an_incomplete_dataset_tells_why_and_exits_with_0(services: Services, keyprint: Run) -> None:
    services.ingest.dataset.state = Dataset.STATE_INCOMPLETE
    services.ingest.dataset.error.CopyFrom(
        attempts_pb2.Error(reason="DOCUMENT_NOT_FOUND", message="http://x/2 is not there (404).", field="url")
    )
    result = keyprint("datasets", "create", "http://x/")
    assert result.status == 0
    assert "INCOMPLETE" in result.out
    assert "http://x/2 is not there (404). [DOCUMENT_NOT_FOUND]" in result.out


def test_a_failed_import_exits_with_1_and_json_stays_whole(services: Services, keyprint: Run) -> None:
    services.ingest.dataset.state = Dataset.STATE_FAILED
    services.ingest.dataset.error.CopyFrom(attempts_pb2.Error(reason="NOT_JSON", message="It is not JSON."))
    result = keyprint("datasets", "create", "http://x/", "--json")
    assert result.status == 1
    assert json.loads(result.out)["error"]["reason"] == "NOT_JSON"


def test_a_refusal_is_one_sentence_with_reason_and_field(services: Services, keyprint: Run) -> None:
    result = keyprint("datasets", "create", "ftp://x/")
    assert result.status == 1
    assert result.err.splitlines()[-1] == "error: The url must be http or https. [URL_INVALID, url]"
    assert result.out == ""


def test_files_are_sent_in_order(services: Services, keyprint: Run, tmp_path: Path) -> None:
    first, second = tmp_path / "b.json", tmp_path / "a.json"
    first.write_bytes(b"1" * (2**18 + 1))
    second.write_bytes(b"")
    assert keyprint("datasets", "create", str(first), str(second), "--phrase", "hi").status == 0
    header, *pieces, _ = services.ingest.asked
    assert header.header.phrase == "hi"
    sent = [(piece.piece.name, len(piece.piece.content)) for piece in pieces]
    assert sent == [(str(first), 2**18), (str(first), 1), (str(second), 0)]


def test_a_file_that_is_not_there_is_named(services: Services, keyprint: Run, tmp_path: Path) -> None:
    there = tmp_path / "a.json"
    there.write_text("{}")
    result = keyprint("datasets", "create", str(there), str(tmp_path / "b.json"))
    assert result.status == 1
    assert "b.json is neither a file to read nor a URL" in result.err
    assert "[FILE_NOT_FOUND, sources]" in result.err


@pytest.mark.parametrize("others", [["http://example.org/a.json"], ["--base", "ds_1"]])
def test_a_url_beside_others_is_refused_and_not_repeated(services: Services, keyprint: Run, others: list[str]) -> None:
    result = keyprint("datasets", "create", "http://ann:sesame@example.org/b.json?key=sesame", *others)
    assert result.status == 1
    assert "[SOURCES_INVALID, sources]" in result.err
    assert "sesame" not in result.err


@pytest.mark.parametrize("content", [b"[" * 200_000, b"\x1f\x8b" + b"\0" * 20, b'{"next": 5}', b'{"next": null}'])
def test_a_file_that_names_nothing_is_sent(services: Services, keyprint: Run, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    result = keyprint("datasets", "create", str(path))
    assert (result.status, result.err) == (0, "")
    assert b"".join(one.piece.content for one in services.ingest.asked[1:]) == content


@pytest.mark.parametrize(
    ("following", "told"),
    [
        ("../b.json", "names '../b.json' as its next, which is outside of its folder"),
        ("%2e%2e/b.json", "which is outside of its folder"),
        ("\0", "which is outside of its folder"),
        ("https://ann:sesame@example.org/b.json", "names a URL as its next"),
    ],
)
def test_a_chain_of_files_that_leaves_its_folder_is_refused_before_anything_is_sent(
    services: Services, keyprint: Run, tmp_path: Path, following: str, told: str
) -> None:
    path = tmp_path / "folder" / "a.json"
    path.parent.mkdir()
    (tmp_path / "b.json").write_text("{}")
    path.write_text(json.dumps({"next": following}))
    result = keyprint("datasets", "create", str(path))
    assert result.status == 1
    assert told in result.err
    assert "sesame" not in result.err
    assert services.ingest.asked == []
    # Whoever has no more of the chain than this can send that.
    assert keyprint("datasets", "create", str(path), "--alone").status == 0
    assert [one.piece.name for one in services.ingest.asked[1:-1]] == [str(path)]


@pytest.mark.parametrize(
    ("following", "broken_at", "told"),
    [
        ("missing.json", "missing.json", "missing.json is chained, and there is no such file"),
        ("b" * 300, "b" * 300, "is chained, and there is no such file"),
        ("a.json", "a.json", "comes back to"),
        ("b.json", "c.json", "comes back to"),
    ],
)
def test_a_chain_of_files_that_breaks_off_is_sent_up_to_there(
    services: Services, keyprint: Run, tmp_path: Path, following: str, broken_at: str, told: str
) -> None:
    for name, names in (("a.json", "c.json"), ("c.json", following), ("b.json", "c.json")):
        (tmp_path / name).write_text(json.dumps({"next": names}))
    result = keyprint("datasets", "create", str(tmp_path / "a.json"))
    assert result.status == 0
    assert told in result.err
    _, *pieces, last, _ = services.ingest.asked
    sent = ["a.json", "c.json", "b.json"] if following == "b.json" else ["a.json", "c.json"]
    assert [one.piece.name for one in pieces] == [str(tmp_path / name) for name in sent]
    assert last.broken_at.name == str(tmp_path / broken_at)


def test_an_empty_source_is_named(services: Services, keyprint: Run) -> None:
    result = keyprint("datasets", "create", "")
    assert (result.status, services.ingest.asked) == (1, [])
    assert "A source is empty; give a URL, or the path of a file. [SOURCES_INVALID, sources]" in result.err


def test_files_chain_others_by_their_names_or_as_urls_write_these(
    services: Services, keyprint: Run, tmp_path: Path
) -> None:
    names = ["a.json", "j k.json", "m%20n.json", "z.json"]
    chained = ["j%20k.json", "m%20n.json", "z.json", None]
    for name, following in zip(names, chained, strict=True):
        (tmp_path / name).write_text(json.dumps({"next": following}))
    # What was chained already is sent once.
    assert keyprint("datasets", "create", *(str(tmp_path / name) for name in ("a.json", "z.json"))).status == 0
    assert [one.piece.name for one in services.ingest.asked[1:-1]] == [str(tmp_path / name) for name in names]


def test_a_file_whose_name_is_no_utf_8_is_sent(services: Services, keyprint: Run, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.json"))
    path.write_text("{}")
    assert keyprint("datasets", "create", str(path)).status == 0
    assert services.ingest.asked[1].piece.name.endswith("/a?.json")


def test_a_file_that_goes_while_files_are_sent_is_named(
    services: Services, keyprint: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    path.write_text("{}")
    monkeypatch.setattr(Path, "read_bytes", lambda self: self.with_name("gone").open("rb").read())
    result = keyprint("datasets", "create", str(path))
    assert (result.status, result.err.splitlines()) == (
        1,
        [f"error: {path} cannot be read: No such file or directory. [FILE_NOT_FOUND, sources]"],
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("datasets", "create", "http://x/", "--min-attempts", "5000000000"), "MIN_ATTEMPTS_INVALID, min_attempts"),
        (("datasets", "create", "http://x/\udcff"), "URL_INVALID, url"),
        (("datasets", "create", "http://x/" + "a" * 300 + "\udcff"), "URL_INVALID, url"),
        (("datasets", "create", "http://x/", "--phrase", "\udcff"), "PHRASE_INVALID, phrase"),
        (("datasets", "create", __file__, "--base", "\udcff"), "DATASET_NOT_FOUND, base_dataset"),
        (("datasets", "records", "ds_1", "--first-n", "5000000000"), "PAGE_SIZE_INVALID, page_size"),
        (("datasets", "show", "\udcff"), "DATASET_NOT_FOUND, dataset"),
        (("datasets", "delete", "\udcff"), "DATASET_NOT_FOUND, dataset"),
        (("models", "show", "\udcff"), "MODEL_NAME_INVALID, model"),
        (("predict", "m", "\udcff", "--csv", "x.csv"), "DATASET_NOT_FOUND, dataset"),
        (
            ("train", "ds_1", "--learner", "adaboost", "--model", "m", "--param", "\udcff=1"),
            "PARAMETER_INVALID, params",
        ),
    ],
)
def test_what_no_message_can_hold_is_refused_by_field(
    services: Services, keyprint: Run, words: tuple[str, ...], reason: str
) -> None:
    result = keyprint(*words)
    assert result.status == 1
    (sentence,) = result.err.splitlines()
    assert sentence.startswith("error: ")
    assert sentence.endswith(f"[{reason}]")


def test_datasets_are_listed_over_all_pages(services: Services, keyprint: Run) -> None:
    assert [one["id"] for one in json.loads(keyprint("datasets", "list", "--json").out)] == ["ds_1", "ds_0"]
    table = keyprint("datasets", "list").out
    assert "ds_1" in table
    assert "FAILED" in table


def set_users(services: Services, *users: ingest_pb2.UserStatistics) -> None:
    services.ingest.dataset.users = len(users)
    services.ingest.users = list(users)


def cells(out: str) -> list[list[str]]:
    """The cells of each line of a table."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines()]


def test_show_tells_of_each_user_what_is_not_valid_and_why_not_enrolled(services: Services, keyprint: Run) -> None:
    kind = ingest_pb2.UserStatistics
    services.ingest.dataset.min_attempts = 20
    set_users(
        services,
        kind(user="[red]ann", attempts=1030, valid_attempts=1022, enrolled=True, invalid={"EMPTY": 8}),
        kind(user="bob", attempts=25, valid_attempts=21, duplicate_attempts=3, warnings={"LONG_PAUSE": 4}),
    )
    rows = cells(keyprint("datasets", "show", "ds_1").out)
    assert ["[red]ann", "1,030", "1,022", "0", "8 EMPTY", "", "yes"] in rows
    assert ["bob", "25", "21", "3", "", "4 LONG_PAUSE", "no, 18 of 20 attempts"] in rows
    shown = json.loads(keyprint("datasets", "show", "ds_1", "--json").out)
    assert [one["warnings"] for one in shown["user_statistics"]] == [{}, {"LONG_PAUSE": 4}]


def test_nobody_is_called_enrolled_or_not_before_all_is_read(services: Services, keyprint: Run) -> None:
    services.ingest.dataset.state = Dataset.STATE_IMPORTING
    set_users(services, ingest_pb2.UserStatistics(user="ann", attempts=30, valid_attempts=30))
    assert ["ann", "30", "30", "0", "", "", ""] in cells(keyprint("datasets", "show", "ds_1").out)


def test_the_first_users_are_shown_on_request_and_of_a_new_dataset(services: Services, keyprint: Run) -> None:
    set_users(services, *(ingest_pb2.UserStatistics(user=f"typist{number:02}") for number in range(25)))
    for words, shown in (
        (("show", "ds_1", "--first-n", "3"), 3),
        (("show", "ds_1", "--first-n", "25"), 25),
        (("show", "ds_1"), 25),
        (("create", "http://x/"), 20),
    ):
        out = keyprint("datasets", *words).out
        found = [row[0] for row in cells(out) if row and row[0].startswith("typist")]
        assert found == [f"typist{number:02}" for number in range(shown)]
        more = f"{25 - shown} more of 25; `keyprint datasets show ds_1` shows all."
        assert (more in out) == (shown < 25)
    first = json.loads(keyprint("datasets", "show", "ds_1", "--first-n", "3", "--json").out)
    assert [one["user"] for one in first["user_statistics"]] == ["typist00", "typist01", "typist02"]


def test_create_asks_the_source_again_where_told_to(services: Services, keyprint: Run) -> None:
    refreshed = keyprint("datasets", "create", "http://x/", "--refresh")
    plain = keyprint("datasets", "create", "http://x/")
    assert [request.refresh for request in services.ingest.asked] == [True, False]
    # The stand-in's refresh ends in the dataset that there was.
    assert refreshed.err == "The source was asked again and has not changed. What was read before is used.\n"
    assert (plain.err, plain.out) == ("", refreshed.out)


@pytest.mark.parametrize("more", [(), ("--base", "ds_1")])
def test_files_cannot_be_asked_again_whether_they_have_changed(
    services: Services, keyprint: Run, more: tuple[str, ...]
) -> None:
    result = keyprint("datasets", "create", __file__, "--refresh", *more)
    assert (result.status, services.ingest.asked) == (1, [])
    assert result.err == (
        "error: --refresh asks a URL again whether it has changed, and files are read anew each time; leave it out. "
        "[REFRESH_INVALID, refresh]\n"
    )


def test_records_show_labels_and_keys_as_they_are(services: Services, keyprint: Run) -> None:
    table = keyprint("datasets", "records", "ds_1").out
    assert "[red]ann" in table
    assert "[backspace]" in table
    assert "90.0" in table
    assert [("DUPLICATE" in line) for line in table.splitlines() if "ann" in line] == [False, True]
    assert len(json.loads(keyprint("datasets", "records", "ds_1", "--first-n", "1", "--json").out)) == 1


def test_deleting_names_the_dataset(services: Services, keyprint: Run) -> None:
    assert keyprint("datasets", "delete", "ds_1").status == 0
    assert services.ingest.asked[0].dataset == "ds_1"


TRAIN = ("train", "ds_1", "--learner", "adaboost", "--model", "m")


def test_training_says_that_it_has_started_and_ends_with_a_comparison(services: Services, keyprint: Run) -> None:
    result = keyprint(*TRAIN, "--holdout", "0.25", "--param", "rounds=50", "--seed", "7", "--split", "random")
    assert result.status == 0
    assert "Training has started: job_1 makes m@1 with adaboost." in result.err
    assert "95.6%" in result.out
    assert "OTHER_PHRASE" in result.out
    job, comparison = services.training.asked
    assert (job.holdout, job.seed, dict(job.params)) == (0.25, 7, {"rounds": 50.0})
    assert job.split == comparison.split == attempts_pb2.SPLIT_RANDOM
    assert (comparison.holdout, comparison.seed) == (0.25, 7)


def test_training_as_json_gives_job_model_and_comparison(services: Services, keyprint: Run) -> None:
    found = json.loads(keyprint(*TRAIN, "--json").out)
    assert found["job"]["state"] == "SUCCEEDED"
    assert found["model"]["name"] == "m"
    assert [row["name"] for row in found["comparison"]["rows"]] == ["m", "second", "old"]


def test_a_comparison_that_fails_does_not_hide_that_the_model_was_made(services: Services, keyprint: Run) -> None:
    gone = ("train", "ds_gone", *TRAIN[2:])
    result = keyprint(*gone)
    assert (result.status, result.out) == (3, "m@1 is trained.\n")
    told = (
        "error: m@1 is made, and the comparison failed: There is no dataset 'ds_gone'. [DATASET_NOT_FOUND, dataset]\n"
    )
    assert result.err.endswith(told)
    as_json = keyprint(*gone, "--json")
    assert as_json.status == 3
    found = json.loads(as_json.out)
    assert (found["job"]["model"], found["error"]["reason"]) == ("m", "DATASET_NOT_FOUND")


def test_jobs_are_listed_and_shown(services: Services, keyprint: Run) -> None:
    listed = keyprint("jobs", "list").out
    assert [text for text in ("job_1", "job_2", "RUNNING", "m@2") if text not in listed] == []
    assert [one["id"] for one in json.loads(keyprint("jobs", "list", "--json").out)] == ["job_2", "job_1"]
    shown = keyprint("jobs", "show", "job_1").out
    assert [text for text in ("fitting, 25%", "m@1") if text not in shown] == []
    assert json.loads(keyprint("jobs", "show", "job_1", "--json").out)["progress"] == 0.25
    missing = keyprint("jobs", "show", "job_0")
    assert (missing.status, missing.err) == (1, "error: There is no training job 'job_0'. [JOB_NOT_FOUND, job]\n")


def test_a_job_is_watched_to_its_end(services: Services, keyprint: Run) -> None:
    result = keyprint("jobs", "watch", "job_1")
    assert (result.status, "SUCCEEDED" in result.out) == (0, True)
    services.training.ending = Job(
        state=Job.STATE_FAILED, error=attempts_pb2.Error(reason="OUT_OF_MEMORY", message="Train on less.")
    )
    failed = keyprint("jobs", "watch", "job_1", "--json")
    assert failed.status == 1
    assert json.loads(failed.out)["error"]["reason"] == "OUT_OF_MEMORY"
    assert failed.err == "error: Train on less. [OUT_OF_MEMORY]\n"
    assert keyprint("jobs", "watch", "job_0").status == 1


def test_a_job_is_cancelled_and_waited_for(services: Services, keyprint: Run) -> None:
    services.training.ending = Job(state=Job.STATE_CANCELLED)
    result = keyprint("jobs", "cancel", "job_1")
    assert (result.status, result.out) == (0, "CANCELLED\n")
    # It came too late.
    services.training.ending = Job(state=Job.STATE_SUCCEEDED)
    late = keyprint("jobs", "cancel", "job_1", "--json")
    assert (late.status, json.loads(late.out)["state"]) == (1, "SUCCEEDED")


def test_no_wait_prints_the_job_and_leaves(services: Services, keyprint: Run) -> None:
    assert keyprint(*TRAIN, "--no-wait").out == "job_1\n"


@pytest.mark.parametrize("holdout", ["abc", "0", "1", "-0.1", "nan", "inf", ""])
def test_a_holdout_that_is_none_has_the_reason_that_it_has_everywhere(
    services: Services, keyprint: Run, holdout: str
) -> None:
    result = keyprint(*TRAIN, f"--holdout={holdout}")
    assert result.status == 1
    assert result.err.endswith("[HOLDOUT_OUT_OF_RANGE, holdout]\n")
    assert services.training.asked == []
    assert keyprint("models", "compare", "ds_1", f"--holdout={holdout}").err == result.err


@pytest.mark.parametrize(
    ("param", "name"), [("rounds", "params.rounds"), ("rounds=many", "params.rounds"), ("=1", "params")]
)
def test_a_parameter_that_is_none_is_refused(services: Services, keyprint: Run, param: str, name: str) -> None:
    result = keyprint(*TRAIN, "--param", param)
    assert result.status == 1
    assert result.err.endswith(f"[PARAMETER_INVALID, {name}]\n")


def test_a_taken_name_is_told(services: Services, keyprint: Run) -> None:
    result = keyprint("train", "ds_1", "--learner", "adaboost", "--model", "taken")
    assert (result.status, result.err) == (1, "error: There is a model 'taken'. [MODEL_NAME_TAKEN, model]\n")


def test_a_job_that_fails_exits_with_1_and_says_why(services: Services, keyprint: Run) -> None:
    services.training.ending = Job(
        state=Job.STATE_FAILED, error=attempts_pb2.Error(reason="NOT_ENOUGH_USERS", message="Two are needed.")
    )
    result = keyprint(*TRAIN)
    assert result.status == 1
    assert result.err.endswith("error: Two are needed. [NOT_ENOUGH_USERS]\n")
    assert result.out == ""


def test_a_job_that_somebody_cancels_exits_with_1(services: Services, keyprint: Run) -> None:
    services.training.ending = Job(state=Job.STATE_CANCELLED)
    assert keyprint(*TRAIN).err.endswith("[JOB_CANCELLED, job]\n")


def test_models_are_listed_shown_and_compared(services: Services, keyprint: Run) -> None:
    assert "m@1" in keyprint("models", "list").out
    assert json.loads(keyprint("models", "list", "--json").out)[0]["aliases"] == ["best"]
    shown = keyprint("models", "show", "m").out
    told = [
        *("1,234 attempts", "hi there", "0.0625", "2 steps, at the last loss 1.25", "model.onnx", "654,321"),
        *("0.01, unless asked for another", "0.4321", "87.5%"),
        "2.0% of their claims accepted (set for 1.0%), 40.0% taken for somebody, and 5.0% of the others'",
    ]
    assert [text for text in told if text not in shown] == []
    assert json.loads(keyprint("models", "compare", "ds_1", "--json").out)["attempts"] == 180


def test_a_model_is_evaluated_user_by_user(services: Services, keyprint: Run) -> None:
    shown = keyprint("models", "evaluate", "m@1", "ds_1", "--holdout", "0.3").out
    assert [text for text in ("m@1", "3 of them", "ann", "87.5%") if text not in shown] == []
    assert json.loads(keyprint("models", "evaluate", "m", "ds_1", "--json").out)["seen_attempts"] == 3
    asked, _ = services.training.asked
    assert (asked.model, asked.dataset, asked.holdout) == ("m@1", "ds_1", 0.3)


def test_models_get_aliases_and_are_deleted(services: Services, keyprint: Run) -> None:
    assert keyprint("models", "alias", "m@7", "best").out == "m@best is m@7.\n"
    assert keyprint("models", "delete", "m").status == 0
    aliased, deleted = services.training.asked
    assert (aliased.model, aliased.alias, deleted.model) == ("m@7", "best", "m")


def test_moves_of_aliases_are_listed_newest_first(services: Services, keyprint: Run) -> None:
    rows = [line.split() for line in keyprint("models", "aliases", "m").out.splitlines() if "best" in line]
    assert ["deleted" in rows[0], "7" in rows[1]] == [True, True]
    assert [one["version"] for one in json.loads(keyprint("models", "aliases", "m", "--json").out)] == [0, 7]


def test_a_model_is_exported_whole(services: Services, keyprint: Run, tmp_path: Path) -> None:
    path = tmp_path / "m.keyprint"
    assert keyprint("models", "export", "m", "--output", str(path)).status == 0
    assert path.read_bytes() == MODEL


def test_help_names_the_extra_that_a_bento_needs(keyprint: Run) -> None:
    assert "the extra `bento`" in keyprint("models", "bento", "--help").out


@pytest.mark.parametrize(("model", "reason"), [("m@1", "SERVICE_UNAVAILABLE"), ("eve", "MODEL_NOT_FOUND")])
def test_an_export_that_fails_leaves_no_file(
    services: Services, keyprint: Run, tmp_path: Path, model: str, reason: str
) -> None:
    result = keyprint("models", "export", model, "--output", str(tmp_path / "m.keyprint"))
    assert result.status == 1
    assert reason in result.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("model", "reason"), [("m", "SERVICE_UNAVAILABLE"), ("eve", "MODEL_NOT_FOUND")])
def test_a_bento_that_cannot_be_built_leaves_no_file(
    services: Services, keyprint: Run, tmp_path: Path, model: str, reason: str
) -> None:
    result = keyprint("models", "bento", model, "--output", str(tmp_path / "m.tar"))
    assert result.status == 1
    assert reason in result.err
    assert not list(tmp_path.iterdir())


def test_a_bento_takes_the_place_of_no_file(
    services: Services, keyprint: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "m-1.bento.tar"
    path.write_text("mine")
    result = keyprint("models", "bento", "m")
    assert result.status == 1
    assert result.err == (
        "error: m-1.bento.tar exists; remove it, or name another file with --output. [FILE_EXISTS, output]\n"
    )
    assert path.read_text() == "mine"


def test_a_model_is_imported_from_a_file(services: Services, keyprint: Run, tmp_path: Path) -> None:
    path = tmp_path / "m.keyprint"
    path.write_bytes(MODEL)
    assert keyprint("models", "import", str(path), "--name", "n", "--new-version").out == "n@2 is imported.\n"
    refused = keyprint("models", "import", str(path), "--name", "taken")
    assert refused.status == 1
    assert refused.err.endswith("[MODEL_NAME_TAKEN, model]\n")
    (first, sent), (second, _) = services.training.asked
    assert (first.model, first.new_version, sent) == ("n", True, MODEL)
    assert not second.new_version


def test_predictions_are_one_row_per_attempt_in_order(services: Services, keyprint: Run, tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.csv"
    result = keyprint("predict", "m", "ds_1", "--csv", str(path))
    assert result.status == 0
    assert "3 rows" in result.out
    assert path.read_text() == (
        "attempt,predicted_user,probability,decision,reason\n"
        "0,ann,0.5,IDENTIFIED,\n"
        "1,bob,0.5,IDENTIFIED,\n"
        "2,,,INVALID,EMPTY\n"
    )
    assert [one.name for one in path.parent.iterdir()] == ["out.csv"]


def test_labels_with_commas_and_quotes_survive_the_csv(services: Services, keyprint: Run, tmp_path: Path) -> None:
    services.inference.users = ['x, "the" y', "plain"]
    assert keyprint("predict", "m", "ds_1", "--csv", str(tmp_path / "out.csv")).status == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert [row["predicted_user"] for row in rows] == services.inference.users


def test_keystroke_rows_are_asked_for(services: Services, keyprint: Run, tmp_path: Path) -> None:
    keyprint("predict", "m", "ds_1", "--csv", str(tmp_path / "out.csv"), "--rows", "keystrokes", "--far", "0.05")
    asked = services.inference.asked[0]
    assert (asked.rows, asked.far) == (inference_pb2.PredictDatasetRequest.ROWS_KEYSTROKES, 0.05)


def test_predicting_a_url_imports_it_with_the_models_phrase(services: Services, keyprint: Run, tmp_path: Path) -> None:
    assert keyprint("predict", "m", "http://x/test.json", "--csv", str(tmp_path / "out.csv"), "--json").status == 0
    assert services.ingest.asked[0].phrase == "hi there"
    assert services.inference.asked[0].dataset == "ds_1"


def test_a_prediction_that_breaks_leaves_the_file_as_it_was(services: Services, keyprint: Run, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("before")
    result = keyprint("predict", "breaks", "ds_1", "--csv", str(path))
    assert result.status == 1
    assert result.err.endswith("[OTHER_PHRASE, dataset]\n")
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["out.csv"]


def test_a_csv_that_cannot_be_written_is_named(services: Services, keyprint: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = keyprint("predict", "m", "ds_1", "--csv", str(tmp_path / "file" / "out.csv"))
    assert result.status == 1
    assert result.err.endswith("[FILE_NOT_WRITABLE, csv]\n")


ATTEMPT = [
    {"typed_at": "2024-01-01T00:00:00.000001", "character": "h", "released_at": "2024-01-01T00:00:00.1"},
    {"typed_at": "2024-01-01T00:00:00.2", "character": "i"},
]


def test_identify_sends_the_attempt_of_a_file(services: Services, keyprint: Run, tmp_path: Path) -> None:
    path = tmp_path / "attempt.json"
    path.write_text(json.dumps(ATTEMPT))
    result = keyprint("identify", "m", str(path), "--candidates", "3", "--far", "0.001")
    assert result.status == 0
    assert "IDENTIFIED" in result.out
    assert "0.8750" in result.out
    assert "Flagged: SYNTHETIC_SUSPECTED" in result.out
    assert "log-odds" not in result.out
    asked = services.inference.asked[0]
    assert (asked.candidates, asked.far) == (3, 0.001)
    assert list(asked.attempt.character) == ["h", "i"]
    assert asked.attempt.pressed_at[1] - asked.attempt.pressed_at[0] == 199_999
    assert asked.attempt.released_at[1] == -1


def test_identify_tells_what_each_key_said(services: Services, keyprint: Run, tmp_path: Path) -> None:
    path = tmp_path / "attempt.json"
    path.write_text(json.dumps(ATTEMPT))
    result = keyprint("identify", "m", str(path), "--explain")
    assert services.inference.asked[0].explain
    assert "For (+) and against (-) ann, in log-odds:" in result.out
    assert all(text in result.out for text in ("' '", "+1.250", "-0.500"))


def test_an_attempt_from_standard_input_that_is_not_valid_is_an_answer(
    services: Services, keyprint: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(ATTEMPT[:1]).encode())))
    result = keyprint("identify", "m", "-", "--json")
    assert result.status == 0
    assert json.loads(result.out)["reason"] == "PHRASE_MISMATCH"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "NOT_JSON"),
        ("{}", "ATTEMPT_INVALID"),
        ("[1]", "ATTEMPT_INVALID"),
        ('[{"character": "a"}]', "ATTEMPT_INVALID"),
    ],
)
def test_an_attempt_that_is_none_is_refused(
    services: Services, keyprint: Run, tmp_path: Path, content: str, reason: str
) -> None:
    path = tmp_path / "attempt.json"
    path.write_text(content)
    result = keyprint("identify", "m", str(path))
    assert result.status == 1
    assert result.err.endswith(f"[{reason}, attempt]\n")
    assert services.inference.asked == []


def test_services_that_do_not_run_are_told(keyprint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYPRINT_INGEST_ADDRESS", "127.0.0.1:1")
    result = keyprint("datasets", "list")
    assert result.status == 1
    assert result.err.endswith("Keyprint's ingest service does not answer; is it running? [SERVICE_UNAVAILABLE]\n")


def test_settings_that_are_off_exit_with_2(keyprint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYPRINT_INGEST_RETRIES", "99")
    result = keyprint("up")
    assert result.status == 2
    assert result.err.startswith("error: KEYPRINT_INGEST_RETRIES is '99'; it must be less than or equal to 10.")


def test_words_that_are_off_exit_with_2(keyprint: Run) -> None:
    assert keyprint("datasets", "create").status == 2
    assert keyprint("train", "ds_1").status == 2
    assert keyprint("frobnicate").status == 2


def test_a_missing_package_is_told_with_what_brings_it(keyprint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cast(dict[str, Any], sys.modules), "typer", None)
    monkeypatch.delitem(sys.modules, "keyprint.cli.app", raising=False)
    result = keyprint("datasets", "list")
    assert result.status == 1
    assert "pip install 'keyprint[cli]'" in result.err


def test_simulate_prints_the_first_document(keyprint: Run, tmp_path: Path) -> None:
    result = keyprint("simulate", str(tmp_path), "--users", "2", "--attempts", "3", "--phrase", "hi")
    assert result.status == 0
    assert json.loads(Path(result.out.strip()).read_text())["next"] == "user_typist01.json"


def test_learners_are_listed_with_what_training_says_of_them(services: Services, keyprint: Run) -> None:
    out = keyprint("learners").out
    assert "bush: Bush" in out
    assert "oracle: Oracle" in out
    (row,) = [line for line in out.splitlines() if "depth" in line]
    assert [cell.strip() for cell in row.strip("│ ").split("│")] == [
        "depth",
        "24",
        "1",
        "64",
        "integer",
        "Most decisions.",
    ]
    first, _ = json.loads(keyprint("learners", "--json").out)
    assert first["parameters"] == [
        {
            "name": "depth",
            "description": "Most decisions.",
            "kind": "INTEGER",
            "default": 24,
            "minimum": 1,
            "maximum": 64,
        }
    ]


def test_a_comparison_shows_how_likely_each_difference_is_by_chance(services: Services, keyprint: Run) -> None:
    out = keyprint("models", "compare", "ds_1").out
    assert "0.031" in next(line for line in out.splitlines() if "second@1" in line)


def test_a_comparison_tells_its_hold_out_as_it_was_asked_for(services: Services, keyprint: Run) -> None:
    for share, told in (("0.999", "late 99.9% of ds_1"), ("0.2", "late 20% of ds_1")):
        assert told in keyprint("models", "compare", "ds_1", "--holdout", share).out
