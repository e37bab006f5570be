"""Every model on one hold-out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from keyprint import package
from keyprint.attempts import LEAST_KEYSTROKES
from keyprint.errors import FailedPrecondition, Internal, KeyprintError, NotFound
from keyprint.features import FEATURE_SETS
from keyprint.graph import Graph
from keyprint.package import Package
from services.training.arrays import Flags, Labels
from services.training.dataset import Trainable
from services.training.evaluate import evaluate
from services.training.figures import Evaluation, Figures
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
        figures: how it did; None where it could not be evaluated.
        correct: bool[n], the attempts that it identified rightly; empty where it could not be evaluated.
        seen_attempts: how many of the hold-out it saw in training, calibration included, whatever releases they had.
        error: why it could not be evaluated.
        p_value: chance of a difference from the first row as large as this one; None in that row and without figures.
    """

    model: Model
    figures: Figures | None
    correct: Flags
    seen_attempts: int
    error: KeyprintError | None = None
    p_value: float | None = None

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """Sorts by: models that saw nothing of the hold-out, then those that did, then those that have no figures."""
        accuracy = self.figures.accuracy if self.figures else 0.0
        return self.figures is None, self.seen_attempts > 0, -accuracy


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
        if not rows or rows[0].figures is None:
            return rows
        best = rows[0]
        return [best] + [
            replace(one, p_value=mcnemar(best.correct, one.correct)) if one.figures else one for one in rows[1:]
        ]

    def evaluate(self, reference: str, holdout: Trainable) -> tuple[Row, Evaluation]:
        """The row that a comparison has of one model, and how that did user by user.

        Raises:
            InvalidArgument: it is no reference.
            NotFound: there is no such model.
            FailedPrecondition: it cannot be evaluated on this hold-out.
            Internal: its package is damaged.
        """
        model = self._models.get(reference)
        _check_comparable(model, holdout)
        judged = self._judge(model, model.details.users, holdout)
        return Row(model, judged.evaluation.figures, judged.correct, judged.seen_attempts), judged.evaluation

    def _row(self, model: Model, holdout: Trainable, digest: str) -> Row | None:
        try:
            _check_comparable(model, holdout)
            # Its figures are those of the package that was published, whatever became of that.
            measured = self._models.measured(model.digest, digest)
            if measured is None:
                measured = _measured(model, digest, self._judge(model, self._models.users(model), holdout))
                self._models.keep_measured(measured)
        except NotFound:
            # It was deleted while it was read.
            return None
        except (FailedPrecondition, Internal) as error:
            return Row(model, None, np.zeros(0, np.bool_), 0, error)
        correct = np.unpackbits(np.frombuffer(measured.correct, np.uint8), count=len(holdout.ids)).astype(np.bool_)
        return Row(model, measured.figures, correct, measured.seen_attempts)

    def _judge(self, model: Model, users: Sequence[str], holdout: Trainable) -> _Judged:
        """How a model of these users does.

        Raises:
            NotFound: it was just deleted.
            FailedPrecondition: it does not know everybody.
            Internal: its package is damaged.
        """
        _check_known(users, holdout)
        try:
            self._store.check(model)
            made = package.read(self._store.directory(model.name, model.version))
            features = FEATURE_SETS[model.features].compute(holdout.attempts, model.release_times)
            probabilities = Graph(made.directory / package.GRAPH).run(features)
        except Exception as error:  # whatever ONNX Runtime, a parser or the disk finds wrong with it
            # Or it was just deleted, which this tells.
            self._models.get(model.reference)
            log.warning("%s cannot be evaluated", model.reference, exc_info=error)
            message = "Its package cannot be read or does not run; train it again."
            raise Internal("MODEL_CORRUPT", message, "model") from None
        truth = _positions(holdout.users, users)
        evaluation = evaluate(probabilities, truth, users, made.decision)
        return _Judged(evaluation, probabilities.argmax(axis=1) == truth, _seen(made, holdout))


@dataclass(frozen=True)
class _Judged:
    """How one model did on a hold-out of n attempts: bool[n] `correct`, and how many of them it saw in training."""

    evaluation: Evaluation
    correct: Flags
    seen_attempts: int


def _measured(model: Model, digest: str, judged: _Judged) -> Measured:
    return Measured(
        model_digest=model.digest,
        holdout_digest=digest,
        figures=judged.evaluation.figures,
        correct=np.packbits(judged.correct).tobytes(),
        seen_attempts=judged.seen_attempts,
    )


def _seen(made: Package, holdout: Trainable) -> int:
    """How many of the hold-out a model saw, be it with other releases or without; as ingest finds copies."""
    seen = [one in made.trained_ids for one in holdout.ids]
    if len(holdout.phrase) >= LEAST_KEYSTROKES:
        timed = (one in made.trained_timings for one in holdout.timing_ids)
        seen = [either or other for either, other in zip(seen, timed, strict=True)]
    return sum(seen)


def _check_comparable(model: Model, holdout: Trainable) -> None:
    """Nothing, if a model can read a hold-out.

    Raises:
        FailedPrecondition: it cannot.
    """
    features = FEATURE_SETS.get(model.features)
    if features is None or features.version != model.features_version:
        message = (
            f"It reads features {model.features!r} of version {model.features_version}, which this Keyprint does not "
            "have; train it again."
        )
        raise FailedPrecondition("OTHER_FEATURES", message, "model")
    if model.phrase != holdout.phrase:
        message = f"It reads {model.phrase!r} and this dataset has {holdout.phrase!r}."
        raise FailedPrecondition("OTHER_PHRASE", message, "dataset")
    if model.release_times and not holdout.release_times:
        raise FailedPrecondition("NO_RELEASE_TIMES", "It needs release times, which this dataset lacks.", "dataset")


def _check_known(users: Sequence[str], holdout: Trainable) -> None:
    """Nothing, if a model of these users knows all of a hold-out.

    Raises:
        FailedPrecondition: it does not.
    """
    if unknown := sorted(set(holdout.users.tolist()).difference(users)):
        others = f" and {len(unknown) - 1:,} more" if len(unknown) > 1 else ""
        raise FailedPrecondition("UNKNOWN_USERS", f"It does not know {unknown[0]!r}{others}.", "dataset")


def _positions(users: npt.NDArray[np.str_], labels: Sequence[str]) -> Labels:
    position = {label: number for number, label in enumerate(labels)}
    return np.array([position[user] for user in users.tolist()], np.int64)


def _digest(holdout: Trainable) -> str:
    """Over who typed what: the same attempts make the same hold-out, however it was chosen."""
    total = sha256(holdout.phrase.encode() + b"\0")
    for user, one in zip(holdout.users.tolist(), holdout.ids, strict=True):
        total.update(user.encode() + b"\0" + one)
    return total.hexdigest()
