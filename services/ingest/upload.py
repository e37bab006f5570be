"""Documents that callers send."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO

from keyprint.errors import FailedPrecondition, InvalidArgument, Unavailable
from keyprint.intime import Sent, in_time
from keyprint.pace import Pace
from keyprint.settings import IngestSettings
from services.ingest.catalogue import Catalogue
from services.ingest.fetch import FetchLimits
from services.ingest.gunzip import unzipped
from services.ingest.importer import ImportLimits
from services.ingest.inbox import UPLOAD
from services.ingest.listing import is_list
from services.ingest.reading import Read, Rules, read_document
from services.ingest.store import Store
from services.ingest.tables import Dataset, Link

READERS = IngestSettings.model_construct().ingest_readers

_SHOWN = 200
"""Characters of a file's name that are shown."""

_IN_MEMORY = 2**20
"""Bytes of a document that wait in memory until it is whole; larger ones wait in a file."""


class Uploads:
    """Receives documents and opens imports of them; a refused upload leaves nothing."""

    def __init__(
        self,
        catalogue: Catalogue,
        store: Store,
        document_bytes: int,
        limits: ImportLimits,
        idle_seconds: float = FetchLimits.read_seconds,
        read: Read = read_document,
        at_once: int = READERS,
    ) -> None:
        """Takes documents of up to `document_bytes` each, decompressed or not, within `limits`.

        `read` reads them, `at_once` so many of all uploads together, for each is in memory meanwhile.  Who sends
        nothing, or too little, for `idle_seconds` is sent away.
        """
        self._catalogue = catalogue
        self._store = store
        self._document_bytes = document_bytes
        self._limits = limits
        self._turns = threading.Semaphore(at_once)
        self._read = read
        self._pace = Pace(limits.seconds, idle_seconds, limits.upload_bytes_second)

    def in_time(self, sent: Iterator[Sent], size: Callable[[Sent], int]) -> Generator[Sent, None, None]:
        """What a caller sends, each of so many bytes, until that takes too long.

        Raises:
            TooSlow: it does.
        """
        return in_time(sent, size, self._pace, "files")

    def receive(
        self,
        pieces: Iterable[tuple[str, bytes]],
        phrase: str,
        min_attempts: int,
        base: Dataset | None,
        breaks: Sequence[str] = (),
    ) -> Dataset:
        """The dataset of these documents; if it is IMPORTING, somebody has to work on it.

        The same documents in the same order after the same base are the same source.

        Args:
            pieces: name and next bytes of each document, all of one document in a row.
            phrase: what everybody typed.
            min_attempts: valid attempts that a user needs to be enrolled.
            base: a dataset whose documents come first.
            breaks: when the last of the pieces was taken, what the documents chain next and was not sent, if anything.

        Raises:
            InvalidArgument: there are no documents, or one is none or passes a limit.
            FailedPrecondition: the base has another phrase.
        """
        if base and base.phrase != phrase:
            raise FailedPrecondition(
                "OTHER_PHRASE", f"The base dataset has {base.phrase!r}, so what is added must have it too.", "phrase"
            )
        before = base.document_count if base else 0
        with self._store.inbox.receiving() as folder:
            rules = Rules(phrase, self._limits.document_attempts, self._limits.attempt_keystrokes)
            kept = list(self._keep(self._documents(pieces, folder.parent), folder, before, rules))
            if not kept:
                raise InvalidArgument("FILES_MISSING", "An upload needs at least one document.", "files")
            digests = [digest for _, digest in kept]
            broken = [name[:_SHOWN] for name in breaks]
            content = "\n".join([base.fingerprint if base else "", *digests, *broken])
            url = UPLOAD + sha256(content.encode()).hexdigest()
            names = [name for name, _ in kept]
            links = [Link(number, f"{url}/{number}", name) for number, name in enumerate(names, before)]
            for name in broken:
                # The import ends there: nothing has this number, or it comes back to what it has read.
                number = before + (names.index(name) if name in names else len(names))
                links.append(Link(before + len(names), f"{url}/{number}", name))
            with self._store.inbox.keeping(folder, url):
                shown = UPLOAD + _together(names)
                dataset = self._catalogue.open_import(
                    url, shown, phrase, min_attempts, base=base.id if base else None, links=links
                )
        # Nobody reads them again if the dataset was there already.
        self._store.inbox.release(url, self._catalogue.is_importing)
        return dataset

    def _documents(self, pieces: Iterable[tuple[str, bytes]], folder: Path) -> Iterator[tuple[str, IO[bytes]]]:
        """Name and whole content of each document, good until the next one; large ones wait in `folder`."""
        for name, together in groupby(pieces, itemgetter(0)):
            with SpooledTemporaryFile(_IN_MEMORY, dir=str(folder)) as received:
                for _, piece in together:
                    received.write(piece)
                    if received.tell() > self._document_bytes:
                        raise InvalidArgument(
                            "LIMIT_EXCEEDED",
                            f"{name[:_SHOWN]!r} is larger than {self._document_bytes:,} bytes.",
                            "files",
                        )
                yield name, received

    def _keep(
        self, documents: Iterable[tuple[str, IO[bytes]]], folder: Path, before: int, rules: Rules
    ) -> Iterator[tuple[str, str]]:
        """Checks documents, puts each into `folder` by its number, and gives its name and digest."""
        size = 0
        for number, (sent_as, received) in enumerate(documents, 1):
            if before + number > self._limits.documents:
                raise InvalidArgument(
                    "LIMIT_EXCEEDED", f"A dataset has at most {self._limits.documents:,} documents.", "files"
                )
            name = sent_as[:_SHOWN] or f"document {number}"
            kept = folder / str(before + number - 1)
            try:
                digest = self._checked(received, kept, rules)
            except (InvalidArgument, Unavailable) as error:
                raise type(error)(error.reason, f"{name!r}: {error.message}", "files") from None
            size += kept.stat().st_size
            if size > self._limits.dataset_bytes:
                raise InvalidArgument(
                    "LIMIT_EXCEEDED", f"An upload has at most {self._limits.dataset_bytes:,} bytes.", "files"
                )
            yield name, digest

    def _checked(self, received: IO[bytes], kept: Path, rules: Rules) -> str:
        """Reads a document when it is its turn, writes it to `kept`, decompressed, and gives its digest."""
        with self._turns:
            received.seek(0)
            content = unzipped(received.read(), self._document_bytes)
            try:
                self._read(content, rules)
            except InvalidArgument as error:
                if is_list(content):
                    what = "It is no typing document but a list; a list works by its URL only, so send its documents."
                    raise InvalidArgument(error.reason, what) from None
                raise
            kept.write_bytes(content)
            return sha256(content).hexdigest()


def _together(names: list[str]) -> str:
    """What files may be called together: the first one by its name alone, without its folders, and how many more."""
    first = re.split(r"[/\\]", names[0])[-1] or names[0]
    more = len(names) - 1
    beside = f" and {more:,} more file{'s' if more > 1 else ''}" if more else ""
    return "".join(one if one.isprintable() else "?" for one in first) + beside
