"""One fit of a learner, as part of a job."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from keyprint.attempts import Aligned
from keyprint.errors import InvalidArgument
from keyprint.features import FeatureSet, Matrix
from keyprint.package import Point
from services.training.arrays import Floats, Labels
from services.training.calibrate import softmax
from services.training.dataset import Trainable
from services.training.learners.learner import Examples, Fitted, Learner, Step
from services.training.work import Order, Progress

Tell = Callable[[Progress], None]


@dataclass(frozen=True)
class Span:
    """The part of the whole that one stage takes."""

    stage: str
    begins: float
    ends: float


_BEGUN, FITTED = 0.0, 0.94


def spans(*stages: str) -> list[Span]:
    """Stages as long as each other: each is a fit."""
    bounds = np.linspace(_BEGUN, FITTED, len(stages) + 1).tolist()
    return [Span(stage, *part) for stage, part in zip(stages, pairwise(bounds), strict=True)]


@dataclass(frozen=True)
class Fit:
    """One way to fit, for whichever attempts."""

    learner: Learner
    order: Order
    features: FeatureSet
    release_times: bool
    users: int
    tell: Tell

    def __call__(self, data: Trainable, truth: Labels, span: Span, curve: list[Point] | None = None) -> Fitted:
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
            done = span.begins + (span.ends - span.begins) * step.number / step.of
            point = Point(step.number, step.loss, step.accuracy) if curve is not None else None
            if curve is not None and point:
                curve.append(point)
            self.tell(Progress(span.stage, done, f"{_DOING[span.stage]}: step {step.number} of {step.of}.", point))

        return self.learner.fit(examples, self.order.params, self.order.seed, report)

    def logits(self, fitted: Fitted, features: Matrix) -> Floats:
        """What the source estimator answers, float64[n, K], all finite."""
        logits = fitted.logits(features)
        if not np.isfinite(logits).all():
            raise self._diverged("its answers are no finite numbers")
        return logits

    def answers(self, fitted: Fitted, attempts: Aligned, degrees: float) -> Floats:
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
