"""What callers may do to datasets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Protocol

import pyarrow as pa

from keyprint import checks
from keyprint.errors import FailedPrecondition, InvalidArgument, NotFound
from services.ingest.catalogue import Catalogue
from services.ingest.sent import Header, Part, pieces, size
from services.ingest.store import Store
from services.ingest.tables import IMPORTING, READABLE, Dataset
from services.ingest.upload import Uploads
from services.ingest.urls import check_url, lane, without_credentials

MOST_MIN_ATTEMPTS, USUAL_MIN_ATTEMPTS = 100_000, 20


class Queue(Protocol):
    """Where imports wait for their turn."""

    def put(self, thing: str, run: int = 1, lane: str | None = None) -> None:
        """Queues one run of an import, once however often it is put; a few of one lane run at a time."""


class Datasets:
    """Makes, cancels and deletes datasets; their imports run in the queue."""

    def __init__(self, catalogue: Catalogue, store: Store, uploads: Uploads, queue: Queue) -> None:
        self._catalogue = catalogue
        self._store = store
        self._uploads = uploads
        self._queue = queue

    def create(self, url: str, phrase: str, min_attempts: int, refresh: bool) -> Dataset:
        """The dataset of a URL, imported if need be; an empty phrase and no `min_attempts` stand for the usual.

        Raises:
            InvalidArgument: one of these is wrong.
        """
        url, phrase, min_attempts = check_url(url), checks.phrase(phrase), _min_attempts(min_attempts)
        return self._imported(self._catalogue.open_import(url, without_credentials(url), phrase, min_attempts, refresh))

    def upload(self, sent: Iterator[Part]) -> Dataset:
        """The dataset of documents that a caller sends, imported if need be.

        Raises:
            InvalidArgument: the header or a document is missing or wrong.
            NotFound: there is no such base.
            FailedPrecondition: the base cannot be added to.
            TooSlow: it takes too long.
            Cancelled: it broke off.
        """
        with closing(self._uploads.in_time(sent, size)) as parts:
            return self._received(parts)

    def _received(self, parts: Iterator[Part]) -> Dataset:
        header = next(parts, None)
        if not isinstance(header, Header):
            raise InvalidArgument("HEADER_MISSING", "An upload must begin with its header.", "header")
        min_attempts = _min_attempts(header.min_attempts)
        base = self.readable(header.base, "base_dataset") if header.base else None
        phrase = checks.phrase(header.phrase or (base.phrase if base else ""))
        breaks = list[str]()
        return self._imported(self._uploads.receive(pieces(parts, breaks), phrase, min_attempts, base, breaks))

    def cancel(self, dataset: str) -> Dataset:
        """Asks an import to stop; gives the dataset as it stands.

        Raises:
            NotFound: there is none of that id.
        """
        self._catalogue.ask_to_cancel(dataset)
        return self._catalogue.look(dataset)

    def delete(self, dataset: str) -> None:
        """Deletes a dataset with all its files, and what was downloaded for it unless another is of the same source.

        Raises:
            NotFound: there is none of that id.
            FailedPrecondition: it is being imported.
        """
        deleted = self._catalogue.delete(dataset)
        self._store.delete(deleted.id)
        if not self._catalogue.is_known(deleted.url):
            self._store.cache.delete(deleted.url)

    def readable(self, dataset: str, field: str = "dataset") -> Dataset:
        """A dataset whose attempts can be read.

        Raises:
            NotFound: there is none of that id.
            FailedPrecondition: it was not read, or not yet.
        """
        try:
            found = self._catalogue.get(dataset)
        except NotFound as error:
            raise NotFound(error.reason, error.message, field) from None
        if found.state not in READABLE:
            raise FailedPrecondition(
                "DATASET_NOT_READY", f"The dataset is {found.state}; it must be READY or INCOMPLETE.", field
            )
        return found

    @contextmanager
    def unless_deleted(self, dataset: Dataset) -> Iterator[None]:
        """While the files of a dataset are read, another caller may delete it, or have its import go on.

        Raises:
            NotFound: it was deleted meanwhile.
            FailedPrecondition: it is being imported again.
        """
        try:
            yield
        except (OSError, pa.ArrowInvalid):
            try:
                self.readable(dataset.id)
            except NotFound as error:
                what = f"The dataset {dataset.id!r} was deleted while it was read."
                raise NotFound(error.reason, what, error.field) from None
            raise

    def trainable(self, dataset: str) -> Dataset:
        """A dataset that says who typed.

        Raises:
            NotFound: there is none of that id.
            FailedPrecondition: it was not read, or does not say so.
        """
        found = self.readable(dataset)
        if not found.labelled:
            raise FailedPrecondition(
                "DATASET_UNLABELLED", "The dataset does not say who typed, so nothing can be trained on it.", "dataset"
            )
        return found

    def _imported(self, dataset: Dataset) -> Dataset:
        # Whoever opened the import may have died before it came into the queue.
        if dataset.state == IMPORTING:
            self._queue.put(dataset.id, dataset.runs, lane(dataset.url))
        return dataset


def _min_attempts(count: int) -> int:
    if count > MOST_MIN_ATTEMPTS:
        raise InvalidArgument(
            "MIN_ATTEMPTS_INVALID",
            f"min_attempts must be 1 to {MOST_MIN_ATTEMPTS:,}, not {count:,}.",
            "min_attempts",
        )
    return count or USUAL_MIN_ATTEMPTS
