"""A package, as the models' table describes it."""

from __future__ import annotations

from pathlib import Path

from keyprint import package
from services.training.tables import Model, now


def entry(name: str, version: int, directory: Path) -> Model:
    """The row of a package that lies in the store under a name and version; all that it says stands in the package.

    Raises:
        ValueError: the package is not complete, or of another schema version.
    """
    made, about = package.read(directory), package.read_training(directory)
    try:
        return Model(
            name=name,
            version=version,
            features=made.inputs.feature_set,
            features_version=made.inputs.version,
            release_times=made.inputs.release_times,
            phrase=made.inputs.phrase,
            users=list(made.labels),
            training_attempts=len(made.trained_ids),
            size_kib=_size(directory) // 1024,
            digest=package.digest(directory),
            evaluation=package.read_metrics(directory),
            created_at=now(),
            **{one: about[one] for one in _TOLD},
        )
    except KeyError as error:
        raise ValueError(f"The package of {name} does not say {error}.") from error


_TOLD = (
    "learner",
    "dataset",
    "fingerprint",
    "holdout",
    "split",
    "params",
    "seed",
    "fit_seconds",
    "near_ties",
    "libraries",
    "curve",
)


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
