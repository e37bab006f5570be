"""What a way to train has to offer.

To add one, write its module here and its line in the registry (`services.training.learners`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import onnx

from keyprint.attempts import Aligned
from keyprint.errors import InvalidArgument
from keyprint.features import Matrix
from services.training.arrays import Floats, Labels


@dataclass(frozen=True)
class Parameter:
    """One parameter of a learner.

    Attributes:
        name: its key in `CreateTrainingJobRequest.params`.
        description: one sentence: what it does, with its unit.
        kind: whole numbers only, or any.
        default: the value when none is given.
        minimum: smallest value allowed.
        maximum: largest value allowed.
    """

    name: str
    description: str
    kind: Literal["integer", "number"]
    default: float
    minimum: float
    maximum: float


@dataclass(frozen=True)
class Examples:
    """What a learner learns from: n attempts of K users.

    Attributes:
        attempts: the n attempts themselves, for learners that alter typing before they look at it.
        labels: int64[n], who typed each, 0 to K - 1, everyone at least once.
        users: K.
        features: attempts to features, float32[m, F]: a block of L keys by C channels, then the totals.
        channels: the names of the C channels.
    """

    attempts: Aligned
    labels: Labels
    users: int
    features: Callable[[Aligned], Matrix]
    channels: tuple[str, ...]

    @property
    def keys(self) -> int:
        """L, the keys of the phrase."""
        return int(self.attempts.pressed_at.shape[1])


@dataclass(frozen=True)
class Step:
    """One epoch or boosting round that is done.

    Attributes:
        number: from 1.
        of: how many there will be at most.
        loss: training loss in nats, where the learner has one.
        accuracy: training accuracy, 0 to 1, where the learner has one.
    """

    number: int
    of: int
    loss: float | None = None
    accuracy: float | None = None


Report = Callable[[Step], None]


class Fitted(Protocol):
    """What a fit gives."""

    def logits(self, features: Matrix) -> Floats:
        """The source estimator's own answer: float64[m, K], whose softmax are its probabilities."""

    def graph(self, temperature: float) -> onnx.ModelProto:
        """The same as ONNX, features float32[N, F] to probabilities softmax(logits / temperature), float32[N, K]."""

    def save(self, directory: Path) -> None:
        """Writes the source estimator into `directory` in a format that runs no code when read."""


@dataclass(frozen=True)
class Learner:
    """A way to train.

    Attributes:
        name: what callers ask for.
        title: what people read.
        description: one sentence on what it is good for.
        parameters: in the order to show them.
        fit: examples, every parameter by name, a seed and where to report each step.  Libraries are imported inside,
            so that listing learners costs nothing.
        libraries: distributions whose versions are told with the model.
    """

    name: str
    title: str
    description: str
    parameters: tuple[Parameter, ...]
    fit: Callable[[Examples, Mapping[str, float], int, Report], Fitted]
    libraries: tuple[str, ...]

    def check(self, params: Mapping[str, object]) -> dict[str, float]:
        """Every parameter by name, those left out at their defaults.

        Raises:
            InvalidArgument: one is unknown, no number, no whole number or out of range.
        """
        known = {one.name: one for one in self.parameters}
        for name in params:
            if name not in known:
                names = ", ".join(known)
                raise InvalidArgument(
                    "PARAMETER_INVALID", f"{self.title} has no parameter {name!r}; it has: {names}.", f"params.{name}"
                )
        return {name: _checked(one, params.get(name, one.default)) for name, one in known.items()}


def _checked(parameter: Parameter, value: object) -> float:
    whole = parameter.kind == "integer"
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")
    # Written so that NaN fails too.
    if not parameter.minimum <= number <= parameter.maximum or (whole and number != int(number)):
        kind = "a whole number" if whole else "a number"
        raise InvalidArgument(
            "PARAMETER_INVALID",
            f"{parameter.name} must be {kind} from {parameter.minimum:g} to {parameter.maximum:g}, not {value!r}.",
            f"params.{parameter.name}",
        )
    return int(number) if whole else float(number)
