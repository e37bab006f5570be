"""Rows of the tables, of models that nobody trained."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from keyprint.package import Thresholds
from services.training.figures import Confusion, Evaluation, Figures, UserEvaluation
from services.training.tables import Details, Measured, Model, now


def evaluation(users: int = 2, attempts: int = 4) -> Evaluation:
    """One in which every figure is a half, and user after user typed an attempt and is named."""
    typed = [attempts // users + (one < attempts % users) for one in range(users)]
    present = tuple(one for one in range(users) if typed[one])
    numbers: dict[str, Any] = {one.name: 0.5 for one in fields(Figures)}
    return Evaluation(
        **numbers | {"attempts": attempts},
        users=tuple(UserEvaluation(f"user {one}", 0.5, 0.5, typed[one], 0.5) for one in range(users)),
        confusion=Confusion(present, present, tuple(typed[one] for one in present)),
        det=(),
    )


def model_row(name: str = "ada", version: int = 1, users: int = 2, attempts: int = 4) -> Model:
    """A model of so many users, whose digest is its name and version."""
    found = evaluation(users, attempts)
    return Model(
        name=name,
        version=version,
        learner="adaboost",
        features="timing",
        features_version=1,
        release_times=False,
        phrase="ab",
        user_count=users,
        dataset="ds_1",
        fingerprint="f",
        holdout=0.2,
        split="late",
        params={},
        seed=0,
        impostors=0.0,
        temperature=1.0,
        thresholds=Thresholds(0.1, (0.1,), (0.5,)),
        training_attempts=8,
        fit_seconds=0.1,
        near_ties=0,
        size_kib=1,
        files=(),
        digest=f"{name}{version}",
        libraries={},
        figures=found.figures,
        details=Details(users=tuple(one.user for one in found.users), evaluation=found, curve=()),
        created_at=now(),
    )


def measured(model_digest: str, holdout_digest: str = "h") -> Measured:
    """How a model did on a hold-out of eight attempts, of which it identified five."""
    return Measured(
        model_digest=model_digest,
        holdout_digest=holdout_digest,
        figures=evaluation(attempts=8).figures,
        correct=b"\xf8",
        seen_attempts=1,
    )
