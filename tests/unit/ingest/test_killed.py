"""An import that is killed between any two of its steps, and taken up again, ends as if nothing had happened."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from services.ingest import importer
from services.ingest.cache import Cache
from services.ingest.catalogue import Catalogue
from services.ingest.importer import ImportLimits
from services.ingest.inbox import Inbox
from services.ingest.messages import dataset_message
from services.ingest.store import Store, parts_of
from services.ingest.tables import READABLE
from services.ingest.upload import Uploads
from tests.unit.ingest.sources import document, importer_of, totals_of, totals_of_documents

STEPS = {
    Catalogue: [
        "begin",
        "replace_links",
        "turn_to",
        "add_documents",
        "drop_documents",
        "copy_documents",
        "mark",
        "end",
        "fail",
        "stand_for",
    ],
    Store: ["trim", "write_part", "write_marks", "copy_parts", "delete"],
    Cache: ["put", "forget"],
    Inbox: ["release"],
}
"""What an import leaves behind it, step by step."""


class Killed(BaseException):
    """The process is gone."""


class Death:
    """Comes before the step of this number; nothing is done after it."""

    def __init__(self, step: int) -> None:
        self._left = step
        self.came = False

    def instead(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """The step, if it is before."""

        def taken(*words: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left < 0:
                self.came = True
                raise Killed
            return step(*words, **named)

        return taken


class House:
    """The state of an ingest service, opened and left again and again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def open(self) -> Iterator[tuple[Catalogue, Store]]:
        """As a service starts: what a crash left is swept."""
        self._folder.mkdir(exist_ok=True)
        catalogue, store = Catalogue(f"sqlite:///{self._folder / 'catalogue.db'}"), Store(self._folder)
        store.sweep(catalogue.in_use())
        try:
            yield catalogue, store
        finally:
            catalogue.close()

    def work(self, dataset: str) -> None:
        """Works on a dataset."""
        with self.open() as (catalogue, store):
            importer_of(catalogue, store).run(dataset)

    def found(self, dataset: str) -> dict[str, Any]:
        """All that a caller can see of it, and what is on disk."""
        with self.open() as (catalogue, store):
            row = catalogue.get(dataset)
            seen = dataset_message(row)
            assert totals_of(row) == totals_of_documents(row)
            for name in ("id", "created_at", "finished_at", "downloaded_kib"):
                seen.ClearField(name)
            attempts: list[Any] = []
            if row.state in READABLE:
                attempts = [
                    one
                    for batch in store.read(row.id, parts_of(row.documents), trainable=False)
                    for one in batch.to_pylist()
                ]
            known = {one.id for one in catalogue.page(None, 100) if one.state != "FAILED"}
        # None but those of known datasets.
        folders = {path.name for path in (self._folder / "datasets").iterdir()}
        uploads = list((self._folder / "uploads").iterdir())
        return {"dataset": str(seen), "attempts": attempts, "strangers": folders - known, "uploads": uploads}


Prepared = Callable[[House, Path, str], str]


def chain(house: House, folder: Path, url: str) -> str:
    """A chain whose end is missing."""
    document(folder, "ada", "bob.json", 10, 20, 20)
    document(folder, "bob", "cat.json", 30, 40)
    with house.open() as (catalogue, _):
        return catalogue.open_import(url + "ada.json", url, "hi", 2).id


def listed(house: House, folder: Path, url: str) -> str:
    """A list."""
    document(folder, "ada", None, 10, 20)
    document(folder, "bob", None, 20, 40)
    (folder / "list").write_text('["ada.json", "bob.json"]')
    with house.open() as (catalogue, _):
        return catalogue.open_import(url + "list", url, "hi", 1).id


def failing(house: House, folder: Path, url: str) -> str:
    """A chain of which nothing is usable."""
    document(folder, "ada", "bob.json", 10, 20, text="ho")
    document(folder, "bob", None, 10, 20, text="ho")
    with house.open() as (catalogue, _):
        return catalogue.open_import(url + "ada.json", url, "hi", 2).id


