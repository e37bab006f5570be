"""Models: references, aliases and deletion."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyprint.errors import InvalidArgument, NotFound
from services.training.jobs import Asked, Jobs
from services.training.models import Models
from services.training.tables import Measured, Model, Sessions, now, open_tables


@pytest.fixture
def tables(tmp_path: Path) -> Sessions:
    """Three versions of `ada` and one of `bob`."""
    tables = open_tables(f"sqlite:///{tmp_path / 'catalogue.db'}")
    jobs = Jobs(tables)
    for name in ("ada", "ada", "bob", "ada"):
        job, _ = jobs.open(Asked("ds_1", "adaboost", name, 0.2, "late", "timing", {}, 0), "", True)
        jobs.begin(job.id)
        made = {column.name: "" for column in Model.__table__.columns if column.name not in ("number", "name")}
        numbers = dict.fromkeys(
            ("features_version", "holdout", "seed", "training_attempts", "fit_seconds", "near_ties", "size_kib"), 0
        )
        row = {**made, **numbers, "release_times": False, "created_at": now(), "version": job.version}
        jobs.succeed(job.id, Model(name=name, **{**row, "digest": f"{name}{job.version}"}))
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
    models.keep_measured(Measured(model_digest="ada3", holdout_digest="h", evaluation={}, correct=b""))
    models.keep_measured(Measured(model_digest="ada2", holdout_digest="h", evaluation={}, correct=b""))
    assert references(models.delete("ada@live")) == ["ada@3"]
    assert models.get("ada").reference == "ada@2"
    assert models.aliases() == {}
    assert models.measured("ada3", "h") is None
    assert models.measured("ada2", "h") is not None


def test_pages_go_from_the_newest_to_the_oldest(models: Models) -> None:
    first = models.page(None, 3)
    assert references(first) == ["ada@3", "bob@1", "ada@2"]
    assert references(models.page(first[-1].number, 3)) == ["ada@1"]
