"""A catalogue, a store, a web server, and imports of what it serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from services.ingest.catalogue import Catalogue
from services.ingest.importer import ImportLimits
from services.ingest.store import Store
from services.ingest.tables import IMPORTING, Dataset
from tests.unit.ingest.sources import Web, importer_of


@pytest.fixture
def web(tmp_path: Path, serve: Callable[..., AbstractContextManager[str]]) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "web"
    folder.mkdir()
    Web.asked = []
    with serve(partial(Web, directory=str(folder))) as url:
        yield folder, f"{url}/"


@pytest.fixture
def moved(tmp_path: Path, serve: Callable[..., AbstractContextManager[str]]) -> Iterator[tuple[Path, str]]:
    """As `web`; what is asked for in old/ is in new/."""
    folder = tmp_path / "moved"
    (folder / "new").mkdir(parents=True)

    class Moved(Web):
        def do_GET(self) -> None:  # noqa: N802 - http.server's name
            if not self.path.startswith("/old/"):
                super().do_GET()
                return
            self.send_response(302)
            self.send_header("Location", self.path.replace("/old/", "/new/"))
            self.end_headers()

    Web.asked = []
    with serve(partial(Moved, directory=str(folder))) as url:
        yield folder, f"{url}/"


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    opened = Catalogue(f"sqlite:///{tmp_path / 'catalogue.db'}")
    yield opened
    opened.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state")


@pytest.fixture
def run(catalogue: Catalogue, store: Store) -> Callable[..., Dataset]:
    def imported(
        url: str,
        phrase: str = "hi",
        min_attempts: int = 2,
        refresh: bool = False,
        limits: ImportLimits | None = None,
    ) -> Dataset:
        dataset = catalogue.open_import(url, url, phrase, min_attempts, refresh)
        if dataset.state == IMPORTING:
            importer_of(catalogue, store, limits).run(dataset.id)
        return catalogue.get(dataset.id)

    return imported
