"""Imports as durable workflows: queued, run a few at a time, and gone on with after a crash."""

from __future__ import annotations

from dbos import DBOS, SetWorkflowID

from services.ingest.catalogue import Catalogue, Dataset
from services.ingest.importer import Importer

QUEUE = "imports"
_POLL_SECONDS = 0.1


class ImportQueue:
    """The one DBOS instance of this process."""

    def __init__(self, importer: Importer, catalogue: Catalogue, database: str, concurrency: int) -> None:
        """Launches DBOS on the SQLAlchemy URL `database`, which also takes up what a crash left running."""
        DBOS(
            config={
                "name": "keyprint-ingest",
                "system_database_url": database,
                # Recovery picks up the work of the same executor and version only, so both are fixed.
                "executor_id": "ingest",
                "application_version": "1",
                "run_migrations": True,
            }
        )

        @DBOS.step(name="follow_chain")
        def follow_chain(dataset: str) -> None:
            importer.run(dataset)

        @DBOS.workflow(name="import_dataset")
        def import_dataset(dataset: str) -> None:
            follow_chain(dataset)

        self._workflow = import_dataset
        DBOS.launch()
        DBOS.register_queue(QUEUE, worker_concurrency=concurrency, polling_interval_sec=_POLL_SECONDS)
        # A crash between the catalogue and the queue leaves a dataset that nobody works on.
        for dataset in catalogue.under_way():
            self.put(dataset)

    def put(self, dataset: Dataset) -> None:
        """Queues an import; the same run of the same dataset is queued once, however often it is put."""
        with SetWorkflowID(f"{dataset.id}-{dataset.runs}"):
            DBOS.enqueue_workflow(QUEUE, self._workflow, dataset.id)
