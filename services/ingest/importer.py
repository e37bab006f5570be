"""Follows a chain of documents to its end.

An import can be killed at any moment and run again: a document counts once its row is in the catalogue, and the next
run goes on after the last one that does.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from keyprint import attempts
from keyprint.attempts import REASONS, WARNINGS, Verdicts
from keyprint.errors import FailedPrecondition, Internal, InvalidArgument, KeyprintError
from keyprint.settings import IngestSettings
from services.ingest import catalogue as states
from services.ingest.catalogue import Catalogue, Dataset
from services.ingest.catalogue import Document as DocumentRow
from services.ingest.download import LOOK_SECONDS, UPLOAD, Download, Downloads
from services.ingest.fetch import Fetcher
from services.ingest.listing import listed
from services.ingest.parse import Document, to_batch
from services.ingest.part import OpenPart
from services.ingest.store import Store, find_duplicates, parts_of
from services.ingest.urls import without_credentials

log = logging.getLogger(__name__)

_USUAL = IngestSettings.model_construct()
"""What the settings are where nobody sets them."""


@dataclass(frozen=True)
class ImportLimits:
    """What one import may cost.

    Attributes:
        documents: most documents of a dataset.
        dataset_bytes: most bytes of all its documents, decompressed.
        document_attempts: most attempts of one document, which is to say of one user.
        attempt_keystrokes: keystrokes beyond which an attempt is TOO_LONG.
        seconds: longest time for one run.
    """

    documents: int = _USUAL.ingest_documents
    dataset_bytes: int = _USUAL.ingest_dataset_mib * 2**20
    document_attempts: int = _USUAL.ingest_document_attempts
    attempt_keystrokes: int = _USUAL.ingest_attempt_keystrokes
    seconds: float = _USUAL.ingest_seconds


_INTERNAL = Internal("INTERNAL", "Something went wrong inside Keyprint; its log says what.")


class _Cancelled(Exception):
    """The caller does not want it any more."""


class Importer:
    """Runs imports over one catalogue and store."""

    def __init__(
        self,
        catalogue: Catalogue,
        store: Store,
        open_fetcher: Callable[[], Fetcher],
        limits: ImportLimits | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._store = store
        self._open_fetcher = open_fetcher
        self.limits = limits or ImportLimits()

    def run(self, dataset_id: str) -> None:
        """Imports what is still missing of a dataset, and ends it; what goes wrong is told on the dataset."""
        error: KeyprintError | None = None
        dataset = self._catalogue.get(dataset_id)
        part = OpenPart(self._catalogue, self._store, dataset)
        deadline = time.monotonic() + self.limits.seconds

        most = self.limits.document_attempts
        looked = -math.inf

        def check(url: str) -> None:
            nonlocal looked
            # Keeping every one of many small documents by itself would take longer than reading them.
            if time.monotonic() - looked < LOOK_SECONDS:
                return
            looked = time.monotonic()
            part.close()
            if self._catalogue.reading(dataset_id, without_credentials(url)) != states.IMPORTING:
                raise _Cancelled
            if looked > deadline:
                raise _beyond(f"The import takes longer than {self.limits.seconds:g} seconds")

        try:
            with Downloads(self._store, self._open_fetcher, dataset.generation > 0, most, check) as downloads:
                try:
                    self._read(dataset, downloads, part, check)
                finally:
                    # What was read before something went wrong is kept.
                    part.close()
        except _Cancelled:
            pass
        except KeyprintError as caught:
            error = caught
        except Exception:
            # The dataset has to end whatever happened; nobody else would ever end it.
            log.exception("import of %s failed", dataset_id)
            error = _INTERNAL
        try:
            self._end(dataset_id, error)
        except Exception:
            log.exception("the import of %s could not be ended", dataset_id)
            self._catalogue.end(dataset_id, states.FAILED, "", _INTERNAL)

    def _read(self, dataset: Dataset, downloads: Downloads, part: OpenPart, check: Callable[[str], None]) -> None:
        """Reads document after document, from the first one that is missing."""
        limits = self.limits
        check(dataset.url)
        coming = self._coming(dataset, downloads)
        dataset = self._catalogue.get(dataset.id)
        seen = {row.url for row in dataset.documents}
        known = dict.fromkeys(row.user for row in dataset.documents)
        count = len(dataset.documents)
        first = sum(row.attempts for row in dataset.documents)
        size = sum(row.downloaded_bytes for row in dataset.documents)
        for download in coming:
            check(download.url)
            shown = without_credentials(download.url)
            document = download.document
            size += download.size
            if download.url in seen:
                raise InvalidArgument("CHAIN_LOOP", f"The chain comes back to {shown}.", "url")
            if count >= limits.documents:
                raise _beyond(f"The source has more than {limits.documents:,} documents")
            if size > limits.dataset_bytes:
                raise _beyond(f"The source has more than {limits.dataset_bytes:,} bytes")
            try:
                _check_user(document.user, known, shown)
            except FailedPrecondition:
                # It may be mended tomorrow.
                self._store.forget(download.url)
                raise
            verdicts = attempts.judge(document.keystrokes, dataset.phrase, limits.attempt_keystrokes)
            batch = to_batch(document, verdicts, first)
            row = _row(document, verdicts)
            row.number, row.url, row.next_url = count, download.url, download.following
            row.digest, row.downloaded_bytes = download.digest, download.size
            part.add(row, batch)
            seen.add(download.url)
            known[document.user] = None
            count += 1
            first += batch.num_rows

    def _coming(self, dataset: Dataset, downloads: Downloads) -> Iterator[Download]:
        """The documents that are still missing."""
        sources = self._catalogue.sources(dataset)
        if sources and dataset.base and not dataset.documents:
            self._copy_base(dataset, sources[0].number)
            dataset = self._catalogue.get(dataset.id)
        read = dataset.documents
        if not read and not sources and not dataset.url.startswith(UPLOAD):
            urls = self._listed(downloads, dataset.url)
            if urls is not None:
                self._catalogue.add_sources(dataset, urls)
                return downloads.each(urls)
        if sources:
            return downloads.each([source.url for source in sources if source.number >= len(read)])
        following = read[-1].next_url if read else dataset.url
        return downloads.chain(following) if following else iter(())

    def _listed(self, downloads: Downloads, url: str) -> list[str] | None:
        try:
            return listed(downloads.content(url), url)
        except InvalidArgument:
            # It may be mended tomorrow.
            self._store.forget(url)
            raise

    def _copy_base(self, dataset: Dataset, count: int) -> None:
        base = self._catalogue.get(str(dataset.base))
        self._store.copy_parts(base.id, dataset.id, parts_of(base.documents[:count]))
        self._catalogue.copy_documents(base, dataset, count)

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
        renewed = self._catalogue.previous(dataset) if state == states.READY else None
        if renewed and renewed.fingerprint == fingerprint:
            self._store.delete(dataset_id)
            self._catalogue.stand_for(dataset, renewed)
            return
        self._catalogue.end(dataset_id, state, fingerprint, error)

    def _mark(self, dataset: Dataset) -> None:
        parts = [
            self._store.read_part(dataset.id, part, ["attempt_id", "reason"]) for part in parts_of(dataset.documents)
        ]
        columns = pa.concat_tables(parts).combine_chunks()
        codes: dict[str | None, int] = {}
        users = np.array([codes.setdefault(row.user, len(codes)) for row in dataset.documents])
        user = np.repeat(users, [row.attempts for row in dataset.documents])
        valid = np.flatnonzero(pc.equal(columns["reason"], "").to_numpy())
        duplicate = np.zeros(len(user), np.bool_)
        duplicate[valid] = find_duplicates(user[valid], _digests(columns["attempt_id"])[valid])
        bounds = np.cumsum([0, *(row.attempts for row in dataset.documents)])
        duplicates = [int(duplicate[begin:end].sum()) for begin, end in pairwise(bounds.tolist())]
        enrolled = [
            row.user is not None and row.valid_attempts - count >= dataset.min_attempts
            for row, count in zip(dataset.documents, duplicates, strict=True)
        ]
        of_each = np.repeat(np.array(enrolled, np.bool_), np.diff(bounds))
        self._store.write_marks(dataset.id, duplicate, of_each)
        self._catalogue.mark(dataset, duplicates, enrolled)


def _beyond(what: str) -> InvalidArgument:
    return InvalidArgument("LIMIT_EXCEEDED", f"{what}, which is a limit of this Keyprint.", "url")


def _check_user(user: str | None, known: Mapping[str | None, None], shown: str) -> None:
    if known and (user is None) != (None in known):
        raise FailedPrecondition(
            "NOT_A_DOCUMENT", f"{shown} says who typed and others of its chain do not, or the reverse.", "url"
        )
    if user is not None and user in known:
        raise FailedPrecondition("DUPLICATE_USER", f"{shown} is a second document of user {user!r}.", "url")


def _row(document: Document, verdicts: Verdicts) -> DocumentRow:
    valid, *invalid = np.bincount(verdicts.reason, minlength=len(REASONS)).tolist()
    found = {name: int((verdicts.warnings >> bit & 1).sum()) for bit, name in enumerate(WARNINGS)}
    return DocumentRow(
        user=document.user,
        attempts=len(document.keystrokes),
        keystrokes=len(document.keystrokes.pressed_at),
        valid_attempts=valid,
        released_attempts=int(attempts.released(document.keystrokes, verdicts).sum()),
        invalid={reason: count for reason, count in zip(REASONS[1:], invalid, strict=True) if count},
        warnings={name: count for name, count in found.items() if count},
    )


def _digests(ids: pa.ChunkedArray) -> npt.NDArray[np.bytes_]:
    """S17[n]: attempt ids, each with a mark after it, as numpy drops trailing zero bytes."""
    marked = np.ones((len(ids), attempts.ID_BYTES + 1), np.uint8)
    marked[:, :-1] = np.frombuffer(b"".join(ids.to_pylist()), np.uint8).reshape(-1, attempts.ID_BYTES)
    found: npt.NDArray[np.bytes_] = marked.view(f"S{attempts.ID_BYTES + 1}")[:, 0]
    return found


def _no_valid_attempts(dataset: Dataset) -> KeyprintError:
    total = sum(row.attempts for row in dataset.documents)
    return FailedPrecondition(
        "NO_VALID_ATTEMPTS", f"None of the {total:,} attempts reads as the phrase {dataset.phrase!r}.", "phrase"
    )


def _fingerprint(dataset: Dataset) -> str:
    """Over phrase and documents in order, and not over where they came from."""
    return sha256("\n".join([dataset.phrase, *(row.digest for row in dataset.documents)]).encode()).hexdigest()
