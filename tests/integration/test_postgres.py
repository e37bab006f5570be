"""Ingest and training on a real PostgreSQL: the same work, and nothing lost when they are killed."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from sqlalchemy import event

from keyprint import simulate
from keyprint.addresses import free_address
from keyprint.attempts import DEFAULT_PHRASE
from keyprint.channel import channel as open_channel
from keyprint.client import IngestClient, TrainingClient
from keyprint.errors import AlreadyExists, InvalidArgument, KeyprintError, Unavailable, from_rpc_error
from keyprint.processes import free_addresses
from keyprint.v1 import ingest_pb2, ingest_pb2_grpc, training_pb2, training_pb2_grpc
from services.training.jobs import Asked, Jobs
from services.training.models import Models
from services.training.tables import Job, Sessions, open_tables
from tests.conftest import Files, Serve
from tests.unit.training.rows import measured, model_row
from tests.unit.training.test_models import deleted_between

pytestmark = pytest.mark.timeout(300)

PARTS = ("ingest", "training")


def programs() -> Path | None:
    """Where PostgreSQL's server is, which Debian keeps out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


class Postgres:
    """A server of its own, with an empty database for each service."""

    def __init__(self, binaries: Path, folder: Path, user: str | None) -> None:
        port = free_address().port
        self.url = f"postgresql+psycopg://keyprint@127.0.0.1:{port}"
        """Up to the database's name."""
        self._user = user
        data = f"{folder}/data"
        make = [f"{binaries}/initdb", "-D", data, "-U", "keyprint", "--auth=trust", "--no-sync", "--encoding=UTF8"]
        subprocess.run(make, check=True, user=user, capture_output=True)  # noqa: S603 - Debian's programs, as below
        self._serve = [f"{binaries}/postgres", "-D", data, "-k", str(folder), "-h", "127.0.0.1", "-p", str(port)]
        self.start()

    def start(self) -> None:
        nothing = subprocess.DEVNULL
        self._server = subprocess.Popen(self._serve, user=self._user, stdout=nothing, stderr=nothing)  # noqa: S603

    def stop(self) -> None:
        """Whoever is connected is sent away."""
        self._server.send_signal(signal.SIGINT)
        self._server.wait()


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    binaries = programs()
    if binaries is None:
        pytest.skip("PostgreSQL's server is not installed")
    # It refuses to run as root, and its user cannot enter pytest's own directories.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="keyprint-postgres-"))
    if user:
        shutil.chown(folder, user)
    server = Postgres(binaries, folder, user)
    try:
        for part in PARTS:
            with connected(f"{server.url.replace('+psycopg', '')}/postgres") as connection:
                connection.execute(f"create database {part}")
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def postgres(server: Postgres) -> str:
    """The server's URL up to the database's name."""
    return server.url


