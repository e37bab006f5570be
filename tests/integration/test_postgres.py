"""Ingest and training on a real PostgreSQL: the same work, and nothing lost when they are killed."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import psycopg
import pytest
from sqlalchemy import event

from keyprint import simulate
from keyprint.addresses import Address, free_address
from keyprint.attempts import DEFAULT_PHRASE
from keyprint.client import IngestClient, TrainingClient
from keyprint.errors import AlreadyExists
from keyprint.v1 import training_pb2
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


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A server of its own, with an empty database for each service; its URL up to the database's name."""
    binaries = programs()
    if binaries is None:
        pytest.skip("PostgreSQL's server is not installed")
    # It refuses to run as root, and its user cannot enter pytest's own directories.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="keyprint-postgres-"))
    if user:
        shutil.chown(folder, user)
    port = free_address().port
    data, where = f"{folder}/data", ["-h", "127.0.0.1", "-p", str(port)]
    make = [f"{binaries}/initdb", "-D", data, "-U", "keyprint", "--auth=trust", "--no-sync", "--encoding=UTF8"]
    subprocess.run(make, check=True, user=user, capture_output=True)  # noqa: S603 - Debian's programs, as below
    serve = [f"{binaries}/postgres", "-D", data, "-k", str(folder), *where]
    server = subprocess.Popen(  # noqa: S603
        serve, user=user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        address = f"postgresql://keyprint@127.0.0.1:{port}"
        for part in PARTS:
            with connected(f"{address}/postgres") as connection:
                connection.execute(f"create database {part}")
        yield address.replace("://", "+psycopg://")
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


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
        self.addresses: dict[str, Address] = {}
        for part in PARTS:
            self.addresses[part] = free_address(tuple(self.addresses.values()))
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
