"""Trains one model: attempts in, a package out."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from keyprint import package
from keyprint.attempts import Aligned
from keyprint.errors import Internal, InvalidArgument
from keyprint.features import FeatureSet, Matrix, feature_set
from keyprint.graph import Graph
from keyprint.holdout import choose
from keyprint.package import Point, Training
from services.training.calibrate import Logits, identification, left_out, softmax, temperature, verification
from services.training.dataset import Trainable, nothing_to_calibrate_on, select
from services.training.evaluate import evaluate
from services.training.learners import learner
from services.training.learners.learner import Examples, Fitted, Labels, Learner, Step
from services.training.openset import OpenSet, choose_impostors, evaluate_open
from services.training.work import Order, Outcome, Progress

CALIBRATION_SHARE = 0.1
CALIBRATION_SEED = 0

CLOSE = 1e-5
"""Two candidates within this are a near tie, whose order a rounding may turn."""

_AGREEMENT = 1e-4

Chosen = npt.NDArray[np.bool_]
Tell = Callable[[Progress], None]


@dataclass(frozen=True)
class _Share:
    """The part of the whole that one stage takes."""

    stage: str
    begins: float
    ends: float

    def split(self, count: int) -> list[_Share]:
        """The same in equal parts."""
        bounds = np.linspace(self.begins, self.ends, count + 1).tolist()
        return [_Share(self.stage, *part) for part in pairwise(bounds)]


_BEGUN, _FITTED = 0.0, 0.94


def _shares(*stages: str) -> list[_Share]:
    """Stages as long as each other, the first of them a single fit and so half as long."""
    bounds = np.linspace(_BEGUN, _FITTED, 2 * len(stages)).tolist()
    parts = pairwise([bounds[0], *bounds[1::2]])
    return [_Share(stage, *part) for stage, part in zip(stages, parts, strict=True)]


def train(order: Order, data: Trainable, tell: Tell) -> Outcome:
    """Fits, calibrates, checks and evaluates a model, and writes its package into `order.directory`.

    Calibration follows scikit-learn's CalibratedClassifierCV with ensemble=False: the temperature and the thresholds
    come from fits that did not see the last tenth of each user's training attempts, or some of the users, and are then
    used with the model that saw all of them.  The hold-out takes part in none of it.

    Raises:
        FailedPrecondition: the hold-out cannot be chosen, or leaves nothing to calibrate on, or impostors leave fewer
            than two users.
        InvalidArgument: the fit diverges.
        Internal: the graph does not answer as the source estimator does.
    """
    held_out = data.held_out(order.holdout, order.split, order.seed)
    labels, truth = np.unique(data.users, return_inverse=True)
    known = data.only(~held_out)
    features = feature_set(order.features)
    curve: list[Point] = []
    fit = _Fit(learner(order.learner), order, features, data.release_times, len(labels), tell)
    fitting, calibrating, *judging = _shares("fitting", "calibrating", *(["impostors"] if order.impostors else []))

    title = fit.learner.title
    tell(Progress("fitting", fitting.begins, f"Training has started: {title} on {len(known.ids):,} attempts."))
    began = time.monotonic()
    fitted = fit(known, truth[~held_out], fitting, curve)
    fit_seconds = time.monotonic() - began
    probe = _calibrate(fit, known, truth[~held_out], calibrating)
    open_set = _open_set(fit, data, held_out, *judging) if judging else None

    directory = Path(order.directory)
    tell(Progress("exporting", _FITTED, "Writing the model as ONNX and checking it."))
    (directory / package.GRAPH).write_bytes(fitted.graph(probe.degrees).SerializeToString())
    fitted.save(directory)
    unseen = features.compute(select(data.attempts, held_out), data.release_times)
    probabilities = Graph(directory / package.GRAPH).run(unseen)
    near_ties = _check_agreement(probabilities, softmax(fit.logits(fitted, unseen), probe.degrees))

    tell(Progress("evaluating", 0.97, f"Evaluating on {len(unseen):,} held-out attempts."))
    evaluation = replace(evaluate(probabilities, truth[held_out], labels.tolist(), probe.decision), open_set=open_set)
    package.write(
        directory,
        package.Inputs(features.name, features.version, data.phrase, data.release_times),
        labels.tolist(),
        probe.decision,
        evaluation,
        Training(
            dataset=data.id,
            fingerprint=data.fingerprint,
            learner=order.learner,
            params=dict(order.params),
            holdout=order.holdout,
            split=order.split,
            seed=order.seed,
            impostors=order.impostors,
            temperature=probe.degrees,
            libraries=_versions(fit.learner),
            fit_seconds=fit_seconds,
            near_ties=near_ties,
            curve=tuple(curve),
            attempt_ids=tuple(one.hex() for one in known.ids),
        ),
    )
    return Outcome()


@dataclass(frozen=True)
class _Fit:
    """One way to fit, for whichever attempts."""

    learner: Learner
    order: Order
    features: FeatureSet
    release_times: bool
    users: int
    tell: Tell

    def __call__(self, data: Trainable, truth: Labels, share: _Share, curve: list[Point] | None = None) -> Fitted:
        """Fits; each step goes into `curve`, if there is one."""
        examples = Examples(
            attempts=data.attempts,
            labels=truth,
            users=self.users,
            features=lambda attempts: self.features.compute(attempts, self.release_times),
            channels=self.features.channels(self.release_times),
        )

        def report(step: Step) -> None:
            if step.loss is not None and not math.isfinite(step.loss):
                raise self._diverged(f"in step {step.number} of {step.of} its loss is no finite number any more")
            done = share.begins + (share.ends - share.begins) * step.number / step.of
            point = Point(step.number, step.loss, step.accuracy) if curve is not None else None
            if curve is not None and point:
                curve.append(point)
            self.tell(Progress(share.stage, done, f"{_DOING[share.stage]}: step {step.number} of {step.of}.", point))

        return self.learner.fit(examples, self.order.params, self.order.seed, report)

    def logits(self, fitted: Fitted, features: Matrix) -> Logits:
        """What the source estimator answers, float64[n, K], all finite."""
        logits = fitted.logits(features)
        if not np.isfinite(logits).all():
            raise self._diverged("its answers are no finite numbers")
        return logits

    def answers(self, fitted: Fitted, attempts: Aligned, degrees: float) -> Logits:
        """Probabilities float64[n, K] of the source estimator."""
        return softmax(self.logits(fitted, self.features.compute(attempts, self.release_times)), degrees)

    def _diverged(self, how: str) -> InvalidArgument:
        return InvalidArgument(
            "TRAINING_DIVERGED",
            f"Training has diverged: {how}; train again with a smaller learning_rate.",
            "params.learning_rate",
        )


_DOING = {
    "fitting": "Training has started",
    "calibrating": "Calibrating",
    "impostors": "Training once more without the impostors",
}


@dataclass(frozen=True)
class _Probe:
    """A fit that did not see the last attempts, and what these say about its answers."""

    fitted: Fitted
    degrees: float
    decision: package.Decision


def _calibrate(fit: _Fit, known: Trainable, truth: Labels, share: _Share) -> _Probe:
    """Fits without the last attempts for temperature and claims, and without some of the users for strangers."""
    parts = left_out(fit.users)
    whole, *rest = share.split(len(parts) + 1)
    fitted, degrees, claims = _probe(fit, known, truth, whole)
    strangers = []
    for missing, part in zip(parts, rest, strict=True):
        strange = missing[truth]
        if not _several(known.only(~strange)).any():
            continue
        few = replace(fit, users=int((~missing).sum()))
        # Positions among those who are left.
        without, own_degrees, _ = _probe(few, known.only(~strange), (np.cumsum(~missing) - 1)[truth[~strange]], part)
        strangers.append(few.answers(without, select(known.attempts, strange), own_degrees))
    return _Probe(fitted, degrees, package.Decision(claims, identification(strangers)))


def _probe(fit: _Fit, known: Trainable, truth: Labels, share: _Share) -> tuple[Fitted, float, package.Thresholds]:
    """A fit without the last attempts of each user, and the temperature and claims that these call for."""
    apart = _apart(known, fit.order.holdout)
    fitted = fit(known.only(~apart), truth[~apart], share)
    logits = fit.logits(fitted, fit.features.compute(select(known.attempts, apart), fit.release_times))
    degrees = temperature(logits, truth[apart])
    return fitted, degrees, verification(softmax(logits, degrees), truth[apart])


def _open_set(fit: _Fit, data: Trainable, held_out: Chosen, share: _Share) -> OpenSet:
    """Fits once more without the impostors, for this evaluation alone, and has them claim to be the others."""
    labels, owner = np.unique(data.users, return_inverse=True)
    strangers = choose_impostors(labels.tolist(), fit.order.impostors, fit.order.seed)
    strange = strangers[owner]
    # Positions among those who are left.
    truth = (np.cumsum(~strangers) - 1)[owner]
    few = replace(fit, users=int((~strangers).sum()))
    seen, judged, claims = ~held_out & ~strange, held_out & ~strange, held_out & strange
    probe = _calibrate(few, data.only(seen), truth[seen], share)
    return evaluate_open(
        few.answers(probe.fitted, select(data.attempts, judged), probe.degrees),
        truth[judged],
        few.answers(probe.fitted, select(data.attempts, claims), probe.degrees),
        probe.decision.identification,
        labels[strangers].tolist(),
    )


def _apart(known: Trainable, share: float) -> Chosen:
    """bool[n]: the last tenth of each user's attempts; nothing of users with a single one, which the fit needs."""
    several = _several(known)
    if not several.any():
        # The dataset was resumed since the request was checked.
        raise nothing_to_calibrate_on(share)
    apart = np.zeros(len(several), np.bool_)
    typed_at = known.attempts.pressed_at[several, 0]
    apart[several] = choose(known.users[several].tolist(), typed_at, CALIBRATION_SHARE, "late", CALIBRATION_SEED)
    return apart