def connected(url: str) -> psycopg.Connection:
    """A connection to a server that may still be starting."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return psycopg.connect(url, autocommit=True)
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.1)


class House:
    """Ingest and training, each on its database."""

    def __init__(self, home: Path, database: str) -> None:
        self.addresses = free_addresses(PARTS)
        self._home = home
        self._environment = {
            **os.environ,
            "KEYPRINT_HOME": str(home),
            "KEYPRINT_INGEST_ALLOW_NETS": "127.0.0.0/8",
            "KEYPRINT_INGEST_ADDRESS": self.addresses["ingest"].listen,
            **{f"KEYPRINT_{part.upper()}_LISTEN": address.listen for part, address in self.addresses.items()},
            **{f"KEYPRINT_{part.upper()}_DATABASE": f"{database}/{part}" for part in PARTS},
        }
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, part: str) -> None:
        with (self._home / f"{part}.log").open("ab") as log:
            self.running[part] = subprocess.Popen(  # noqa: S603 - our own
                [sys.executable, "-m", f"services.{part}"], env=self._environment, stdout=log, stderr=log
            )
        with grpc.insecure_channel(self.addresses[part].listen) as channel:
            grpc.channel_ready_future(channel).result(timeout=60)

    def kill(self, part: str) -> None:
        self.running[part].kill()
        self.running[part].wait()


@pytest.fixture
def house(postgres: str, tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path, postgres)
    for part in PARTS:
        house.start(part)
    yield house
    for part in PARTS:
        house.kill(part)


def test_work_is_done_and_survives_a_kill(house: House, tmp_path: Path, serve: Serve) -> None:
    files = tmp_path / "files"
    first, *_ = simulate.write(files, 3, 25, DEFAULT_PHRASE)
    with (
        serve(functools.partial(Files, directory=str(files))) as url,
        IngestClient(house.addresses["ingest"].listen) as ingest,
    ):
        *_, dataset = ingest.watch_dataset(ingest.create_dataset(f"{url}/{first.name}").id)
    assert dataset.users == 3
    with TrainingClient(house.addresses["training"].listen) as training:
        job = training.create_training_job(dataset.id, "adaboost", "ada", 0.2, params={"trees": 400, "depth": 6})
        assert any(seen.curve for seen in training.watch_training_job(job.id))
        other = training.create_training_job(dataset.id, "adaboost", "bob", 0.2, params={"trees": 400, "depth": 6})
        next(seen for seen in training.watch_training_job(other.id) if seen.curve)
    house.kill("training")
    house.start("training")
    with TrainingClient(house.addresses["training"].listen) as training:
        *_, ended = training.watch_training_job(other.id)
        assert ended.state == training_pb2.TrainingJob.STATE_SUCCEEDED, ended.error
        assert sorted(f"{one.name}@{one.version}" for one in training.list_models()) == ["ada@1", "bob@1"]
        training.set_model_alias("ada", "champion")
        assert training.get_model("ada@champion").version == 1
    # Nothing of the catalogues or the queues lies in files.
    assert not list(tmp_path.rglob("*.db"))


NUL = "x\0"


def test_what_no_database_holds_is_the_callers_fault_and_one_that_is_away_is_not(
    house: House, server: Postgres
) -> None:
    with (
        open_channel(house.addresses["training"].listen) as to_training,
        open_channel(house.addresses["ingest"].listen) as to_ingest,
    ):
        training = training_pb2_grpc.TrainingServiceStub(to_training)
        ingest = ingest_pb2_grpc.IngestServiceStub(to_ingest)
        page: dict[str, Any] = {"page_token": str(2**31)}
        asked: dict[str, Any] = {"learner": "adaboost", "model": "m", "holdout": 0.2}
        beyond: list[tuple[Any, Any, str]] = [
            (training.ListTrainingJobs, training_pb2.ListTrainingJobsRequest(**page), "page_token"),
            (training.ListModels, training_pb2.ListModelsRequest(**page), "page_token"),
            (training.ListAliasMoves, training_pb2.ListAliasMovesRequest(model="m", **page), "page_token"),
            (ingest.ListDatasets, ingest_pb2.ListDatasetsRequest(**page), "page_token"),
            (training.GetTrainingJob, training_pb2.GetTrainingJobRequest(job=NUL), "job"),
            (training.CancelTrainingJob, training_pb2.CancelTrainingJobRequest(job=NUL), "job"),
            (training.CreateTrainingJob, training_pb2.CreateTrainingJobRequest(request_id=NUL, **asked), "request_id"),
            (training.CreateTrainingJob, training_pb2.CreateTrainingJobRequest(dataset=NUL, **asked), "dataset"),
            (ingest.GetDataset, ingest_pb2.GetDatasetRequest(dataset=NUL), ""),
            (ingest.DeleteDataset, ingest_pb2.DeleteDatasetRequest(dataset=NUL), ""),
        ]
        for call, message, field in beyond:
            told = refused(call, message)
            assert (type(told), told.field) == (InvalidArgument, field), told
        usual: list[tuple[Any, Any]] = [
            (training.ListModels, training_pb2.ListModelsRequest()),
            (training.GetTrainingJob, training_pb2.GetTrainingJobRequest(job="job_1")),
            (ingest.ListDatasets, ingest_pb2.ListDatasetsRequest()),
        ]
        server.stop()
        try:
            for call, message in usual:
                told = refused(call, message)
                assert (type(told), told.reason) == (Unavailable, "DATABASE_UNAVAILABLE")
                assert "127.0.0.1" not in told.message
        finally:
            server.start()
            connected(f"{server.url.replace('+psycopg', '')}/postgres").close()
        # Nothing has to be started again.
        training.ListModels(training_pb2.ListModelsRequest())
        ingest.ListDatasets(ingest_pb2.ListDatasetsRequest())


def test_a_job_goes_on_when_the_database_is_back(house: House, server: Postgres, tmp_path: Path, serve: Serve) -> None:
    files = tmp_path / "files"
    first, *_ = simulate.write(files, 3, 25, DEFAULT_PHRASE)
    with (
        serve(functools.partial(Files, directory=str(files))) as url,
        IngestClient(house.addresses["ingest"].listen) as ingest,
    ):
        *_, dataset = ingest.watch_dataset(ingest.create_dataset(f"{url}/{first.name}").id)
    with TrainingClient(house.addresses["training"].listen) as training:
        job = training.create_training_job(dataset.id, "adaboost", "zoe", 0.2, params={"trees": 400, "depth": 6})
        next(seen for seen in training.watch_training_job(job.id) if seen.curve)
        server.stop()
        server.start()
        connected(f"{server.url.replace('+psycopg', '')}/postgres").close()
        *_, ended = training.watch_training_job(job.id)
        assert ended.state == training_pb2.TrainingJob.STATE_SUCCEEDED, ended.error
        later = training.create_training_job(dataset.id, "adaboost", "zoe", 0.2, params={"trees": 3}, new_version=True)
        *_, ended = training.watch_training_job(later.id)
        assert ended.state == training_pb2.TrainingJob.STATE_SUCCEEDED, ended.error
        assert [one.version for one in training.list_models() if one.name == "zoe"] == [2, 1]


def refused(call: Callable[[Any], Any], message: Any) -> KeyprintError:
    with pytest.raises(grpc.RpcError) as caught:
        call(message)
    return from_rpc_error(caught.value)


def publish(jobs: Jobs, job: Job) -> None:
    """Ends a job with a model."""
    assert jobs.succeed(job.id, model_row(job.model, job.version))


@pytest.fixture
def tables(postgres: str) -> Iterator[Sessions]:
    """The service's tables, in a database of their own."""
    server = postgres.replace("+psycopg", "")
    with connected(f"{server}/postgres") as connection:
        connection.execute("create database tables")
    tables = open_tables(f"{postgres}/tables")
    yield tables
    tables.kw["bind"].dispose()
    with connected(f"{server}/postgres") as connection:
        connection.execute("drop database tables")


