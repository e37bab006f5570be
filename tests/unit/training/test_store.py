"""The BentoML model store."""

from __future__ import annotations

import tarfile
from pathlib import Path

import bentoml
import pytest

from keyprint import package
from keyprint.errors import NotFound
from services.training.store import Store
from services.training.tables import Model


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A directory that stands for a package."""
    directory = tmp_path / "made"
    (directory / "source").mkdir(parents=True)
    (directory / "model.onnx").write_bytes(b"graph")
    (directory / "source" / "model.keras").write_bytes(b"source")
    return directory


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_package_becomes_a_bentoml_model_with_its_tag(store: Store, made: Path, tmp_path: Path) -> None:
    directory = store.put("ada", 2, made)
    assert (directory / "source" / "model.keras").read_bytes() == b"source"
    assert package.digest(directory) == package.digest(made)
    with store.exported("ada", 2) as path:
        bentoml.models.import_model(str(path))
    found = bentoml.models.get("ada:2")
    assert Path(found.path_of("model.onnx")).read_bytes() == b"graph"
    assert package.digest(Path(found.path)) == package.digest(made)
    bentoml.models.delete("ada:2")


def test_the_export_is_a_plain_tar_and_goes_when_it_was_read(store: Store, made: Path) -> None:
    store.put("ada", 1, made)
    with store.exported("ada", 1) as path, tarfile.open(path, "r:") as archive:
        assert {"./model.onnx", "./source/model.keras", "./model.yaml"} <= set(archive.getnames())
    assert not path.exists()


def test_what_a_crash_left_is_replaced(store: Store, made: Path) -> None:
    store.put("ada", 1, made)
    (made / "model.onnx").write_bytes(b"other")
    assert (store.put("ada", 1, made) / "model.onnx").read_bytes() == b"other"


def test_deleting_twice_is_as_deleting_once(store: Store, made: Path) -> None:
    directory = store.put("ada", 1, made)
    store.delete("ada", 1)
    store.delete("ada", 1)
    assert not directory.exists()


def test_models_that_the_tables_do_not_know_are_swept_out(store: Store, made: Path) -> None:
    kept, lost = store.put("ada", 1, made), store.put("ada", 2, made)
    store.keep_only([Model(name="ada", version=1)])
    assert kept.exists()
    assert not lost.exists()


def test_a_model_that_is_gone_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound) as caught:
        store.directory("ada", 1)
    assert caught.value.reason == "MODEL_NOT_FOUND"
    with pytest.raises(NotFound), store.exported("ada", 1):
        pytest.fail("there is nothing to read")
