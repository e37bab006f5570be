"""A job waits for ingest, which may not be there yet or have too much to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from keyprint import errors
from services.training import worker
from services.training.dataset import Trainable
from services.training.ingest import Ingest
from services.training.work import Failure, Order, Progress, Said


def order(directory: Path, ingest_seconds: float) -> Order:
    """Of a dataset that nobody has."""
    return Order("127.0.0.1:1", str(directory), "ds_1", "adaboost", {}, 0.2, "late", "timing", 0, 0.0, ingest_seconds)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (errors.ResourceExhausted("TOO_MANY_STREAMS", "Try again."), "has too much to do"),
        (errors.Unavailable("SERVICE_UNAVAILABLE", "It does not answer."), "does not answer"),
    ],
)
def test_a_job_waits_for_an_ingest_that_cannot_answer_now(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: errors.KeyprintError, told: str
) -> None:
    answers = [answer, answer, errors.NotFound("DATASET_NOT_FOUND", "It is gone.", "dataset")]

    def read(self: Ingest, dataset: str) -> Trainable:
        raise answers.pop(0)

    monkeypatch.setattr(Ingest, "read", read)
    monkeypatch.setattr(worker, "_AGAIN_SECONDS", 0.0)
    said: list[Said] = []
    outcome = worker.work(order(tmp_path, 60), said.append)
    assert isinstance(outcome, Failure)
    assert outcome.reason == "DATASET_NOT_FOUND"
    waiting = Progress("reading", 0.0, f"Waiting for the ingest service, which {told}.")
    assert said[1:] == [waiting, waiting]


def test_a_job_waits_no_longer_than_it_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def read(self: Ingest, dataset: str) -> Trainable:
        raise errors.ResourceExhausted("TOO_MANY_STREAMS", "Try again.")

    monkeypatch.setattr(Ingest, "read", read)
    monkeypatch.setattr(worker, "_AGAIN_SECONDS", 0.0)
    outcome = worker.work(order(tmp_path, 0), lambda said: None)
    assert isinstance(outcome, Failure)
    assert outcome.reason == "TOO_MANY_STREAMS"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/a/path/of/ours"), "DISK_FULL"),
        (MemoryError(), "OUT_OF_MEMORY"),
        (OSError(errno.EIO, os.strerror(errno.EIO), "/a/path/of/ours"), "INTERNAL"),
    ],
)
def test_a_job_that_the_machine_ends_says_what_was_wrong(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, reason: str
) -> None:
    def read(self: Ingest, dataset: str) -> Trainable:
        raise error

    monkeypatch.setattr(Ingest, "read", read)
    outcome = worker.work(order(tmp_path, 0), lambda said: None)
    assert isinstance(outcome, Failure)
    assert outcome.reason == reason
    assert "ours" not in outcome.message