def _several(known: Trainable) -> Chosen:
    """bool[n]: the attempts of users who have more than one."""
    _, owner, counts = np.unique(known.users, return_inverse=True, return_counts=True)
    return counts[owner] > 1


def _check_agreement(found: Matrix, expected: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> int:
    """How many attempts are near ties.

    Raises:
        Internal: probabilities differ by more than 1e-4, or the label of an attempt that is no near tie differs.
    """
    best = np.sort(expected, axis=1)
    clear = best[:, -1] - best[:, -2] > CLOSE
    apart = float(np.abs(found - expected).max())
    labels = int((found.argmax(axis=1) != expected.argmax(axis=1))[clear].sum())
    # Written so that NaN fails too.
    if not apart <= _AGREEMENT or labels:
        raise Internal(
            "GRAPH_DISAGREES",
            f"The ONNX graph differs from its source by up to {apart:.2g} in probability and in {labels} labels, so "
            "the model was not published.",
        )
    return int((~clear).sum())


def _versions(used: Learner) -> dict[str, str]:
    # Whatever the learner, calibration is scipy's and the metrics are scikit-learn's.
    own = ("bentoml", "keyprint", "numpy", "onnx", "onnxruntime", "scikit-learn", "scipy")
    return {"python": platform.python_version(), **{name: version(name) for name in (*used.libraries, *own)}}
