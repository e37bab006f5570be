"""The store of BentoML models."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

import bentoml
import pytest

# BentoML's public functions take a store, and only this module names its class.
from bentoml._internal.models import ModelStore

from keyprint import package
from keyprint.errors import Internal, NotFound
from services.training.store import Store, said_digest
from services.training.tables import Model

GRAPH = b"graph"


def make(directory: Path, graph: bytes = GRAPH) -> Path:
    """A directory that stands for a package."""
    (directory / "source").mkdir(parents=True)
    (directory / "model.onnx").write_bytes(graph)
    (directory / "source" / "model.keras").write_bytes(b"source")
    return directory


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return make(tmp_path / "made")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_package_becomes_a_bentoml_model_with_its_tag(store: Store, made: Path) -> None:
    digest = package.digest(made)
    directory = store.put("ada", 2, made)
    assert (directory / "source" / "model.keras").read_bytes() == b"source"
    assert package.digest(directory) == said_digest(directory) == digest
    with store.exported("ada", 2) as path:
        bentoml.models.import_model(str(path))
    found = bentoml.models.get("ada:2")
    assert Path(found.path_of("model.onnx")).read_bytes() == GRAPH
    assert package.digest(Path(found.path)) == digest
    bentoml.models.delete("ada:2")


def test_bentoml_opens_the_store_itself(store: Store, tmp_path: Path) -> None:
    own = ModelStore(tmp_path / "store")
    for version in (1, 2):
        store.put("ada", version, make(tmp_path / str(version)))
        # It notes which is the newest, and is not to believe that for ever.
        assert own.get("ada:latest").tag.version == str(version)
    assert {str(one.tag) for one in own.list()} == {"ada:1", "ada:2"}
    store.delete("ada", 2)
    assert own.get("ada:latest").tag.version == "1"
    store.delete("ada", 1)
    assert own.list() == []


def test_the_export_is_a_plain_tar_and_goes_when_it_was_read(store: Store, made: Path) -> None:
    store.put("ada", 1, made)
    with store.exported("ada", 1) as path, tarfile.open(path, "r:") as archive:
        assert {"./model.onnx", "./source/model.keras", "./model.yaml"} <= set(archive.getnames())
    assert not path.exists()


def test_nothing_temporary_stays(store: Store, made: Path, tmp_path: Path) -> None:
    store.put("ada", 1, made)
    with store.exported("ada", 1):
        pass
    store.delete("ada", 1)
    gc.collect()
    assert {path.name for path in tmp_path.rglob("*")} == {"temporary", "store", "store-aside"}


def test_what_a_crash_left_is_replaced(store: Store, made: Path, tmp_path: Path) -> None:
    store.put("ada", 1, made)
    other = make(tmp_path / "other", b"other")
    assert (store.put("ada", 1, other) / "model.onnx").read_bytes() == b"other"


def test_a_version_is_not_taken_for_one_that_begins_alike(store: Store, made: Path) -> None:
    store.put("ada", 10, made)
    store.delete("ada", 1)
    with pytest.raises(NotFound):
        store.directory("ada", 1)
    assert store.directory("ada", 10).exists()


def killed(work: Callable[[], object], step: int, where: Path) -> bool:
    """Does the work in a process that is killed at one of its steps below a directory; False if it has fewer."""
    steps = iter(range(step + 1))

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        mine = event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")
        if mine and str(where) in str(arguments) and next(steps, None) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        sys.addaudithook(hook)
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_killed_at_any_step_of_publishing_a_model_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    where = tmp_path / "home"
    for step in count():
        shutil.rmtree(where, ignore_errors=True)
        store, made = Store(where / "models"), make(where / "made")
        kept = store.put("ada", 1, make(where / "kept"))
        died = killed(lambda store=store, made=made: store.put("ada", 2, made), step, where)  # type: ignore[misc]
        again = Store(where / "models")
        left = where / "models" / "ada" / "2"
        assert not left.exists() or said_digest(left) == package.digest(left) == package.digest(kept)
        again.keep_only([Model(name="ada", version=1)])
        assert [path.name for path in (where / "models" / "ada").iterdir()] == ["1"]
        assert not list((where / "models-aside").iterdir())
        if not died:
            break
    assert step > 10


def test_killed_at_any_step_of_deleting_the_store_opens_again(tmp_path: Path) -> None:
    where = tmp_path / "home"
    for step in count():
        shutil.rmtree(where, ignore_errors=True)
        store = Store(where / "models")
        store.put("ada", 1, make(where / "made"))
        died = killed(lambda store=store: store.delete("ada", 1), step, where)  # type: ignore[misc]
        again = Store(where / "models")
        assert ModelStore(where / "models").list() == [] or (again.directory("ada", 1) / "model.onnx").exists()
        again.keep_only([])
        assert {path.name for path in where.rglob("*")} == {"models", "models-aside"}
        if not died:
            break
    assert step > 5


def test_a_model_half_copied_by_somebody_else_keeps_nobody_from_starting(store: Store, tmp_path: Path) -> None:
    (tmp_path / "store" / "ada" / "3").mkdir(parents=True)
    (tmp_path / "store" / "ada" / "3" / "model.onnx").touch()
    (tmp_path / "store" / "note.txt").touch()
    store.keep_only([])
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["note.txt"]


def test_deleting_and_publishing_versions_of_one_name_at_once(store: Store, tmp_path: Path) -> None:
    made = [make(tmp_path / f"made-{version}") for version in range(40)]
    failed: list[BaseException] = []

    def churn(versions: range) -> None:
        try:
            for version in versions:
                store.put("ada", version, made[version])
                store.delete("ada", version)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=churn, args=(range(one, 40, 4),)) for one in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert not list((tmp_path / "store").iterdir())


def test_deleting_twice_is_as_deleting_once(store: Store, made: Path) -> None:
    directory = store.put("ada", 1, made)
    store.delete("ada", 1)
    store.delete("ada", 1)
    assert not directory.exists()


def test_models_that_the_tables_do_not_know_are_swept_out(store: Store, tmp_path: Path) -> None:
    kept, lost = (store.put("ada", version, make(tmp_path / str(version))) for version in (1, 2))
    store.keep_only([Model(name="ada", version=1)])
    assert kept.exists()
    assert not lost.exists()


def test_a_model_that_is_gone_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound) as caught:
        store.directory("ada", 1)
    assert caught.value.reason == "MODEL_NOT_FOUND"
    with pytest.raises(NotFound), store.exported("ada", 1):
        pytest.fail("there is nothing to read")


@pytest.mark.parametrize("change", [lambda path: path.unlink(), lambda path: path.write_bytes(b"other")])
def test_files_that_are_not_those_that_were_published_are_told(
    store: Store, made: Path, change: Callable[[Path], object]
) -> None:
    directory = store.put("ada", 1, made)
    model = Model(name="ada", version=1, digest=package.digest(directory))
    store.check(model)
    change(directory / "model.onnx")
    with pytest.raises(Internal) as caught:
        store.check(model)
    assert caught.value.reason == "MODEL_CORRUPT"
    assert str(directory) not in caught.value.message
