"""Documents that callers send."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from keyprint.errors import FailedPrecondition, InvalidArgument
from services.ingest.catalogue import Catalogue, Dataset
from services.ingest.download import UPLOAD
from services.ingest.fetch import Content
from services.ingest.gunzip import unzipped
from services.ingest.importer import ImportLimits
from services.ingest.parse import parse_document
from services.ingest.store import Store


class Uploads:
    """Receives documents and opens imports of them; a refused upload leaves nothing."""

    def __init__(self, catalogue: Catalogue, store: Store, document_bytes: int, limits: ImportLimits) -> None:
        """Takes documents of up to `document_bytes` each, decompressed or not, within `limits`."""
        self._catalogue = catalogue
        self._store = store
        self._document_bytes = document_bytes
        self._limits = limits

    def receive(
        self, pieces: Iterable[tuple[str, bytes]], phrase: str, min_attempts: int, base: Dataset | None
    ) -> tuple[Dataset, bool]:
        """The dataset of these documents, and whether an import of it has to be started.

        The same documents in the same order after the same base are the same source.

        Args:
            pieces: name and next bytes of each document, all of one document in a row.
            phrase: what everybody typed.
            min_attempts: valid attempts that a user needs to be enrolled.
            base: a dataset whose documents come first.

        Raises:
            InvalidArgument: there are no documents, or one is none or passes a limit.
            FailedPrecondition: the base has another phrase.
        """
        if base and base.phrase != phrase:
            raise FailedPrecondition(
                "OTHER_PHRASE", f"The base dataset has {base.phrase!r}, so what is added must have it too.", "phrase"
            )
        before = len(base.documents) if base else 0
        with self._store.receiving() as folder:
            digests = list(self._keep(self._documents(pieces), folder))
            if not digests:
                raise InvalidArgument("FILES_MISSING", "An upload needs at least one document.", "files")
            for digest in digests:
                self._store.cache(UPLOAD + digest, Content((folder / digest).read_bytes()))
        source = sha256("\n".join([base.fingerprint if base else "", *digests]).encode()).hexdigest()
        url = UPLOAD + source
        urls = [UPLOAD + digest for digest in digests]
        return self._catalogue.open_import(
            url, url, phrase, min_attempts, base=base.id if base else None, sources=urls, first=before
        )

    def _documents(self, pieces: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
        """Name and whole content of each document."""
        name, content = "", bytearray()
        begun = False
        for piece_name, piece in pieces:
            if begun and piece_name != name:
                yield name, bytes(content)
                content = bytearray()
            name, begun = piece_name, True
            content += piece
            if len(content) > self._document_bytes:
                raise InvalidArgument(
                    "LIMIT_EXCEEDED", f"{name[:200]!r} is larger than {self._document_bytes:,} bytes.", "files"
                )
        if begun:
            yield name, bytes(content)

    def _keep(self, documents: Iterable[tuple[str, bytes]], folder: Path) -> Iterator[str]:
        """Checks documents and puts each into `folder` under its digest, which it gives."""
        size = 0
        for number, (name, received) in enumerate(documents, 1):
            if number > self._limits.documents:
                raise InvalidArgument(
                    "LIMIT_EXCEEDED", f"An upload has at most {self._limits.documents:,} documents.", "files"
                )
            try:
                content = unzipped(received, self._document_bytes)
                parse_document(content, self._limits.document_attempts)
            except InvalidArgument as error:
                raise InvalidArgument(error.reason, f"{name[:200]!r}: {error.message}", "files") from None
            size += len(content)
            if size > self._limits.dataset_bytes:
                raise InvalidArgument(
                    "LIMIT_EXCEEDED", f"An upload has at most {self._limits.dataset_bytes:,} bytes.", "files"
                )
            digest = sha256(content).hexdigest()
            (folder / digest).write_bytes(content)
            yield digest
