"""Runs the ingest service: python -m services.ingest"""

from __future__ import annotations

import logging
from pathlib import Path

from keyprint import logs
from keyprint.database import await_database, of_database, workflows_url
from keyprint.onlyone import only_one
from keyprint.rpc import Server
from keyprint.settings import IngestSettings, read, run
from keyprint.v1 import ingest_pb2, ingest_pb2_grpc
from keyprint.workflows import WorkQueue
from services.ingest.ahead import Ahead
from services.ingest.catalogue import Catalogue
from services.ingest.datasets import Datasets
from services.ingest.fetch import Fetcher, FetchLimits
from services.ingest.guard import Guard
from services.ingest.importer import Importer, ImportLimits
from services.ingest.readers import Readers
from services.ingest.servicer import IngestServicer
from services.ingest.store import Store
from services.ingest.upload import Uploads
from services.ingest.urls import lane


def main() -> None:
    """Builds everything once and serves until SIGTERM or SIGINT."""
    settings = read(IngestSettings)
    logs.configure(settings.log_level)
    # It tells of each retry with the whole URL, and a URL may hold credentials.
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    home = settings.directory("ingest")
    readers = settings.ingest_readers, settings.ingest_reader_seconds
    with only_one(home, "ingest service"), Readers(*readers) as opened:
        _serve(settings, home, opened)


def _serve(settings: IngestSettings, home: Path, readers: Readers) -> None:
    # Before it touches what there is: where it cannot listen, nothing has changed.
    server = Server(
        settings.ingest_listen, ingest_pb2.DESCRIPTOR, waiting=settings.waiting_calls, explains=[of_database]
    )
    database = settings.ingest_database or f"sqlite:///{home / 'catalogue.db'}"
    await_database(database, settings.database_seconds)
    catalogue = Catalogue(database)
    store = Store(home, settings.ingest_cache_mib * 2**20)
    store.sweep(catalogue.in_use())
    guard = Guard(settings.ingest_allow_nets)
    fetch_limits, limits = _limits(settings)
    ahead = Ahead(fetch_limits.document_bytes, settings.ingest_ahead_mib * 2**20)
    importer = Importer(catalogue, store, lambda: Fetcher(guard, fetch_limits), limits, readers.read, ahead)
    uploads = Uploads(
        catalogue,
        store,
        fetch_limits.document_bytes,
        limits,
        fetch_limits.read_seconds,
        readers.read,
        settings.ingest_readers,
    )
    workflows = workflows_url(settings.ingest_database, home)
    # The queue takes no more of one lane than of all.
    host = min(settings.ingest_host_concurrency, settings.ingest_concurrency)
    queue = WorkQueue("ingest", workflows, settings.ingest_concurrency, importer.run, settings.executor, host)
    # A crash between the catalogue and the queue leaves a dataset that nobody works on.
    for dataset in catalogue.under_way():
        queue.resume(dataset.id, dataset.runs, lane(dataset.url))
    servicer = IngestServicer(catalogue, store, Datasets(catalogue, store, uploads, queue), server.watches)
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(servicer, server.grpc_server)
    # An import may be in the middle of a slow download; it goes on at the next start.
    server.run(settings.grace_seconds)


def _limits(settings: IngestSettings) -> tuple[FetchLimits, ImportLimits]:
    fetch_limits = FetchLimits(
        document_bytes=settings.ingest_document_mib * 2**20,
        document_seconds=settings.ingest_document_seconds,
        connect_seconds=settings.ingest_connect_seconds,
        read_seconds=settings.ingest_read_seconds,
        retries=settings.ingest_retries,
        redirects=settings.ingest_redirects,
    )
    limits = ImportLimits(
        documents=settings.ingest_documents,
        dataset_bytes=settings.ingest_dataset_mib * 2**20,
        document_attempts=settings.ingest_document_attempts,
        attempt_keystrokes=settings.ingest_attempt_keystrokes,
        seconds=settings.ingest_seconds,
        upload_bytes_second=settings.ingest_upload_kib_second * 2**10,
    )
    return fetch_limits, limits


if __name__ == "__main__":
    run(main)
