"""How an import ends: what was read is marked, named by its content, and kept or not."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from itertools import pairwise

import numpy as np

from keyprint.errors import FailedPrecondition, KeyprintError
from services.ingest.catalogue import Catalogue
from services.ingest.duplicates import COLUMNS, Named, duplicates, names
from services.ingest.inbox import UPLOAD
from services.ingest.store import Store, parts_of
from services.ingest.tables import CANCELLED, CANCELLING, INCOMPLETE, READY, Dataset


class Ending:
    """Ends imports.

    The catalogue is told first, and files are deleted after it: a kill in between leaves files that nobody misses,
    and the next start sweeps them.
    """

    def __init__(self, catalogue: Catalogue, store: Store) -> None:
        self._catalogue = catalogue
        self._store = store

    def end(self, dataset_id: str, error: KeyprintError | None, named: Mapping[int, Named]) -> None:
        """Ends an import that read all that it could, or was stopped by `error` or by its caller.

        What names the attempts of a part is read from it if it is not `named` here by the part's number.
        """
        dataset = self._catalogue.get(dataset_id)
        if dataset.state == CANCELLING:
            self._catalogue.end(dataset_id, CANCELLED)
        elif dataset.valid_attempts:
            self._keep(dataset, error, named)
        else:
            self._catalogue.fail(dataset, error or _no_valid_attempts(dataset))
            self._store.delete(dataset_id)
        self._release(dataset)

    def fail(self, dataset_id: str, error: KeyprintError) -> None:
        """Ends an import of which nothing can be kept."""
        dataset = self._catalogue.get(dataset_id)
        self._catalogue.fail(dataset, error)
        self._store.delete(dataset_id)
        self._release(dataset)

    def _keep(self, dataset: Dataset, error: KeyprintError | None, named: Mapping[int, Named]) -> None:
        self._mark(dataset, named)
        fingerprint = _fingerprint(dataset)
        renewed = self._catalogue.previous(dataset) if dataset.generation and not error else None
        if renewed and renewed.fingerprint == fingerprint and self._catalogue.stand_for(dataset, renewed):
            self._store.delete(dataset.id)
            return
        self._catalogue.end(dataset.id, INCOMPLETE if error else READY, fingerprint, error)

    def _mark(self, dataset: Dataset, named: Mapping[int, Named]) -> None:
        parts = [
            named[part] if part in named else names(self._store.read_part(dataset.id, part, COLUMNS))
            for part in parts_of(dataset.documents)
        ]
        codes: dict[str | None, int] = {}
        users = np.array([codes.setdefault(row.user, len(codes)) for row in dataset.documents])
        of_each_attempt = np.repeat(users, [row.attempts for row in dataset.documents])
        duplicate = duplicates(parts, of_each_attempt)
        bounds = np.cumsum([0, *(row.attempts for row in dataset.documents)])
        counts = [int(duplicate[begin:end].sum()) for begin, end in pairwise(bounds.tolist())]
        enrolled = [
            row.user is not None and row.valid_attempts - count >= dataset.min_attempts
            for row, count in zip(dataset.documents, counts, strict=True)
        ]
        of_each = np.repeat(np.array(enrolled, np.bool_), np.diff(bounds))
        self._store.write_marks(dataset.id, duplicate, of_each)
        self._catalogue.mark(dataset, counts, enrolled)

    def _release(self, dataset: Dataset) -> None:
        if dataset.url.startswith(UPLOAD):
            self._store.inbox.release(dataset.url, self._catalogue.is_importing)


def _no_valid_attempts(dataset: Dataset) -> KeyprintError:
    which = f"None of its {dataset.attempts:,} attempts" if dataset.attempts > 1 else "No attempt in it"
    what = f"{which} reads as the phrase {dataset.phrase!r}."
    return FailedPrecondition("NO_VALID_ATTEMPTS", what, "phrase")


def _fingerprint(dataset: Dataset) -> str:
    """Over phrase and documents in order, and not over where they came from."""
    return sha256("\n".join([dataset.phrase, *(row.digest for row in dataset.documents)]).encode()).hexdigest()
