"""Sources of typing for tests: documents in a folder, served and counted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

from sqlalchemy import event

from services.ingest import totals
from services.ingest.ahead import Ahead
from services.ingest.catalogue import Catalogue
from services.ingest.fetch import Fetcher, FetchLimits
from services.ingest.guard import Guard
from services.ingest.importer import Importer, ImportLimits
from services.ingest.reading import Read, read_document
from services.ingest.store import Store
from services.ingest.tables import Dataset

LIMITS = FetchLimits(retries=0, connect_seconds=2, read_seconds=2)


class Web(SimpleHTTPRequestHandler):
    """Serves a directory and remembers what was asked for."""

    asked: list[str]

    def log_message(self, *args: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()


def importer_of(
    catalogue: Catalogue,
    store: Store,
    limits: ImportLimits | None = None,
    read: Read = read_document,
    ahead: Ahead | None = None,
) -> Importer:
    """An importer that reaches the tests' own servers."""
    return Importer(catalogue, store, lambda: Fetcher(Guard(["127.0.0.1/32"]), LIMITS), limits, read, ahead)


def attempt(text: str, step: int) -> list[dict[str, str]]:
    """An even attempt, with so many µs between keys."""
    return [
        {"typed_at": f"2024-01-01T00:00:00.{number * step:06d}", "character": one} for number, one in enumerate(text)
    ]


def document(folder: Path, user: str, following: str | None, *steps: int, text: str = "hi") -> None:
    """Writes a document of a user with an attempt of each step."""
    listed: list[Any] = [attempt(text, step) for step in steps]
    (folder / f"{user}.json").write_text(json.dumps({"user_label": user, "user_data": listed, "next": following}))


TOTALS = (
    *totals.SUMS, "document_count", "invalid", "warnings", "labelled", "enrolled_users", "fewest_trainable",
    "most_trainable",
)  # fmt: skip


def totals_of(dataset: Dataset) -> dict[str, Any]:
    """What a dataset's row says that its documents come to."""
    return {name: getattr(dataset, name) for name in TOTALS}


def totals_of_documents(dataset: Dataset) -> dict[str, Any]:
    """What they come to."""
    fresh = Dataset()
    totals.clear(fresh)
    totals.add(fresh, dataset.documents)
    return totals_of(fresh)


@contextmanager
def statements(catalogue: Catalogue) -> Iterator[list[str]]:
    """Everything that is asked of a database meanwhile."""
    asked: list[str] = []

    def note(*words: Any) -> None:
        asked.append(words[2])

    event.listen(catalogue._engine, "before_cursor_execute", note)
    yield asked
    event.remove(catalogue._engine, "before_cursor_execute", note)
