"""The main job over HTTP, whatever the parts run in: import, train both learners, compare, predict, CSV."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from typing import Any

import httpx

from tests.conftest import Stack

LEARNERS: dict[str, dict[str, float]] = {"adaboost": {"trees": 60}, "lstm": {"epochs": 20}}
HOLDOUT = 0.2
PATIENCE = 600.0
"""Seconds for an import or a training on a busy machine."""

Json = Any


def main_job(stack: Stack, prefix: str) -> list[str]:
    """Does it all and holds each answer against what was typed; gives the models' names, which begin with `prefix`."""
    with httpx.Client(base_url=stack.gateway_url, timeout=120.0) as http:
        labelled = imported(http, stack.source_url)
        models = [trained(http, labelled, learner, f"{prefix}-{learner}") for learner in LEARNERS]
        rows = _read(http.get("/v1/comparisons", params={"dataset": labelled, "holdout": HOLDOUT}))["rows"]
        assert {f"{prefix}-{learner}" for learner in LEARNERS} <= {row["name"] for row in rows}
        unlabelled = imported(http, stack.test_url)
        for model in models:
            held_against_labels(http, stack, model, unlabelled)
    return models


def imported(http: httpx.Client, url: str) -> str:
    """Imports it and gives the dataset's id."""
    asked = _read(http.post("/v1/datasets", json={"url": url}))
    dataset = _until(lambda: _read(http.get(f"/v1/datasets/{asked['id']}")), ("READY", "INCOMPLETE", "FAILED"))
    assert dataset["state"] == "READY", dataset
    return str(dataset["id"])


def trained(http: httpx.Client, dataset: str, learner: str, model: str) -> str:
    """Trains a model and gives its name."""
    body = {"dataset": dataset, "learner": learner, "model": model, "holdout": HOLDOUT, "params": LEARNERS[learner]}
    asked = _read(http.post("/v1/training-jobs", json=body))
    job = _until(lambda: _read(http.get(f"/v1/training-jobs/{asked['id']}")), ("SUCCEEDED", "FAILED", "CANCELLED"))
    assert job["state"] == "SUCCEEDED", job
    return model


def held_against_labels(http: httpx.Client, stack: Stack, model: str, dataset: str) -> None:
    """Predicts a dataset as CSV: a row for each attempt in its order, most of them with the name of who typed it."""
    answer = http.get(f"/v1/models/{model}/predictions.csv", params={"dataset": dataset, "rows": "attempts"})
    assert answer.status_code == httpx.codes.OK, answer.text
    assert "output_predictions.csv" in answer.headers["content-disposition"]
    said = list(csv.DictReader(io.StringIO(answer.text)))
    with (stack.files / "test_labels.csv").open(newline="") as labels:
        typed = [row["user"] for row in csv.DictReader(labels)]
    assert [row["attempt"] for row in said] == [str(number) for number in range(len(typed))]
    named = [
        row["predicted_user"] == user for row, user in zip(said, typed, strict=True) if row["decision"] != "INVALID"
    ]
    # By chance it would be one in as many as there are users.
    assert sum(named) > 0.6 * len(named)


def _read(answer: httpx.Response) -> Json:
    assert answer.is_success, answer.text
    return answer.json()


def _until(look: Callable[[], Json], states: tuple[str, ...]) -> Json:
    ends = time.monotonic() + PATIENCE
    while (seen := look())["state"] not in states:
        assert time.monotonic() < ends, seen
        time.sleep(0.2)
    return seen
