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
    files, about = package.files(directory), asdict(made.training)
    # Theirs is the size of the data, and the package has them.
    for many in ("attempt_ids", "timing_ids", "typical"):
        del about[many]
    return Model(
        name=name,
        version=version,
        features=made.inputs.feature_set,
        features_version=made.inputs.version,
        release_times=made.inputs.release_times,
        phrase=made.inputs.phrase,
        users=list(made.labels),
        thresholds=asdict(made.decision),
        training_attempts=len(made.trained_ids),
        size_kib=sum(one.size for one in files) // 1024,
        files=[asdict(one) for one in files],
        digest=package.digest(directory),
        evaluation=asdict(evaluation),
        created_at=now(),
        **about,
    )
