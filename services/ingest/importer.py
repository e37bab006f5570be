"""Follows a chain of documents to its end.

An import can be killed at any moment and run again: a document counts once its row is in the catalogue, and the next
run goes on after the last one that does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from urllib.parse import urljoin

import numpy as np
import pyarrow as pa

from keyprint import attempts, features
from keyprint.attempts import REASONS, WARNINGS, Flags, Verdicts
from keyprint.errors import FailedPrecondition, Internal, InvalidArgument, KeyprintError
from services.ingest import catalogue as states
from services.ingest.catalogue import Catalogue, Dataset
from services.ingest.catalogue import Document as DocumentRow
from services.ingest.fetch import Fetcher, without_credentials
from services.ingest.parse import Document, parse_document, to_batch
from services.ingest.store import Store, find_duplicates

MAX_DOCUMENTS = 100_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Download:
    """A document as it came, read.

    Attributes:
        digest: SHA-256 of its bytes, decompressed, as 64 hex digits.
        size: how many these are.
        document: what they say.
    """

    digest: str
    size: int
    document: Document


class Importer:
    """Runs imports over one catalogue and store."""

    def __init__(self, catalogue: Catalogue, store: Store, open_fetcher: Callable[[], Fetcher]) -> None:
        self._catalogue = catalogue
        self._store = store
        self._open_fetcher = open_fetcher

    def run(self, dataset_id: str) -> None:
        """Imports what is still missing of a dataset, and ends it; what goes wrong is told on the dataset."""
        error: KeyprintError | None = None
        try:
            with self._open_fetcher() as fetcher, ThreadPoolExecutor(1) as ahead:
                self._follow(dataset_id, fetcher, ahead)
        except KeyprintError as caught:
            error = caught
        except Exception:
            # The dataset has to end whatever happened; nobody else would ever end it.
            log.exception("import of %s failed", dataset_id)
            error = Internal("INTERNAL", "Something went wrong inside Keyprint; its log says what.")
        self._end(dataset_id, error)

    def _follow(self, dataset_id: str, fetcher: Fetcher, ahead: ThreadPoolExecutor) -> None:
        dataset = self._catalogue.get(dataset_id)
        seen = {row.url for row in dataset.documents}
        users = [row.user for row in dataset.documents]
        first = sum(row.attempts for row in dataset.documents)
        url = dataset.documents[-1].next_url if dataset.documents else dataset.url
        coming = self._coming(url, fetcher, ahead)
        while url and coming and self._catalogue.state(dataset_id) == states.IMPORTING:
            if url in seen:
                raise InvalidArgument("CHAIN_LOOP", f"The chain comes back to {without_credentials(url)}.", "url")
            if len(users) >= MAX_DOCUMENTS:
                raise InvalidArgument("LIMIT_EXCEEDED", f"The chain has over {MAX_DOCUMENTS:,} documents.", "url")
            download = coming.result()
            document = download.document
            following = urljoin(url, document.next) if document.next else None
            # The next document is already on its way while this one is judged and written.
            coming = self._coming(following, fetcher, ahead)
            _check_user(document.user, users, url)
            verdicts = attempts.judge(document.keystrokes, dataset.phrase)
            batch = to_batch(document, verdicts, first)
            self._store.write_part(dataset_id, len(users), batch)
            row = _row(document, verdicts, dataset.phrase)
            row.dataset_number, row.number, row.url, row.next_url = dataset.number, len(users), url, following
            row.digest, row.downloaded_bytes = download.digest, download.size
            self._catalogue.add_document(row)
            seen.add(url)
            users.append(document.user)
            first += batch.num_rows
            url = following

    def _coming(self, url: str | None, fetcher: Fetcher, ahead: ThreadPoolExecutor) -> Future[Download] | None:
        return ahead.submit(self._download, url, fetcher) if url else None

    def _download(self, url: str, fetcher: Fetcher) -> Download:
        cached = self._store.cached(url)
        content = fetcher.fetch(url) if cached is None else cached
        document = _parsed(content, url)
        # What is no document now may be one tomorrow; only documents are kept.
        if cached is None:
            self._store.cache(url, content)
        return Download(sha256(content).hexdigest(), len(content), document)

    def _end(self, dataset_id: str, error: KeyprintError | None) -> None:
        dataset = self._catalogue.get(dataset_id)
        if not error and not any(row.valid_attempts for row in dataset.documents):
            error = _no_valid_attempts(dataset)
        if dataset.state == states.CANCELLING:
            state, error = states.CANCELLED, None
        elif error:
            state = states.INCOMPLETE if any(row.valid_attempts for row in dataset.documents) else states.FAILED
        else:
            state = states.READY
        if state == states.FAILED:
            self._store.delete(dataset_id)
            self._catalogue.forget_documents(dataset)
        elif state in states.READABLE:
            self._mark(dataset)
        fingerprint = _fingerprint(dataset) if state in states.READABLE else ""
        self._catalogue.end(dataset_id, state, fingerprint, error)

    def _mark(self, dataset: Dataset) -> None:
        tables = [
            self._store.read_part(dataset.id, row.number, ["attempt_id", "user", "reason"]) for row in dataset.documents
        ]
        columns = pa.concat_tables(tables)
        # A trailing zero byte would be lost in numpy's S16; a marker after it keeps it.
        ids = np.array([one + b"." for one in columns["attempt_id"].to_pylist()], f"S{attempts.ID_BYTES + 1}")
        valid: Flags = np.array([reason == "" for reason in columns["reason"].to_pylist()], np.bool_)
        users = columns["user"].to_pylist()
        duplicate = np.zeros(len(ids), np.bool_)
        rows = np.flatnonzero(valid)
        duplicate[rows] = find_duplicates([users[row] for row in rows.tolist()], ids[rows])
        bounds = np.cumsum([0, *(row.attempts for row in dataset.documents)])
        duplicates = [int(duplicate[begin:end].sum()) for begin, end in pairwise(bounds.tolist())]
        enrolled = [
            row.user is not None and row.valid_attempts - count >= dataset.min_attempts
            for row, count in zip(dataset.documents, duplicates, strict=True)
        ]
        of_each = np.repeat(np.array(enrolled, np.bool_), np.diff(bounds))
        self._store.write_marks(dataset.id, duplicate, of_each)
        self._catalogue.mark(dataset, duplicates, enrolled)


def _parsed(content: bytes, url: str) -> Document:
    try:
        return parse_document(content)
    except InvalidArgument as error:
        message = f"{without_credentials(url)} cannot be read. {error.message}"
        raise InvalidArgument(error.reason, message, "url") from None


def _check_user(user: str | None, users: list[str | None], url: str) -> None:
    shown = without_credentials(url)
    if users and (user is None) != (users[0] is None):
        raise FailedPrecondition(
            "NOT_A_DOCUMENT", f"{shown} says who typed and others of its chain do not, or the reverse.", "url"
        )
    if user is not None and user in users:
        raise FailedPrecondition("DUPLICATE_USER", f"{shown} is a second document of user {user!r}.", "url")


def _row(document: Document, verdicts: Verdicts, phrase: str) -> DocumentRow:
    valid, *invalid = np.bincount(verdicts.reason, minlength=len(REASONS)).tolist()
    aligned = attempts.align(document.keystrokes, verdicts, phrase)
    found = {name: int((verdicts.warnings >> bit & 1).sum()) for bit, name in enumerate(WARNINGS)}
    return DocumentRow(
        user=document.user,
        attempts=len(document.keystrokes),
        keystrokes=len(document.keystrokes.pressed_at),
        valid_attempts=valid,
        released_attempts=int(features.has_release_times(aligned).sum()),
        invalid={reason: count for reason, count in zip(REASONS[1:], invalid, strict=True) if count},
        warnings={name: count for name, count in found.items() if count},
    )


def _no_valid_attempts(dataset: Dataset) -> KeyprintError:
    total = sum(row.attempts for row in dataset.documents)
    return FailedPrecondition(
        "NO_VALID_ATTEMPTS", f"None of the {total:,} attempts reads as the phrase {dataset.phrase!r}.", "phrase"
    )


def _fingerprint(dataset: Dataset) -> str:
    """Over phrase and documents in order, and not over where they came from."""
    return sha256("\n".join([dataset.phrase, *(row.digest for row in dataset.documents)]).encode()).hexdigest()
