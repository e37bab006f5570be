"""Another backend: an environment with the wheel's base install alone, and the main job as it does it."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from keyprint.processes import checkout

ROOT = checkout()
_JOB = Path(__file__).parent / "e2e" / "client_job.py"


def install(folder: Path) -> Path:
    """Makes an environment below `folder`, from the wheel and requirements/client.txt alone, and gives its Python."""
    _run([str(ROOT / "scripts" / "wheel.sh"), str(folder / "dist")], folder)
    _run([sys.executable, "-m", "venv", str(folder / "environment")], folder)
    python = folder / "environment" / "bin" / "python"
    pip = [str(python), "-m", "pip"]
    _run([*pip, "install", "--quiet", "--require-hashes", "-r", str(ROOT / "requirements" / "client.txt")], folder)
    (wheel,) = (folder / "dist").glob("keyprint-*.whl")
    _run([*pip, "install", "--quiet", "--no-deps", str(wheel)], folder)
    # Fails where the wheel needs more than that.
    _run([*pip, "check"], folder)
    return python


def main_job(python: Path, addresses: list[str], source_url: str, files: Path, model: str) -> None:
    """Imports, trains and identifies over gRPC, and holds the answers against those who typed.

    Args:
        python: of `install`.
        addresses: of ingest, training and inference.
        source_url: a chain of made-up typists.
        files: where their test.json and test_labels.csv lie.
        model: name of the model that is made.
    """
    told = json.loads(
        _run([str(python), str(_JOB), *addresses, source_url, str(files / "test.json"), model], files).stdout
    )
    with (files / "test_labels.csv").open(newline="") as labels:
        typed = [row["user"] for row in csv.DictReader(labels)]
    assert told["users"] == len(set(typed))
    assert len(told["named"]) == len(told["decisions"]) == len(typed)
    named = [
        (said, true)
        for said, true, decision in zip(told["named"], typed, told["decisions"], strict=True)
        if decision != "DECISION_INVALID"
    ]
    # By chance it would be one in as many as there are users.
    assert sum(said == true for said, true in named) > 0.6 * len(named)


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[Any]:
    done = subprocess.run(  # noqa: S603 - our own
        command, cwd=folder, capture_output=True, text=True, timeout=400, check=False, env=_environment()
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "KEYPRINT_"))}
    return kept | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
