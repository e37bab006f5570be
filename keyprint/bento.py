"""Bentos: a model with all of our code that serves it, as one archive for `bentoml serve`."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from keyprint import package
from keyprint.errors import FailedPrecondition, Internal
from keyprint.processes import checkout

SOURCES = ("keyprint", "inference", "services/__init__.py", "services/inference")
"""What of a checkout a Bento holds."""

SERVICE = "services.inference.bento:Keyprint"
ALIAS = "model"
"""By which the service knows its model, whatever its name."""

NEEDED = ("bentoml", "onnxruntime", "starlette")
"""What only the extra brings: BentoML imports the service to build it."""

_LINES_TOLD = 4
"""Of what BentoML says last: its sentence, and perhaps advice on it."""

_DESCRIPTION = """\
# {reference}

Says who typed *{phrase}*: one of {users:,} people, or nobody it knows.

    pip install -r env/python/requirements.txt
    bentoml serve . --host 127.0.0.1

HTTP answers `POST /v1/models/{name}:identify` and `:verify` with what Keyprint's gateway takes and gives, gRPC both
`keyprint.v1.InferenceService` and the Open Inference Protocol on `KEYPRINT_INFERENCE_LISTEN` (127.0.0.1:50053).
"""


@dataclass(frozen=True)
class Content:
    """What a Bento is made of.

    Attributes:
        name: of the model, and so of the Bento.
        version: likewise.
        digest: of the model's package.
        archive: the package as training exports it.
    """

    name: str
    version: int
    digest: str
    archive: Path

    @property
    def reference(self) -> str:
        """As we write it."""
        return f"{self.name}@{self.version}"

    @property
    def tag(self) -> str:
        """As BentoML writes it."""
        return f"{self.name}:{self.version}"


def check_installed() -> Path:
    """The checkout that Bentos are built from.

    Raises:
        FailedPrecondition: there is none, or what builds Bentos is not installed.
    """
    root = checkout()
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise FailedPrecondition(
            "BENTOML_MISSING", f"Building a Bento needs {missing[0]}: pip install 'keyprint[bento]'."
        )
    return root


def build(content: Content, root: Path, folder: Path) -> Path:
    """Builds a Bento and gives its archive, a tar file without compression, which trees would take half a minute for.

    Args:
        content: what goes in.
        root: the checkout whose code serves it.
        folder: an empty directory to work in; the archive lies there too.

    Raises:
        Internal: the package is not what it should be, or BentoML could not build it.
    """
    home, sources = folder / "home", folder / "sources"
    model = home / "models" / content.name / str(content.version)
    try:
        package.unpack(content.archive, model, package.UNPACKED_BYTES)
        if package.digest(model) != content.digest:
            raise ValueError("its digest is another")
        options = _options(content, package.read(model))
    except (OSError, ValueError, tarfile.TarError) as error:
        raise package.corrupt(content.reference, error) from error
    stage(root, sources)
    (sources / "bentofile.yaml").write_text(json.dumps(options, indent=1), encoding="utf-8")
    out = folder / "bento.tar"
    _bentoml(home, sources, "build", "--version", str(content.version))
    _bentoml(home, sources, "export", content.tag, str(out))
    return out


def stage(root: Path, directory: Path) -> None:
    """Lays our code out in `directory` as if it were installed there, with the lock of what it needs."""
    directory.mkdir(parents=True)
    for source in SOURCES:
        found = root / source
        for path in [found] if found.is_file() else sorted(found.rglob("*.py")):
            copy = directory / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    installed = metadata.distribution("keyprint")
    # Our version is read from there, and a Bento is served where we are not installed.
    about = directory / f"keyprint-{installed.version}.dist-info" / "METADATA"
    about.parent.mkdir()
    about.write_text(installed.read_text("METADATA") or "", encoding="utf-8")
    shutil.copyfile(root / "requirements" / "bento.txt", directory / "requirements.txt")


def _options(content: Content, model: package.Package) -> dict[str, object]:
    """What bentofile.yaml says; JSON is YAML too."""
    return {
        "service": SERVICE,
        "name": content.name,
        "description": _DESCRIPTION.format(
            reference=content.reference, name=content.name, phrase=model.inputs.phrase, users=len(model.labels)
        ),
        "labels": {"learner": model.training.learner, "digest": content.digest},
        "include": ["*"],
        # The requirements are locked already, and locking them here would ask a package index.
        "python": {"requirements_txt": "requirements.txt", "lock_packages": False},
        "models": [{"tag": content.tag, "alias": ALIAS}],
    }


def _bentoml(home: Path, sources: Path, *arguments: str) -> None:
    """Runs BentoML's command line where the sources are, with a home of its own, which leaves the user's alone."""
    environment = {**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    done = subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-m", "bentoml", *arguments],
        cwd=sources,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = " ".join(done.stderr.split("\n")[-_LINES_TOLD:]).strip() or f"it ended with {done.returncode}"
        raise Internal("BENTO_NOT_BUILT", f"BentoML could not {arguments[0]} the Bento: {said}")
