"""Documents that callers sent, each until the import that was opened for it has ended.

    .<anything>/           what is just being sent
    <digest>/<number>      the documents of one upload, which the digest names, decompressed

They cannot be fetched again, so that no other upload, no error and no full cache takes them away.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from keyprint.errors import NotFound

UPLOAD = "upload:"
"""What stands for the URL of an upload; its digest follows, and for one of its documents a slash and its number."""


def field_of(url: str) -> str:
    """The field of a request that the document at `url` comes from."""
    return "files" if url.startswith(UPLOAD) else "url"


class Inbox:
    """The files below one directory, which belongs to one process; safe to share between threads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        directory.mkdir(parents=True, exist_ok=True)
        # What was being sent when a process died.
        for left in directory.glob(".*"):
            shutil.rmtree(left)

    @contextmanager
    def receiving(self) -> Iterator[Path]:
        """An empty directory for documents that are being sent, gone when the context ends."""
        with tempfile.TemporaryDirectory(prefix=".", dir=self._directory) as folder:
            documents = Path(folder) / "documents"
            documents.mkdir()
            yield documents

    @contextmanager
    def keeping(self, folder: Path, upload: str) -> Iterator[None]:
        """Keeps what was received in `folder` as `upload`; an import of it may be opened before the context ends.

        Nothing is released meanwhile.
        """
        with self._lock:
            kept = self._path(upload)
            # The same documents may be there already, and being read.
            if not kept.exists():
                folder.replace(kept)
            yield

    def read(self, url: str) -> bytes:
        """A document of an upload.

        Raises:
            NotFound: it is not there.
        """
        try:
            return self._path(url).read_bytes()
        except FileNotFoundError:
            raise NotFound(
                "DOCUMENT_NOT_FOUND", "It was not among the documents that were sent; send it with them.", "files"
            ) from None

    def release(self, upload: str, is_importing: Callable[[str], bool]) -> None:
        """Deletes an upload's documents, unless an import needs them."""
        with self._lock:
            if not is_importing(upload):
                shutil.rmtree(self._path(upload), ignore_errors=True)

    def sweep(self, importing: Collection[str]) -> None:
        """Deletes all but the uploads that are being imported."""
        for folder in self._directory.iterdir():
            if UPLOAD + folder.name not in importing:
                shutil.rmtree(folder)

    def _path(self, url: str) -> Path:
        return self._directory / url.removeprefix(UPLOAD)
