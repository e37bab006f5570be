"""The README's samples of other backends, as they stand there, against a model trained as it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from keyprint.client import IngestClient, TrainingClient
from keyprint.processes import checkout
from keyprint.v1 import ingest_pb2, training_pb2
from tests.conftest import Stack

pytestmark = pytest.mark.timeout(300)

MODEL = "readme-ada"


@pytest.fixture(scope="module")
def samples(keyprint_stack: Stack) -> dict[str, str]:
    """The Python samples by the client that they use, made to call the stack and its model."""
    with IngestClient(keyprint_stack.addresses["ingest"].listen) as ingest:
        *_, dataset = ingest.watch_dataset(ingest.create_dataset(keyprint_stack.source_url).id)
    assert dataset.state == ingest_pb2.Dataset.STATE_READY
    with TrainingClient(keyprint_stack.addresses["training"].listen) as training:
        params = {"trees": 20, "depth": 6}
        job = training.create_training_job(dataset.id, "adaboost", MODEL, 0.2, params=params)
        *_, job = training.watch_training_job(job.id)
        assert job.state == training_pb2.TrainingJob.STATE_SUCCEEDED, job.error
    found = re.findall(r"^```python\n(.*?)^```", (checkout() / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    inference = keyprint_stack.addresses["inference"].listen
    ours, triton = (one.replace('"127.0.0.1:50053"', f'"{inference}"').replace('"ada"', f'"{MODEL}"') for one in found)
    return {"keyprint": ours, "tritonclient": triton}


def run(code: str, cwd: Path) -> str:
    done = subprocess.run(  # noqa: S603 - the README's own
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_client_tells_who_typed(samples: dict[str, str], tmp_path: Path) -> None:
    said = run(samples["keyprint"], tmp_path)
    assert re.fullmatch(r"DECISION_(IDENTIFIED|UNKNOWN) typist\d+ [01]\.\d+\n", said)


def test_the_client_tells_of_what_is_not_the_phrase_that_it_is_not(samples: dict[str, str], tmp_path: Path) -> None:
    said = run(samples["keyprint"].replace('phrase = "Be Authentic. ', 'phrase = "'), tmp_path)
    assert said == "not valid: PHRASE_MISMATCH\n"


def test_tritonclient_tells_who_typed(samples: dict[str, str], tmp_path: Path) -> None:
    said = run(samples["tritonclient"], tmp_path)
    assert re.fullmatch(r"\[b'typist\d+'\] \[b'(IDENTIFIED|UNKNOWN)'\] \[b''\]\n", said)
