"""Long work as durable workflows: queued, run a few at a time, and gone on with after a crash."""

from __future__ import annotations

from collections.abc import Callable

from dbos import DBOS, SetEnqueueOptions, SetWorkflowID, WorkflowStatus

_POLL_SECONDS = 0.1
_UNDER_WAY = ("PENDING", "ENQUEUED")


class WorkQueue:
    """The one DBOS instance of a process, with one queue of one kind of work."""

    def __init__(
        self,
        name: str,
        database: str,
        concurrency: int,
        work: Callable[[str], None],
        executor: str = "",
        lane: int | None = None,
    ) -> None:
        """Launches DBOS, which also takes up what a crash left running.

        Args:
            name: of the service; it is the queue's name too.
            database: SQLAlchemy URL of DBOS's own tables.
            concurrency: pieces of work that run at once.
            work: does the work on the thing of this id, from wherever it stopped; it records the outcome itself.
            executor: name of this process among those of the service; the service's name if empty.
            lane: those of them that may be of one lane, if work comes in lanes.
        """
        DBOS(
            config={
                "name": f"keyprint-{name}",
                "system_database_url": database,
                # Recovery picks up the work of the same executor and version only, so both are fixed.
                "executor_id": executor or name,
                "application_version": "1",
                "run_migrations": True,
            }
        )

        @DBOS.step(name="work")
        def step(thing: str) -> None:
            work(thing)

        @DBOS.workflow(name="work_on")
        def workflow(thing: str) -> None:
            step(thing)

        self._name = name
        self._workflow = workflow
        DBOS.launch()
        DBOS.register_queue(
            name,
            worker_concurrency=concurrency,
            partition_worker_concurrency=lane,
            polling_interval_sec=_POLL_SECONDS,
        )

    def put(self, thing: str, run: int = 1, lane: str | None = None) -> None:
        """Queues the work on a thing; the same run of it is queued once, however often it is put."""
        self._enqueue(thing, f"{thing}-{run}", lane)

    def resume(self, thing: str, run: int = 1, lane: str | None = None) -> None:
        """Queues the work on a thing that recorded no outcome, also if the workflow itself is over."""
        workflow, number = f"{thing}-{run}", 0
        while (status := DBOS.get_workflow_status(workflow)) and not _will_end(status, lane):
            number += 1
            workflow = f"{thing}-{run}-{number}"
        self._enqueue(thing, workflow, lane)

    def _enqueue(self, thing: str, workflow: str, lane: str | None) -> None:
        with SetWorkflowID(workflow), SetEnqueueOptions(queue_partition_key=lane):
            DBOS.enqueue_workflow(self._name, self._workflow, thing)


def _will_end(status: WorkflowStatus, lane: str | None) -> bool:
    # A queue with lanes never comes to what an earlier version put there without one.
    nowhere = status.status == "ENQUEUED" and lane is not None and status.queue_partition_key is None
    return status.status in _UNDER_WAY and not nowhere
