"""Documents as they were downloaded.  The least recently used go first when they are too many.

    <digest of the source's URL>/<digest of the document's URL>

A file holds a line of what the server said of the document, and its bytes, decompressed.  All that was downloaded for
one source lies together, so that it can be deleted together, read or not.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from operator import itemgetter
from pathlib import Path
from weakref import WeakValueDictionary

from keyprint.settings import IngestSettings
from services.ingest.fetch import Content

MOST_BYTES = IngestSettings.model_construct().ingest_cache_mib * 2**20
_ROOM = 0.9
"""Share of the bound that is left when it was reached, so that not every further document has to make room."""


class Cache:
    """The files below one directory, which belongs to one process; safe to share between threads."""

    def __init__(self, directory: Path, most_bytes: int = MOST_BYTES) -> None:
        """Takes up what there is in `directory`, and keeps it below `most_bytes`."""
        self._directory = directory
        self._most = most_bytes
        self._lock = threading.Lock()
        self._turns: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._importing = Counter[str]()
        directory.mkdir(parents=True, exist_ok=True)
        # What was being written when a process died.
        for left in directory.glob(".*"):
            left.unlink()
        found = [(path.stat(), path) for path in directory.glob("*/*")]
        found.sort(key=lambda one: one[0].st_mtime_ns)
        # Bytes of each document, the least recently used first.
        self._sizes = {(path.parent.name, path.name): about.st_size for about, path in found}
        self._bytes = sum(self._sizes.values())

    def get(self, source: str, url: str) -> Content | None:
        """The document at `url` as it was downloaded for `source`; None if it is not there."""
        key = _key(source, url)
        path = self._path(key)
        try:
            about, _, content = path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        with self._lock, suppress(KeyError, FileNotFoundError):
            self._sizes[key] = self._sizes.pop(key)
            # So it is known after a restart too.
            os.utime(path)
        return Content(content, **json.loads(about))

    def put(self, source: str, url: str, download: Content) -> None:
        """Keeps a download, and makes room for it."""
        key = _key(source, url)
        path = self._path(key)
        about = json.dumps({"etag": download.etag, "last_modified": download.last_modified, "url": download.url})
        fresh = self._directory / f".{key[1]}.{threading.get_ident()}"
        with fresh.open("wb") as file:
            size = file.write(about.encode() + b"\n") + file.write(download.content)
        with self._lock:
            path.parent.mkdir(exist_ok=True)
            fresh.replace(path)
            # Last, as the one that was used most recently.
            self._bytes += size - self._sizes.pop(key, 0)
            self._sizes[key] = size
            if self._bytes > self._most:
                self._make_room()

    def forget(self, source: str, url: str) -> None:
        """Drops a download."""
        with self._lock:
            self._drop(_key(source, url))

    def delete(self, source: str) -> None:
        """Drops every download of a source."""
        with self._lock:
            self._delete(_digest(source))

    def sweep(self, sources: Collection[str]) -> None:
        """Drops every download of other sources than these."""
        kept = {_digest(source) for source in sources}
        with self._lock:
            for folder in self._directory.iterdir():
                if folder.name not in kept:
                    self._delete(folder.name)

    @contextmanager
    def importing(self, source: str) -> Iterator[None]:
        """Other sources' documents make room before those of one that is being imported."""
        name = _digest(source)
        with self._lock:
            self._importing += Counter([name])
        try:
            yield
        finally:
            with self._lock:
                self._importing -= Counter([name])

    @contextmanager
    def turn(self, url: str) -> Iterator[None]:
        """One at a time may get what is at `url`; who comes next finds it here."""
        with self._lock:
            mine = self._turns.setdefault(url, threading.Lock())
        with mine:
            yield

    def _make_room(self) -> None:
        by_use = ((key[0] in self._importing, key) for key in self._sizes)
        for _, key in sorted(by_use, key=itemgetter(0)):
            if self._bytes <= _ROOM * self._most:
                return
            self._drop(key)

    def _drop(self, key: tuple[str, str]) -> None:
        path = self._path(key)
        self._bytes -= self._sizes.pop(key, 0)
        path.unlink(missing_ok=True)
        # Others of its source may still be there.
        with suppress(OSError):
            path.parent.rmdir()

    def _delete(self, folder: str) -> None:
        for key in [key for key in self._sizes if key[0] == folder]:
            self._bytes -= self._sizes.pop(key)
        shutil.rmtree(self._directory / folder, ignore_errors=True)

    def _path(self, key: tuple[str, str]) -> Path:
        return self._directory.joinpath(*key)


def _key(source: str, url: str) -> tuple[str, str]:
    return _digest(source), _digest(url)


def _digest(url: str) -> str:
    return sha256(url.encode()).hexdigest()
