"""Every model on one hold-out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt

from keyprint import package
from keyprint.errors import FailedPrecondition, NotFound
from keyprint.features import feature_set
from keyprint.graph import Graph
from services.training.dataset import Trainable
from services.training.evaluate import Evaluation, evaluate, from_json
from services.training.models import Models
from services.training.significance import mcnemar
from services.training.store import Store
from services.training.tables import Measured, Model

Flags = npt.NDArray[np.bool_]


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
    error: FailedPrecondition | None = None
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
        """A row for every model, best first."""
        digest = _digest(holdout)
        rows = []
        for model in self._models.all():
            # Somebody may delete it while the others are evaluated.
            with suppress(NotFound):
                rows.append(self._row(model, holdout, digest))
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

    def _row(self, model: Model, holdout: Trainable, digest: str) -> Row:
        if error := _incomparable(model, holdout):
            return Row(model, None, np.zeros(0, np.bool_), 0, error)
        directory = self._store.directory(model.name, model.version)
        seen = package.read(directory).trained_ids.intersection(holdout.ids)
        measured = self._models.measured(model.digest, digest)
        if measured is None:
            measured = _measure(model, holdout, directory, digest)
            self._models.keep_measured(measured)
        correct = np.unpackbits(np.frombuffer(measured.correct, np.uint8), count=len(holdout.ids)).astype(np.bool_)
        return Row(model, from_json(measured.evaluation), correct, len(seen))


def _incomparable(model: Model, holdout: Trainable) -> FailedPrecondition | None:
    if model.phrase != holdout.phrase:
        message = f"It reads {model.phrase!r} and this dataset has {holdout.phrase!r}."
        return FailedPrecondition("OTHER_PHRASE", message, "dataset")
    if unknown := sorted(set(holdout.users.tolist()) - set(model.users)):
        others = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        return FailedPrecondition("UNKNOWN_USERS", f"It does not know {unknown[0]!r}{others}.", "dataset")
    if model.release_times and not holdout.release_times:
        return FailedPrecondition("NO_RELEASE_TIMES", "It needs release times, which this dataset lacks.", "dataset")
    return None


def _measure(model: Model, holdout: Trainable, directory: Path, digest: str) -> Measured:
    features = feature_set(model.features).compute(holdout.attempts, model.release_times)
    probabilities = Graph(directory / package.GRAPH).run(features)
    truth = _positions(holdout.users, model.users)
    correct = probabilities.argmax(axis=1) == truth
    return Measured(
        model_digest=model.digest,
        holdout_digest=digest,
        evaluation=asdict(evaluate(probabilities, truth, model.users)),
        correct=np.packbits(correct).tobytes(),
    )


def _positions(users: npt.NDArray[np.str_], labels: Sequence[str]) -> npt.NDArray[np.int64]:
    position = {label: number for number, label in enumerate(labels)}
    return np.array([position[user] for user in users.tolist()], np.int64)


def _digest(holdout: Trainable) -> str:
    """Over who typed what: the same attempts make the same hold-out, however it was chosen."""
    total = sha256(holdout.phrase.encode() + b"\0")
    for user, one in zip(holdout.users.tolist(), holdout.ids, strict=True):
        total.update(user.encode() + b"\0" + one)
    return total.hexdigest()
