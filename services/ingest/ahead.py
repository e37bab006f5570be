"""Room in memory for documents that imports fetch before they turn to them."""

from __future__ import annotations

import threading

from keyprint.settings import IngestSettings

MOST_BYTES = IngestSettings.model_construct().ingest_ahead_mib * 2**20


class Ahead:
    """So many bytes, for all imports together; safe to share between threads.

    Nobody waits for it.  An import that gets no room fetches its next document when it turns to that, so that none can
    hold up another, and beyond this each has one document at most.
    """

    def __init__(self, document_bytes: int, most_bytes: int = MOST_BYTES) -> None:
        """Has `most_bytes`; a document may turn out to have `document_bytes`, and if that is more, takes all of it."""
        self._each = min(document_bytes, most_bytes)
        self._left = most_bytes
        self._lock = threading.Lock()

    def room(self) -> Room | None:
        """Room for one document; None if there is none for the largest that it may be."""
        with self._lock:
            if not self._each or self._left < self._each:
                return None
            self._left -= self._each
        return Room(self, self._each)

    def give_back(self, size: int) -> None:
        """Takes back so many bytes."""
        with self._lock:
            self._left += size


class Room:
    """Room for one document, until it is given back."""

    def __init__(self, ahead: Ahead, size: int) -> None:
        self._ahead = ahead
        self._size = size
        self._lock = threading.Lock()

    def fit(self, size: int) -> None:
        """The document has come, and has so many bytes: what it does not need is free."""
        with self._lock:
            freed = max(self._size - size, 0)
            self._size -= freed
        self._ahead.give_back(freed)

    def give_back(self) -> None:
        """All of it is free."""
        self.fit(0)
