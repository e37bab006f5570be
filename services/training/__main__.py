"""Runs the training service: python -m services.training"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from keyprint import logs
from keyprint.channel import channel
from keyprint.database import await_database, of_database, workflows_url
from keyprint.onlyone import only_one
from keyprint.pace import Pace
from keyprint.rpc import Server
from keyprint.settings import TrainingSettings, read, run
from keyprint.v1 import ingest_pb2_grpc, training_pb2, training_pb2_grpc
from keyprint.workflows import WorkQueue


def main() -> None:
    """Builds everything once and serves until SIGTERM or SIGINT."""
    settings = read(TrainingSettings)
    logs.configure(settings.log_level)
    home = settings.directory("training")
    with only_one(home, "training service"):
        _serve(settings, home)


def _serve(settings: TrainingSettings, home: Path) -> None:
    # Before it touches what there is: where it cannot listen, nothing has changed.
    server = Server(
        settings.training_listen, training_pb2.DESCRIPTOR, waiting=settings.waiting_calls, explains=[of_database]
    )
    # What libraries put aside lies here too, where the next start sweeps it away after a crash.
    temporary = home / "temporary"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)
    # BentoML reads both while it is imported; unasked it writes into the user's home and reports its use.
    os.environ |= {"BENTOML_HOME": str(home / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"}

    from services.training.arrivals import Arrivals, Limits
    from services.training.compare import Comparer
    from services.training.ingest import Ingest
    from services.training.intake import Intake
    from services.training.jobs import Jobs
    from services.training.models import Models
    from services.training.runner import Runner
    from services.training.servicer import TrainingServicer
    from services.training.store import Store
    from services.training.tables import open_tables

    database = settings.training_database or f"sqlite:///{home / 'catalogue.db'}"
    await_database(database, settings.database_seconds)
    tables = open_tables(database)
    workflows = workflows_url(settings.training_database, home)
    jobs, models = Jobs(tables), Models(tables)
    store = Store(home / "models")
    pace = Pace(
        settings.training_upload_seconds, settings.training_read_seconds, settings.training_upload_kib_second * 1024
    )
    limits = Limits(settings.training_import_mib * 2**20, settings.training_import_memory_mib, pace)
    arrivals = Arrivals(models, store, home / "arrivals", limits)
    runner = Runner(jobs, models, store, settings.ingest_address, settings.training_ingest_seconds, home / "jobs")
    queue = WorkQueue("training", workflows, settings.training_concurrency, runner.run, settings.executor)
    # A crash between the tables and the queue leaves a job that nobody works on.
    for job in jobs.under_way():
        queue.resume(job.id)
    with channel(settings.ingest_address) as ingest:
        datasets = Ingest(ingest_pb2_grpc.IngestServiceStub(ingest))
        intake = Intake(jobs, datasets, queue)
        servicer = TrainingServicer(
            jobs, models, store, Comparer(models, store), arrivals, intake, datasets, server.watches
        )
        training_pb2_grpc.add_TrainingServiceServicer_to_server(servicer, server.grpc_server)
        # A job that is being worked on starts again at the next start; its process ends with this one.
        server.run(settings.grace_seconds)


if __name__ == "__main__":
    run(main)
