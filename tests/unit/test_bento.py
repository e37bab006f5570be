"""Bentos: what goes in, and what is said where none can be built."""

from __future__ import annotations

import importlib.util
import shutil
import tarfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from keyprint import package
from keyprint.bento import Content, build, check_installed, stage
from keyprint.errors import FailedPrecondition, Internal
from keyprint.processes import checkout
from tests.unit.inference.conftest import write_package


@pytest.fixture
def content(tmp_path: Path) -> Content:
    """A model as training would send it."""
    directory = write_package(tmp_path / "package")
    archive = tmp_path / "model.tar"
    with tarfile.open(archive, "w") as file:
        file.add(directory, ".")
    return Content("ada", 3, package.digest(directory), archive)


def test_code_is_laid_out_as_if_installed_with_the_lock_of_what_it_needs(tmp_path: Path) -> None:
    stage(checkout(), tmp_path / "sources")
    found = {path.relative_to(tmp_path / "sources").as_posix() for path in (tmp_path / "sources").rglob("*.*")}
    version = metadata.version("keyprint")
    assert {"services/__init__.py", "services/inference/bento.py", "keyprint/v1/inference_pb2.py"} <= found
    assert not [name for name in found if name.startswith(("services/training", "services/ingest", "gateway"))]
    assert {Path(name).suffix for name in found} == {".py", ".txt", ".dist-info"}
    (about,) = metadata.distributions(name="keyprint", path=[str(tmp_path / "sources")])
    assert about.version == version
    assert "\nbentoml==" in (tmp_path / "sources" / "requirements.txt").read_text()


@pytest.mark.parametrize("missing", ["bentoml", "onnxruntime", "starlette"])
def test_what_is_not_installed_is_named_with_the_extra_that_brings_it(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec

    def find_others(name: str, *more: Any) -> Any:
        return None if name == missing else find(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", find_others)
    with pytest.raises(FailedPrecondition) as refused:
        check_installed()
    assert refused.value.message == f"Building a Bento needs {missing}: pip install 'keyprint[bento]'."


def test_a_package_that_is_not_what_training_said_is_refused(content: Content, tmp_path: Path) -> None:
    other = Content(content.name, content.version, "0" * 64, content.archive)
    with pytest.raises(Internal, match="The package of ada@3 cannot be used: its digest is another"):
        build(other, checkout(), tmp_path / "build")


def test_an_archive_that_is_none_is_refused(content: Content, tmp_path: Path) -> None:
    content.archive.write_bytes(b"a model as a file")
    with pytest.raises(Internal, match="The package of ada@3 cannot be used") as refused:
        build(content, checkout(), tmp_path / "build")
    assert refused.value.reason == "MODEL_CORRUPT"


def test_a_package_of_another_schema_is_refused(content: Content, tmp_path: Path) -> None:
    directory = tmp_path / "package"
    labels = directory / "labels.json"
    labels.write_text(labels.read_text().replace('"schema_version": ', '"schema_version": 9'))
    with tarfile.open(content.archive, "w") as file:
        file.add(directory, ".")
    other = Content(content.name, content.version, package.digest(directory), content.archive)
    with pytest.raises(Internal, match=r"ada@3 cannot be used: labels\.json: it has schema version 9"):
        build(other, checkout(), tmp_path / "build")


def test_what_bentoml_says_against_it_is_told(content: Content, tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    for name in ("keyprint", "inference", "services", "requirements"):
        shutil.copytree(checkout() / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "services" / "inference" / "bento.py").write_text("import no_such_thing\n")
    with pytest.raises(Internal, match=r"BentoML could not build the Bento.*no_such_thing") as refused:
        build(content, root, tmp_path / "build")
    assert refused.value.reason == "BENTO_NOT_BUILT"
