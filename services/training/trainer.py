"""Trains one model: attempts in, a package out."""

from __future__ import annotations

import platform
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from keyprint import package
from keyprint.features import feature_set
from keyprint.graph import Graph
from keyprint.package import Point, Training
from services.training.agreement import check_agreement
from services.training.calibrate import softmax
from services.training.dataset import Trainable, select
from services.training.evaluate import evaluate
from services.training.fit import FITTED, Fit, Tell, spans
from services.training.learners import learner
from services.training.learners.learner import Learner
from services.training.openset import open_set_of
from services.training.probe import calibrate
from services.training.typical import typical
from services.training.work import Order, Outcome, Progress


def train(order: Order, data: Trainable, tell: Tell) -> Outcome:
    """Fits, calibrates, checks and evaluates a model, and writes its package into `order.directory`.

    Calibration follows scikit-learn's CalibratedClassifierCV with ensemble=False: the temperature and the thresholds
    come from a fit that did not see the last tenth of each user's training attempts, and are then used with the model
    that saw all of them.  The hold-out takes part in none of it.

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
    fit = Fit(learner(order.learner), order, features, data.release_times, len(labels), tell)
    fitting, calibrating, *judging = spans("fitting", "calibrating", *(["impostors"] if order.impostors else []))

    title = fit.learner.title
    tell(Progress("fitting", fitting.begins, f"Training has started: {title} on {len(known.ids):,} attempts."))
    began = time.monotonic()
    fitted = fit(known, truth[~held_out], fitting, curve)
    fit_seconds = time.monotonic() - began
    probe = calibrate(fit, known, truth[~held_out], calibrating)
    open_set = open_set_of(fit, data, held_out, *judging) if judging else None

    directory = Path(order.directory)
    tell(Progress("exporting", FITTED, "Writing the model as ONNX and checking it."))
    (directory / package.GRAPH).write_bytes(fitted.graph(probe.degrees).SerializeToString())
    fitted.save(directory)
    unseen = features.compute(select(data.attempts, held_out), data.release_times)
    probabilities = Graph(directory / package.GRAPH).run(unseen)
    near_ties = check_agreement(probabilities, softmax(fit.logits(fitted, unseen), probe.degrees))

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
            timing_ids=tuple(one.hex() for one in known.timing_ids),
            typical=typical(known.attempts, data.release_times),
        ),
    )
    return Outcome()


def _versions(used: Learner) -> dict[str, str]:
    # Whatever the learner, calibration is scipy's and the metrics are scikit-learn's.
    own = ("bentoml", "keyprint", "numpy", "onnx", "onnxruntime", "scikit-learn", "scipy")
    return {"python": platform.python_version(), **{name: version(name) for name in (*used.libraries, *own)}}
