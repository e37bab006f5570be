"""Memory in which a service lays documents for its readers: they are not copied, and nobody waits for a full pipe."""

from __future__ import annotations

import mmap
import os
import tempfile

LEAST_BYTES = 2**20


class Shelf:
    """A file without a name, in memory where the system has such files, that two processes map.

    One of them makes it and writes; the other is given its descriptor and reads.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        """Makes one, or takes up the one with a descriptor."""
        self.descriptor = _file() if descriptor is None else descriptor
        self._map: mmap.mmap | None = None

    def close(self) -> None:
        """Lets go of it."""
        if self._map:
            self._map.close()
        os.close(self.descriptor)

    def write(self, content: bytes) -> None:
        """Lays a document there, in place of the one before."""
        if self._map is None or len(self._map) < len(content):
            size = max(LEAST_BYTES, len(content))
            os.ftruncate(self.descriptor, size)
            self._map = mmap.mmap(self.descriptor, size)
        self._map[: len(content)] = content

    def shrink(self) -> None:
        """Gives back the memory of a large document, which is over; of a small one it serves for the next."""
        if self._map and len(self._map) > LEAST_BYTES:
            os.ftruncate(self.descriptor, LEAST_BYTES)
            self._map = None

    def read(self, size: int) -> memoryview:
        """The document of so many bytes that lies there, good until the next."""
        if self._map is None or len(self._map) < size:
            self._map = mmap.mmap(self.descriptor, 0, access=mmap.ACCESS_READ)
        return memoryview(self._map)[:size]


def _file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("document")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
