"""Trains one model: attempts in, a package out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from keyprint import package
from keyprint.errors import Internal
from keyprint.features import FeatureSet, Matrix, feature_set
from keyprint.graph import Graph
from keyprint.holdout import choose
from services.training.calibrate import softmax, temperature, thresholds
from services.training.dataset import Trainable, nothing_to_calibrate_on, select
from services.training.evaluate import evaluate
from services.training.learners import learner
from services.training.learners.learner import Examples, Fitted, Labels, Learner, Step
from services.training.work import Order, Outcome, Point, Progress

CALIBRATION_SHARE = 0.1
CALIBRATION_SEED = 0

CLOSE = 1e-5
"""Two candidates within this are a near tie, whose order a rounding may turn."""

_AGREEMENT = 1e-4

Tell = Callable[[Progress], None]


@dataclass(frozen=True)
class _Share:
    """The part of the whole that one stage takes."""

    stage: str
    begins: float
    ends: float


_FITTING = _Share("fitting", 0.02, 0.5)
_CALIBRATING = _Share("calibrating", 0.5, 0.94)


def train(order: Order, data: Trainable, tell: Tell) -> Outcome:
    """Fits, calibrates, checks and evaluates a model, and writes its package into `order.directory`.

    Calibration follows scikit-learn's CalibratedClassifierCV with ensemble=False: the temperature and the thresholds
    come from a second fit that did not see the last tenth of each user's training attempts, and are then used with
    the model that saw all of them.  The hold-out takes part in none of it.

    Raises:
        FailedPrecondition: the hold-out cannot be chosen, or leaves nothing to calibrate on.
        Internal: the graph does not answer as the source estimator does.
    """
    held_out = data.held_out(order.holdout, order.split, order.seed)
    labels, truth = np.unique(data.users, return_inverse=True)
    known = data.only(~held_out)
    features = feature_set(order.features)
    fit = _Fit(learner(order.learner), order, features, data.release_times, len(labels))

    title = fit.learner.title
    tell(Progress("fitting", _FITTING.begins, f"Training has started: {title} on {len(known.ids):,} attempts."))
    began = time.monotonic()
    fitted = fit(known, truth[~held_out], _FITTING, tell)
    fit_seconds = time.monotonic() - began
    degrees, decision = _calibrate(fit, known, truth[~held_out], tell)

    tell(Progress("exporting", _CALIBRATING.ends, "Writing the model as ONNX and checking it."))
    directory = Path(order.directory)
    (directory / package.GRAPH).write_bytes(fitted.graph(degrees).SerializeToString())
    fitted.save(directory)
    unseen = features.compute(select(data.attempts, held_out), data.release_times)
    probabilities = Graph(directory / package.GRAPH).run(unseen)
    near_ties = _check_agreement(probabilities, softmax(fitted.logits(unseen), degrees))

    tell(Progress("evaluating", 0.97, f"Evaluating on {len(unseen):,} held-out attempts."))
    evaluation = evaluate(probabilities, truth[held_out], labels.tolist())
    libraries = _versions(fit.learner)
    package.write(
        directory,
        package.Inputs(features.name, features.version, data.phrase, data.release_times),
        labels.tolist(),
        decision,
        asdict(evaluation),
        {
            "dataset": data.id,
            "fingerprint": data.fingerprint,
            "learner": order.learner,
            "params": dict(order.params),
            "holdout": order.holdout,
            "split": order.split,
            "seed": order.seed,
            "temperature": degrees,
            "libraries": libraries,
        },
        known.ids,
    )
    return Outcome(data.fingerprint, len(known.ids), fit_seconds, near_ties, libraries)


@dataclass(frozen=True)
class _Fit:
    """One way to fit, for whichever attempts."""

    learner: Learner
    order: Order
    features: FeatureSet
    release_times: bool
    users: int

    def __call__(self, data: Trainable, truth: Labels, share: _Share, tell: Tell) -> Fitted:
        examples = Examples(
            attempts=data.attempts,
            labels=truth,
            users=self.users,
            features=lambda attempts: self.features.compute(attempts, self.release_times),
            channels=len(self.features.channels(self.release_times)),
        )

        def report(step: Step) -> None:
            done = share.begins + (share.ends - share.begins) * step.number / step.of
            if share is _FITTING:
                point = Point(step.number, step.loss, step.accuracy)
                tell(Progress(share.stage, done, f"Training has started: step {step.number} of {step.of}.", point))
            else:
                tell(Progress(share.stage, done, f"Calibrating: step {step.number} of {step.of}."))

        return self.learner.fit(examples, self.order.params, self.order.seed, report)


def _calibrate(fit: _Fit, known: Trainable, truth: Labels, tell: Tell) -> tuple[float, package.Thresholds]:
    """The temperature, and the thresholds at it."""
    apart = _apart(known, fit.order.holdout)
    probe = fit(known.only(~apart), truth[~apart], _CALIBRATING, tell)
    logits = probe.logits(fit.features.compute(select(known.attempts, apart), fit.release_times))
    degrees = temperature(logits, truth[apart])
    return degrees, thresholds(softmax(logits, degrees), truth[apart])


def _apart(known: Trainable, share: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """bool[n]: the last tenth of each user's attempts; nothing of users with a single one, which the fit needs."""
    _, owner, counts = np.unique(known.users, return_inverse=True, return_counts=True)
    several = counts[owner] > 1
    if not several.any():
        # The dataset was resumed since the request was checked.
        raise nothing_to_calibrate_on(share)
    apart = np.zeros(len(owner), np.bool_)
    typed_at = known.attempts.pressed_at[several, 0]
    apart[several] = choose(known.users[several].tolist(), typed_at, CALIBRATION_SHARE, "late", CALIBRATION_SEED)
    return apart


def _check_agreement(found: Matrix, expected: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> int:
    """How many attempts are near ties.

    Raises:
        Internal: probabilities differ by more than 1e-4, or the label of an attempt that is no near tie differs.
    """
    best = np.sort(expected, axis=1)
    clear = best[:, -1] - best[:, -2] > CLOSE
    apart = float(np.abs(found - expected).max())
    labels = int((found.argmax(axis=1) != expected.argmax(axis=1))[clear].sum())
    if apart > _AGREEMENT or labels:
        raise Internal(
            "GRAPH_DISAGREES",
            f"The ONNX graph differs from its source by up to {apart:.2g} in probability and in {labels} labels, so "
            "the model was not published.",
        )
    return int((~clear).sum())


def _versions(used: Learner) -> dict[str, str]:
    names: Sequence[str] = (*used.libraries, "bentoml", "numpy", "onnx", "onnxruntime")
    return {name: version(name) for name in names}