def test_a_name_whose_job_succeeds_while_it_is_asked_for_is_taken(tables: Sessions) -> None:
    jobs = Jobs(tables)
    asked = Asked("ds_1", "adaboost", "ada", 0.2, "late", "timing", {}, 0)
    job = jobs.open(asked, "", False)
    assert jobs.begin(job.id)
    seen = 0

    def between(connection: object, cursor: object, statement: str, *_: object) -> None:
        nonlocal seen
        if statement.startswith(("SELECT jobs.number", "SELECT models.number")):
            seen += 1
            if seen == 1:
                publish(jobs, job)

    event.listen(tables.kw["bind"], "after_cursor_execute", between)
    with pytest.raises(AlreadyExists):
        jobs.open(asked, "", False)
    assert seen


def test_figures_measured_by_many_at_once_are_kept_once(tables: Sessions) -> None:
    jobs, models = Jobs(tables), Models(tables)
    job = jobs.open(Asked("ds_1", "adaboost", "eve", 0.2, "late", "timing", {}, 0), "", False)
    assert jobs.begin(job.id)
    publish(jobs, job)

    def keep(number: int) -> None:
        models.keep_measured(measured("eve1", str(number // 8)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(keep, range(160)))
    assert all(models.measured("eve1", str(number)) for number in range(20))


def test_nothing_is_kept_of_a_model_that_is_deleted_while_it_is_written(tables: Sessions) -> None:
    jobs = Jobs(tables)
    job = jobs.open(Asked("ds_1", "adaboost", "eve", 0.2, "late", "timing", {}, 0), "", False)
    assert jobs.begin(job.id)
    publish(jobs, job)
    models = deleted_between(tables, "eve@1")
    models.keep_measured(measured("eve1"))
    assert models.measured("eve1", "h") is None
    assert models.all() == []


def test_a_server_that_was_started_again_is_met_with_a_new_connection(tables: Sessions, postgres: str) -> None:
    models = Models(tables)
    assert models.all() == []
    with connected(f"{postgres.replace('+psycopg', '')}/postgres") as connection:
        connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'tables'")
    assert models.all() == []
