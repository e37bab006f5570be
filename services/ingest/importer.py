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
from functools import partial

from keyprint.errors import FailedPrecondition, InvalidArgument, KeyprintError, NotFound, internal
from keyprint.settings import IngestSettings
from services.ingest.ahead import Ahead
from services.ingest.catalogue import Catalogue
from services.ingest.download import LOOK_SECONDS, Downloads
from services.ingest.ending import Ending
from services.ingest.fetch import Fetcher, FetchLimits
from services.ingest.inbox import field_of
from services.ingest.missing import Missing
from services.ingest.part import OpenPart
from services.ingest.reading import Read, Rules, read_document
from services.ingest.store import Store
from services.ingest.tables import IMPORTING, UNDER_WAY, Dataset, DocumentRow, now
from services.ingest.walk import Download, Walk

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
        seconds: longest time from the start of a run to its end, crashes included, and longest time of an upload.
        upload_bytes_second: least bytes of an upload for each second of waiting for it.
    """

    documents: int = _USUAL.ingest_documents
    dataset_bytes: int = _USUAL.ingest_dataset_mib * 2**20
    document_attempts: int = _USUAL.ingest_document_attempts
    attempt_keystrokes: int = _USUAL.ingest_attempt_keystrokes
    seconds: float = _USUAL.ingest_seconds
    upload_bytes_second: float = _USUAL.ingest_upload_kib_second * 2**10


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
        read: Read = read_document,
        ahead: Ahead | None = None,
    ) -> None:
        """Runs them within `limits`, reading documents by `read`, and fetching them ahead where `ahead` has room."""
        self._catalogue = catalogue
        self._store = store
        self._open_fetcher = open_fetcher
        self._ending = Ending(catalogue, store)
        self.limits = limits or ImportLimits()
        self._read = read
        self._ahead = ahead or Ahead(FetchLimits.document_bytes)

    def run(self, dataset_id: str) -> None:
        """Imports what is still missing of a dataset, and ends it; what goes wrong is told on the dataset.

        Nothing is done to one whose import has ended: a crash may have come before the queue knew that.
        """
        try:
            dataset = self._catalogue.begin(dataset_id)
        except NotFound:
            return
        if dataset.state not in UNDER_WAY:
            return
        error: KeyprintError | None = None
        part = OpenPart(self._catalogue, self._store, dataset)
        try:
            self._import(dataset, part)
        except _Cancelled:
            pass
        except KeyprintError as caught:
            error = caught
        except Exception:
            # The dataset has to end whatever happened; nobody else would ever end it.
            log.exception("import of %s failed", dataset_id)
            error = internal()
        try:
            self._ending.end(dataset_id, error, part.named)
        except Exception:
            log.exception("the import of %s could not be ended", dataset_id)
            self._ending.fail(dataset_id, internal())

    def _import(self, dataset: Dataset, part: OpenPart) -> None:
        began = dataset.started_at or now()
        looked = -math.inf

        def check(shown: str) -> None:
            nonlocal looked
            # Keeping every one of many small documents by itself would take longer than reading them.
            if time.monotonic() - looked < LOOK_SECONDS:
                return
            looked = time.monotonic()
            part.write()
            if self._catalogue.turn_to(dataset.id, shown) != IMPORTING:
                raise _Cancelled
            # The clock of the machine goes on while nobody works on it.
            if (now() - began).total_seconds() > self.limits.seconds:
                raise _beyond(dataset, f"The import takes longer than {self.limits.seconds:g} seconds")

        rules = Rules(dataset.phrase, self.limits.document_attempts, self.limits.attempt_keystrokes)
        store, source, refresh = self._store, dataset.url, dataset.refresh
        with Downloads(store, self._open_fetcher, source, refresh, check, self._ahead) as downloads:
            walk = Walk(downloads, partial(self._read, rules=rules))
            missing = Missing(self._catalogue, store, downloads, walk, self.limits.documents)
            try:
                check(dataset.source_url)
                self._add(*missing.of(dataset), downloads, part, check)
            finally:
                # What was read before something went wrong is kept.
                part.close()

    def _add(
        self,
        dataset: Dataset,
        coming: Iterator[Download],
        downloads: Downloads,
        part: OpenPart,
        check: Callable[[str], None],
    ) -> None:
        """Adds document after document to what the dataset has."""
        limits = self.limits
        seen = {row.url for row in dataset.documents}
        known = dict.fromkeys(row.user for row in dataset.documents)
        count = len(dataset.documents)
        first = dataset.attempts
        size = sum(row.size for row in dataset.documents)
        for download in coming:
            check(download.shown)
            size += download.size
            if download.url in seen:
                told = f"The chain comes back to {download.shown}."
                raise InvalidArgument("CHAIN_LOOP", told, field_of(download.url))
            if count >= limits.documents:
                raise _beyond(dataset, f"The source has more than {limits.documents:,} documents")
            if size > limits.dataset_bytes:
                raise _beyond(dataset, f"The source has more than {limits.dataset_bytes:,} bytes")
            try:
                _check_user(known, download)
            except FailedPrecondition:
                downloads.forget(download.url)
                raise
            row = _row(count, download)
            part.add(row, download.reading.rows, first)
            seen.add(row.url)
            known[row.user] = None
            count += 1
            first += row.attempts


def _beyond(dataset: Dataset, what: str) -> InvalidArgument:
    return InvalidArgument("LIMIT_EXCEEDED", f"{what}, which is a limit of this Keyprint.", field_of(dataset.url))


def _check_user(known: Mapping[str | None, None], download: Download) -> None:
    user, shown, field = download.reading.user, download.shown, field_of(download.url)
    if known and (user is None) != (None in known):
        raise FailedPrecondition(
            "NOT_A_DOCUMENT", f"{shown} says who typed and others beside it do not, or the reverse.", field
        )
    if user is not None and user in known:
        raise FailedPrecondition("DUPLICATE_USER", f"{shown} is a second document of user {user!r}.", field)


def _row(number: int, download: Download) -> DocumentRow:
    reading = download.reading
    return DocumentRow(
        number=number,
        url=download.url,
        final_url=download.final_url,
        next=download.next,
        user=reading.user,
        digest=download.digest,
        size=download.size,
        downloaded_bytes=download.received,
        attempts=reading.attempts,
        keystrokes=reading.keystrokes,
        valid_attempts=reading.valid,
        released_attempts=reading.released,
        invalid=reading.invalid,
        warnings=reading.warnings,
    )
