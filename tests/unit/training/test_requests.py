"""Requests to train, and datasets that they name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keyprint.errors import FailedPrecondition, InvalidArgument
from keyprint.v1 import attempts_pb2, training_pb2
from services.training import dataset, requests
from services.training.dataset import About

GOOD: dict[str, Any] = {"dataset": "ds_1", "learner": "adaboost", "model": "ada", "holdout": 0.2}


def test_defaults_are_filled_in() -> None:
    asked = requests.asked(training_pb2.CreateTrainingJobRequest(**GOOD))
    assert (asked.split, asked.features, asked.seed) == ("late", "timing", 0)
    assert asked.params
    assert all(value is not None for value in asked.params.values())


def test_what_is_given_is_taken() -> None:
    request = training_pb2.CreateTrainingJobRequest(
        **GOOD, split=attempts_pb2.SPLIT_RANDOM, features="calendar", seed=7
    )
    request.params["trees"] = 12
    asked = requests.asked(request)
    assert (asked.split, asked.features, asked.seed, asked.params["trees"]) == ("random", "calendar", 7, 12)


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"learner": "oracle"}, "LEARNER_NOT_FOUND", "learner"),
        ({"learner": ""}, "LEARNER_NOT_FOUND", "learner"),
        ({"params": {"trees": float("nan")}}, "PARAMETER_INVALID", "params"),
        ({"params": {"trees": [float("-inf")]}}, "PARAMETER_INVALID", "params"),
        ({"model": ""}, "MODEL_NAME_INVALID", "model"),
        ({"model": "../etc/passwd"}, "MODEL_NAME_INVALID", "model"),
        ({"model": "ada@2"}, "MODEL_NAME_INVALID", "model"),
        ({"holdout": 0.0}, "HOLDOUT_OUT_OF_RANGE", "holdout"),
        ({"holdout": 1.0}, "HOLDOUT_OUT_OF_RANGE", "holdout"),
        ({"holdout": float("nan")}, "HOLDOUT_OUT_OF_RANGE", "holdout"),
        ({"split": 9}, "SPLIT_INVALID", "split"),
        ({"features": "astrology"}, "UNKNOWN_FEATURE_SET", "features"),
        ({"seed": 2**31}, "SEED_INVALID", "seed"),
        ({"request_id": "x" * 129}, "REQUEST_ID_INVALID", "request_id"),
        ({"params": {"leaves": 3}}, "PARAMETER_INVALID", "params.leaves"),
        ({"params": {"trees": 0}}, "PARAMETER_INVALID", "params.trees"),
        ({"params": {"trees": 1.5}}, "PARAMETER_INVALID", "params.trees"),
        ({"params": {"trees": "many"}}, "PARAMETER_INVALID", "params.trees"),
        ({"params": {"trees": True}}, "PARAMETER_INVALID", "params.trees"),
    ],
)
def test_a_wrong_field_is_named_with_what_would_be_right(changes: dict[str, Any], reason: str, field: str) -> None:
    params = changes.pop("params", {})
    request = training_pb2.CreateTrainingJobRequest(**(GOOD | changes))
    request.params.update(params)
    with pytest.raises(InvalidArgument) as caught:
        requests.asked(request)
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert caught.value.message.endswith(".")


ABOUT = About("ds_1", "READY", True, "abc", "fingerprint", False, 20, users=2, fewest_attempts=2, most_attempts=4)


@pytest.mark.parametrize("state", dataset.READABLE)
def test_a_read_and_labelled_dataset_can_be_trained_on(state: str) -> None:
    dataset.check(replace(ABOUT, state=state))


@pytest.mark.parametrize(
    ("about", "reason", "says"),
    [
        (replace(ABOUT, state="IMPORTING"), "DATASET_NOT_READY", "IMPORTING"),
        (replace(ABOUT, state="FAILED"), "DATASET_NOT_READY", "FAILED"),
        (replace(ABOUT, labelled=False), "DATASET_UNLABELLED", "who typed"),
        (replace(ABOUT, users=1), "NOT_ENOUGH_USERS", "two enrolled users and the dataset has 1;"),
        (replace(ABOUT, fewest_attempts=1), "NOT_ENOUGH_ATTEMPTS", "larger min_attempts"),
    ],
)
def test_a_dataset_that_nothing_can_learn_from_is_refused(about: About, reason: str, says: str) -> None:
    with pytest.raises(FailedPrecondition, match=says) as caught:
        dataset.check(about)
    assert (caught.value.reason, caught.value.field) == (reason, "dataset")


@pytest.mark.parametrize(("share", "refused"), [(0.2, False), (0.5, False), (0.7, True), (0.99, True)])
def test_a_holdout_that_leaves_nothing_to_calibrate_on_is_refused(share: float, refused: bool) -> None:
    """Four attempts and two that count: of the four, two must be left."""
    if not refused:
        dataset.check_holdout(ABOUT, share)
        return
    with pytest.raises(FailedPrecondition) as caught:
        dataset.check_holdout(ABOUT, share)
    assert (caught.value.reason, caught.value.field) == ("NOT_ENOUGH_ATTEMPTS", "holdout")
