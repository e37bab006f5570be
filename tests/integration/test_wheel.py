"""The wheel of `make wheel`, in an environment that holds nothing but what its base install needs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests import otherbackend
from tests.conftest import Stack

pytestmark = pytest.mark.timeout(600)


def test_its_client_imports_trains_and_identifies(client_python: Path, keyprint_stack: Stack) -> None:
    addresses = [keyprint_stack.addresses[part].listen for part in ("ingest", "training", "inference")]
    otherbackend.main_job(client_python, addresses, keyprint_stack.source_url, keyprint_stack.files, "wheel-ada")


def test_it_says_what_the_command_line_needs_beside_it(client_python: Path, tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own
        [str(client_python.with_name("keyprint")), "models", "list"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "pip install 'keyprint[cli]'" in done.stderr


def test_it_holds_the_client_and_no_service(client_python: Path, tmp_path: Path) -> None:
    code = "import keyprint.client, importlib.util as u; print([u.find_spec(n) for n in ('services', 'gateway')])"
    done = subprocess.run(  # noqa: S603 - our own
        [str(client_python), "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "[None, None]\n", done.stderr
