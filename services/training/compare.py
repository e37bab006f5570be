"""Every model on one hold-out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from keyprint import package
from keyprint.errors import FailedPrecondition, Internal, KeyprintError, NotFound
from keyprint.features import FEATURE_SETS
from keyprint.graph import Graph
from keyprint.package import Package
from services.training.arrays import Flags, Labels
from services.training.dataset import Trainable
from services.training.evaluate import Evaluation, evaluate, from_json
from services.training.models import Models
from services.training.significance import mcnemar
from services.training.store import Store
from services.training.tables import Measured, Model

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """One model in a comparison.

    Attributes:
        model: which.
        evaluation: how it did; None where it could not be evaluated.
        correct: bool[n], the attempts that it identified rightly; empty where it could not be evaluated.
        seen_attempts: how many of the hold-out it saw in training, calibration included.
        error: why it could not be evaluated.
        p_value: chance of a difference from the first row as large as this one; None in that row and without figures.
    """

    model: Model
    evaluation: Evaluation | None
    correct: Flags
    seen_attempts: int
    error: KeyprintError | None = None
    p_value: float | None = None

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """Sorts by: models that saw nothing of the hold-out, then those that did, then those that have no figures."""
        accuracy = self.evaluation.accuracy if self.evaluation else 0.0
        return self.evaluation is None, self.seen_attempts > 0, -accuracy


class Comparer:
    """Evaluates models on hold-outs, each pair once."""

    def __init__(self, models: Models, store: Store) -> None:
        self._models = models
        self._store = store

    def compare(self, holdout: Trainable) -> list[Row]:
        """A row for every model, best first; none for those that are deleted meanwhile."""
        digest = _digest(holdout)
        found = (self._row(model, holdout, digest) for model in self._models.all())
        rows = [row for row in found if row]
        rows.sort(key=lambda row: row.rank)
        if not rows or rows[0].evaluation is None:
            return rows
        best = rows[0]
        return [best] + [
            Row(one.model, one.evaluation, one.correct, one.seen_attempts, None, mcnemar(best.correct, one.correct))
            if one.evaluation
            else one
            for one in rows[1:]
        ]

    def _row(self, model: Model, holdout: Trainable, digest: str) -> Row | None:
        if error := _incomparable(model, holdout):
            return _without_figures(model, error)
        measured = self._models.measured(model.digest, digest)
        try:
            made = package.read(self._store.directory(model.name, model.version))
            new = measured or _measure(model, holdout, made, digest)
        except Exception as error:  # whatever ONNX Runtime, a parser or the disk finds wrong with it
            return self._damaged(model, error)
        if measured is None:
            self._models.keep_measured(new)
        seen = made.trained_ids.intersection(holdout.ids)
        correct = np.unpackbits(np.frombuffer(new.correct, np.uint8), count=len(holdout.ids)).astype(np.bool_)
        return Row(model, from_json(new.evaluation), correct, len(seen))

    def _damaged(self, model: Model, error: Exception) -> Row | None:
        try:
            self._models.get(model.reference)
        except NotFound:
            # It was deleted while it was read.
            return None
        log.warning("%s cannot be evaluated", model.reference, exc_info=error)
        damaged = Internal("MODEL_DAMAGED", "Its package cannot be read or does not run; train it again.", "model")
        return _without_figures(model, damaged)


def _without_figures(model: Model, error: KeyprintError) -> Row:
    return Row(model, None, np.zeros(0, np.bool_), 0, error)


def _incomparable(model: Model, holdout: Trainable) -> FailedPrecondition | None:
    features = FEATURE_SETS.get(model.features)
    if features is None or features.version != model.features_version:
        message = (
            f"It reads features {model.features!r} of version {model.features_version}, which this Keyprint does not "
            "have; train it again."
        )
        return FailedPrecondition("OTHER_FEATURES", message, "model")
    if model.phrase != holdout.phrase:
        message = f"It reads {model.phrase!r} and this dataset has {holdout.phrase!r}."
        return FailedPrecondition("OTHER_PHRASE", message, "dataset")
    if unknown := sorted(set(holdout.users.tolist()) - set(model.users)):
        others = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        return FailedPrecondition("UNKNOWN_USERS", f"It does not know {unknown[0]!r}{others}.", "dataset")
    if model.release_times and not holdout.release_times:
        return FailedPrecondition("NO_RELEASE_TIMES", "It needs release times, which this dataset lacks.", "dataset")
    return None


def _measure(model: Model, holdout: Trainable, made: Package, digest: str) -> Measured:
    features = FEATURE_SETS[model.features].compute(holdout.attempts, model.release_times)
    probabilities = Graph(made.directory / package.GRAPH).run(features)
    truth = _positions(holdout.users, model.users)
    correct = probabilities.argmax(axis=1) == truth
    return Measured(
        model_digest=model.digest,
        holdout_digest=digest,
        evaluation=asdict(evaluate(probabilities, truth, model.users, made.decision)),
        correct=np.packbits(correct).tobytes(),
    )


def _positions(users: npt.NDArray[np.str_], labels: Sequence[str]) -> Labels:
    position = {label: number for number, label in enumerate(labels)}
    return np.array([position[user] for user in users.tolist()], np.int64)


def _digest(holdout: Trainable) -> str:
    """Over who typed what: the same attempts make the same hold-out, however it was chosen."""
    total = sha256(holdout.phrase.encode() + b"\0")
    for user, one in zip(holdout.users.tolist(), holdout.ids, strict=True):
        total.update(user.encode() + b"\0" + one)
    return total.hexdigest()
