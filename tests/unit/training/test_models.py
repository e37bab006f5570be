"""Models: references, aliases and deletion."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from keyprint.errors import InvalidArgument, NotFound
from services.training import models as module
from services.training.jobs import Asked, Jobs
from services.training.models import Models
from services.training.tables import AliasMove, Measured, Model, Sessions, open_tables
from tests.unit.training.rows import measured, model_row


def add(tables: Sessions, name: str) -> None:
    """The next version of a name, whose digest is both."""
    jobs = Jobs(tables)
    job = jobs.open(Asked("ds_1", "adaboost", name, 0.2, "late", "timing", {}, 0), "", True)
    jobs.begin(job.id)
    jobs.succeed(job.id, model_row(name, job.version))


@pytest.fixture
def tables(tmp_path: Path) -> Sessions:
    """Three versions of `ada` and one of `bob`."""
    tables = open_tables(f"sqlite:///{tmp_path / 'catalogue.db'}")
    for name in ("ada", "ada", "bob", "ada"):
        add(tables, name)
    return tables


@pytest.fixture
def models(tables: Sessions) -> Models:
    return Models(tables)


def references(found: list[Model]) -> list[str]:
    return [one.reference for one in found]


def test_a_bare_name_is_its_newest_version(models: Models) -> None:
    assert models.get("ada").reference == "ada@3"
    assert models.get("ada@2").reference == "ada@2"


def test_an_alias_points_at_one_version_and_can_be_moved(models: Models) -> None:
    assert models.set_alias("ada@1", "live").reference == "ada@1"
    assert models.get("ada@live").reference == "ada@1"
    models.set_alias("ada@2", "stable")
    models.set_alias("ada", "live")
    assert models.get("ada@live").reference == "ada@3"
    assert models.aliases() == {"ada@2": ["stable"], "ada@3": ["live"]}


def test_an_alias_belongs_to_one_name(models: Models) -> None:
    models.set_alias("ada", "live")
    with pytest.raises(NotFound):
        models.get("bob@live")


@pytest.mark.parametrize("reference", ["eve", "ada@4", "ada@live"])
def test_what_is_not_there_is_not_found(models: Models, reference: str) -> None:
    for call in (models.get, models.delete, lambda one: models.set_alias(one, "x")):
        with pytest.raises(NotFound, match=reference) as caught:
            call(reference)
        assert (caught.value.reason, caught.value.field) == ("MODEL_NOT_FOUND", "model")


@pytest.mark.parametrize("reference", ["", "../ada", "ada@", "Ada"])
def test_what_is_no_reference_is_refused(models: Models, reference: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        models.get(reference)
    assert caught.value.field == "model"


def test_a_bare_name_deletes_all_versions_with_their_aliases(models: Models) -> None:
    models.set_alias("ada@1", "live")
    assert sorted(references(models.delete("ada"))) == ["ada@1", "ada@2", "ada@3"]
    assert references(models.all()) == ["bob@1"]
    assert models.aliases() == {}


def test_one_version_goes_alone_with_its_aliases_and_figures(models: Models) -> None:
    models.set_alias("ada@3", "live")
    models.keep_measured(measured("ada3"))
    models.keep_measured(measured("ada2"))
    assert references(models.delete("ada@live")) == ["ada@3"]
    assert models.get("ada").reference == "ada@2"
    assert models.aliases() == {}
    assert models.measured("ada3", "h") is None
    assert models.measured("ada2", "h") is not None


def test_pages_go_from_the_newest_to_the_oldest(models: Models) -> None:
    first = models.page(None, 3)
    assert references(first) == ["ada@3", "bob@1", "ada@2"]
    assert references(models.page(first[-1].number, 3)) == ["ada@1"]


def test_an_alias_never_points_at_what_was_deleted_meanwhile(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody deletes the version after the reference was resolved and before the alias is written."""
    move, deleting = module._move, threading.Thread(target=models.delete, args=("ada@1",))

    def meanwhile(name: str, alias: str, version: int) -> AliasMove:
        monkeypatch.setattr(module, "_move", move)
        deleting.start()
        # It waits for us, or is done by then.
        deleting.join(0.5)
        return move(name, alias, version)

    monkeypatch.setattr(module, "_move", meanwhile)
    models.set_alias("ada@1", "champion")
    deleting.join()
    assert models.aliases() == {}
    assert [one.version for one in models.alias_moves("ada", None, 10)] == [0, 1]


def test_two_who_measure_one_model_at_once_both_keep_it(models: Models) -> None:
    ready = threading.Barrier(4)

    def keep() -> None:
        for number in range(20):
            ready.wait(timeout=10)
            models.keep_measured(measured("ada1", str(number)))

    at_once(keep, keep, keep, keep)
    found = models.measured("ada1", "19")
    assert found is not None
    assert (found.figures, found.correct, found.seen_attempts) == (measured("ada1").figures, b"\xf8", 1)


def test_nothing_is_kept_of_a_model_that_was_deleted_meanwhile(models: Models) -> None:
    models.delete("ada@1")
    models.keep_measured(measured("ada1"))
    assert models.measured("ada1", "h") is None


def deleted_between(tables: Sessions, reference: str) -> Models:
    """Models, of which somebody deletes one after it was found there and before how it did is written."""
    deleting = threading.Thread(target=Models(tables).delete, args=(reference,))

    def meanwhile(*execution: Any) -> None:
        statement = execution[2]
        if statement.startswith("INSERT INTO evaluations"):
            deleting.start()
            # It waits for us, or is done by then.
            deleting.join(0.5)

    class Slow(Models):
        def keep_measured(self, measured: Measured) -> None:
            event.listen(tables.kw["bind"], "before_cursor_execute", meanwhile)
            super().keep_measured(measured)
            deleting.join()

    return Slow(tables)


def test_nothing_is_kept_of_a_model_that_is_deleted_while_it_is_written(tables: Sessions) -> None:
    models = deleted_between(tables, "ada@1")
    models.keep_measured(measured("ada1"))
    assert models.measured("ada1", "h") is None
    assert references(models.all()) == ["ada@3", "bob@1", "ada@2"]


def at_once(*works: Callable[[], None]) -> None:
    """Runs them in a thread each, and raises what one of them raised."""
    with ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(work) for work in works]:
            done.result(timeout=60)
