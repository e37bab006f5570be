"""A package, as the models' table describes it."""

from __future__ import annotations

from pathlib import Path

from keyprint import package
from services.training.figures import Evaluation
from services.training.tables import Details, Model, now


def entry(name: str, version: int, directory: Path) -> Model:
    """The row of a package under a name and version; all that it says stands in the package.

    Raises:
        OSError: a file is missing.
        ValueError: a file is not what it should be, or says other than another one.
    """
    made = package.read(directory)
    evaluation = package.read_metrics(directory, Evaluation)
    if tuple(one.user for one in evaluation.users) != made.labels:
        raise ValueError("metrics.json: users: they are others than those of labels.json")
    if not evaluation.confusion.fits(len(made.labels), evaluation.attempts):
        raise ValueError("metrics.json: confusion: it is of other users or attempts")
    files, training = package.files(directory), made.training
    if not training.attempt_ids or len(training.attempt_ids) != len(training.timing_ids):
        raise ValueError("training.json: timing_ids: there must be one for each of attempt_ids, and one at least")
    return Model(
        name=name,
        version=version,
        learner=training.learner,
        features=made.inputs.feature_set,
        features_version=made.inputs.version,
        release_times=made.inputs.release_times,
        phrase=made.inputs.phrase,
        user_count=len(made.labels),
        dataset=training.dataset,
        fingerprint=training.fingerprint,
        holdout=training.holdout,
        split=training.split,
        params=training.params,
        seed=training.seed,
        impostors=training.impostors,
        temperature=training.temperature,
        thresholds=made.decision,
        training_attempts=len(made.trained_ids),
        fit_seconds=training.fit_seconds,
        near_ties=training.near_ties,
        size_kib=sum(one.size for one in files) // 1024,
        files=tuple(files),
        digest=package.digest(directory),
        libraries=training.libraries,
        figures=evaluation.figures,
        details=Details(users=made.labels, evaluation=evaluation, curve=training.curve),
        created_at=now(),
    )