def added(house: House, folder: Path, url: str) -> str:
    """An upload after a base, the last document of a user who is there already."""
    document(folder, "ada", None, 10, 20)
    document(folder, "bob", None, 30)
    ada, bob = ((folder / name).read_bytes() for name in ("ada.json", "bob.json"))
    with house.open() as (catalogue, store):
        uploads = Uploads(catalogue, store, 10_000, ImportLimits())
        base = uploads.receive([("ada.json", ada)], "hi", 1, None)
        importer_of(catalogue, store).run(base.id)
        base = catalogue.get(base.id)
        return uploads.receive([("bob.json", bob), ("again.json", ada)], "hi", 1, base).id


def refreshed(house: House, folder: Path, url: str) -> str:
    """A refresh that finds nothing new."""
    document(folder, "ada", "bob.json", 10, 20)
    document(folder, "bob", None, 30, 40)
    with house.open() as (catalogue, store):
        first = catalogue.open_import(url + "ada.json", url, "hi", 2)
        importer_of(catalogue, store).run(first.id)
        return catalogue.open_import(url + "ada.json", url, "hi", 2, refresh=True).id


def renewed(house: House, folder: Path, url: str) -> str:
    """A refresh that finds something new."""
    refreshing = refreshed(house, folder, url)
    document(folder, "bob", None, 30, 40, 50)
    os.utime(folder / "bob.json", (time.time() + 5, time.time() + 5))
    return refreshing


def mended(house: House, folder: Path, url: str) -> str:
    """A chain that ended at a document that is another by now."""
    document(folder, "ada", "bob.json", 10, 20)
    document(folder, "bob", "nowhere.json", 30, 40)
    with house.open() as (catalogue, store):
        first = catalogue.open_import(url + "ada.json", url, "hi", 2)
        importer_of(catalogue, store).run(first.id)
        document(folder, "bob", "cat.json", 50, 60, 70)
        os.utime(folder / "bob.json", (time.time() + 5, time.time() + 5))
        document(folder, "cat", None, 80, 90)
        return catalogue.open_import(url + "ada.json", url, "hi", 2).id


def corrected(house: House, folder: Path, url: str) -> str:
    """A list that named a document that was not there, and names others by now."""
    document(folder, "ada", None, 10, 20)
    document(folder, "bob", None, 20, 40)
    (folder / "list").write_text('["ada.json", "bob.json", "nowhere.json"]')
    with house.open() as (catalogue, store):
        first = catalogue.open_import(url + "list", url, "hi", 1)
        importer_of(catalogue, store).run(first.id)
        document(folder, "cat", None, 80, 90)
        (folder / "list").write_text('["ada.json", "cat.json"]')
        os.utime(folder / "list", (time.time() + 5, time.time() + 5))
        return catalogue.open_import(url + "list", url, "hi", 1).id


@pytest.mark.parametrize("prepare", [chain, listed, failing, added, refreshed, renewed, mended, corrected])
def test_an_import_killed_before_any_step_ends_as_an_undisturbed_one(
    prepare: Prepared, web: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = web
    # Whoever reads looks up at every document, so that each is kept by itself.
    monkeypatch.setattr(importer, "LOOK_SECONDS", 0.0)
    undisturbed = House(tmp_path / "undisturbed")
    dataset = prepare(undisturbed, folder, url)
    undisturbed.work(dataset)
    expected = undisturbed.found(dataset)
    assert (expected["strangers"], expected["uploads"]) == (set(), [])
    step, came = 0, True
    while came:
        house = House(tmp_path / f"killed-{step}")
        dataset = prepare(house, folder, url)
        came = killed_before(house, dataset, step, monkeypatch)
        # The queue works on it again, whether or not it had ended.
        house.work(dataset)
        assert house.found(dataset) == expected, f"killed before step {step}"
        step += 1
    assert step > len(("begin", "turn_to", "put", "write_part", "add_documents", "end"))


def killed_before(house: House, dataset: str, step: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Works on a dataset until the step of this number; whether there is one."""
    death = Death(step)
    with monkeypatch.context() as patched, house.open() as (catalogue, store):
        for kind, names in STEPS.items():
            for name in names:
                patched.setattr(kind, name, death.instead(getattr(kind, name)))
        try:
            importer_of(catalogue, store).run(dataset)
        except Killed:
            assert death.came
    return death.came
