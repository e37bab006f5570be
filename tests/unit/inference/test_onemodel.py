"""The one model that a Bento holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyprint.errors import FailedPrecondition, InvalidArgument, NotFound
from services.inference.engine import Engine, Listed
from services.inference.onemodel import OneModel
from tests.unit.inference.conftest import write_package


@pytest.fixture
def models(tmp_path: Path) -> OneModel:
    return OneModel(Engine("ada@3", write_package(tmp_path / "made")))


@pytest.mark.parametrize("reference", ["ada", "ada@3"])
def test_it_goes_by_its_name_with_and_without_its_version(models: OneModel, reference: str) -> None:
    assert models.get(reference).reference == "ada@3"
    assert models.index() == [Listed("ada", 3, loaded=True)]


@pytest.mark.parametrize("reference", ["eve", "ada@4", "ada@champion"])
def test_any_other_is_not_there(models: OneModel, reference: str) -> None:
    with pytest.raises(NotFound, match="this Bento holds ada@3 alone") as refused:
        models.get(reference)
    assert (refused.value.reason, refused.value.field) == ("MODEL_NOT_FOUND", "model")


def test_what_is_no_reference_is_refused_as_everywhere(models: OneModel) -> None:
    with pytest.raises(InvalidArgument) as refused:
        models.get("Ada")
    assert refused.value.reason == "MODEL_NAME_INVALID"


def test_it_stays_in_memory(models: OneModel) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        models.unload("ada")
    assert refused.value.reason == "MODEL_FIXED"
    with pytest.raises(NotFound):
        models.unload("eve")
    assert models.get("ada").reference == "ada@3"
