"""A package, as the models' table describes it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from keyprint import package
from services.training.evaluate import Evaluation
from services.training.tables import Model, now


def entry(name: str, version: int, directory: Path) -> Model:
    """The row of a package under a name and version; all that it says stands in the package.

    Raises:
        OSError: a file is missing.
        ValueError: a file is not what it should be, or says other than another one.
    """
    made = package.read(directory)
    evaluation = package.read_metrics(directory, Evaluation)
    if tuple(one.user for one in evaluation.users) != made.labels or len(evaluation.confusion) != len(made.labels) ** 2:
        raise ValueError("metrics.json tells of other users than labels.json")
    files, about = package.files(directory), made.training
    return Model(
        name=name,
        version=version,
        learner=about.learner,
        features=made.inputs.feature_set,
        features_version=made.inputs.version,
        release_times=made.inputs.release_times,
        phrase=made.inputs.phrase,
        users=list(made.labels),
        dataset=about.dataset,
        fingerprint=about.fingerprint,
        holdout=about.holdout,
        split=about.split,
        params=about.params,
        seed=about.seed,
        impostors=about.impostors,
        temperature=about.temperature,
        thresholds=asdict(made.decision),
        training_attempts=len(made.trained_ids),
        fit_seconds=about.fit_seconds,
        near_ties=about.near_ties,
        size_kib=sum(one.size for one in files) // 1024,
        files=[asdict(one) for one in files],
        digest=package.digest(directory),
        libraries=about.libraries,
        evaluation=asdict(evaluation),
        curve=[asdict(point) for point in about.curve],
        created_at=now(),
    )
