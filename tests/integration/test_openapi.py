"""The OpenAPI document of a running Keyprint holds: for a fuzzer that reads it, and for a client made from it."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from gateway.examples import recorded
from keyprint import processes
from scripts import examples

BIN = Path(sys.executable).parent
EXAMPLES = 10
"""Of each call, beside those that cover its schema."""

# A call that its schema allows may still be refused: what a page token, a phrase or a URL may be no schema says.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "use_after_free",
    "ensure_resource_availability",
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A house of its own: a fuzzer deletes what it finds."""
    addresses = processes.free_addresses()
    with processes.Tree(
        addresses, processes.checkout(), tmp_path_factory.mktemp("home"), 1.0, dict(os.environ)
    ) as tree:
        tree.wait(lambda part: None)
        yield addresses["gateway"].url.rstrip("/")


def run(tool: str, *given: str, folder: Path, seconds: float) -> str:
    """Runs what was installed beside this Python and gives what it said."""
    done = subprocess.run(  # noqa: S603
        [BIN / tool, *given], cwd=folder, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-20_000:]}\n{done.stderr[-5_000:]}"
    return done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_its_examples_are_what_a_keyprint_says(gateway: str) -> None:
    def kinds(recorded: examples.Recorded) -> dict[str, tuple[list[str], list[str]]]:
        return {
            call: (sorted(said.get("answer", ())), [problem["reason"] for problem in said["problems"]])
            for call, said in recorded.items()
        }

    with httpx.Client(base_url=gateway, timeout=100) as http:
        assert kinds(examples.record(http)) == kinds(recorded())


@pytest.mark.timeout(600)
def test_a_fuzzer_finds_nothing(gateway: str, tmp_path: Path) -> None:
    options = {
        "checks": ",".join(CHECKS),
        "phases": "examples,coverage,fuzzing",
        # A stream of events ends when what it tells of does.
        "exclude-path-regex": "events$",
        "max-examples": str(EXAMPLES),
        "seed": "1",
        "request-timeout": "60",
        "generation-database": "none",
    }
    given = [f"--{name}={value}" for name, value in options.items()]
    run("schemathesis", "run", f"{gateway}/openapi.json", "--no-color", *given, folder=tmp_path, seconds=580)


@pytest.fixture(scope="module")
def client(gateway: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The package that a generator makes of the document."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "openapi.json").write_bytes(httpx.get(f"{gateway}/openapi.json", timeout=60).content)
    given = ("--path", "openapi.json", "--meta", "none", "--output-path", "generated_keyprint")
    said = run("openapi-python-client", "generate", *given, folder=folder, seconds=100)
    assert "Endpoint will not be generated" not in said, said
    sys.path.insert(0, str(folder))
    yield importlib.import_module("generated_keyprint")
    sys.path.remove(str(folder))


def test_a_client_made_from_it_works(gateway: str, client: ModuleType) -> None:
    def call(address: str, **given: Any) -> Any:
        module = importlib.import_module(f"generated_keyprint.api.{address}")
        with client.Client(base_url=gateway) as opened:
            return module.sync_detailed(client=opened, **given)

    models = importlib.import_module("generated_keyprint.models")
    learners = call("training.list_learners").parsed
    assert {"adaboost", "lstm"} <= {one.name for one in learners.learners}
    made = call("datasets.simulate_dataset", body=models.SimulationRequest(users=2, attempts_each=3)).parsed
    assert call("datasets.get_dataset", dataset=made.id).parsed.id == made.id
    body = models.IdentifyBody(attempt=[])
    unknown = call("predictions.identify", name="nobody", body=body)
    assert (unknown.status_code, unknown.parsed.reason) == (404, "MODEL_NOT_FOUND")
    refused = call("datasets.get_dataset", dataset="ds_none")
    assert refused.status_code == 404
