"""Probabilities to answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from keyprint.attempts import REASONS
from keyprint.channel import MESSAGE_BYTES
from keyprint.errors import InvalidArgument, NotFound
from services.inference.engine import Answers, Engine

IDENTIFIED, UNKNOWN, INVALID = "IDENTIFIED", "UNKNOWN", "INVALID"
DECISIONS = (IDENTIFIED, UNKNOWN, INVALID)

LARGEST_FAR = 0.5

_BESIDE_NAME = 32
"""Bytes of an answer about one of many attempts beside the user's name, at most: 3 before that, 8 of the probability, 1
of the decision, 17 of the reason, 1 of the flags."""

_REASONS = np.array(REASONS)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Decided:
    """The best candidate of each of n attempts and what to make of it.

    Attributes:
        user: str[n], empty where the attempt is not valid.
        probability: float64[n], 0 there.
        decision: str[n], one of `DECISIONS`.
        reason: str[n], why an attempt is not valid, else empty.
        second: str[n], the second best candidate, empty where there is none.
        order: int64[m, K], of the valid attempts the candidates by number, best first, the first of equals first.
    """

    user: npt.NDArray[np.str_]
    probability: Floats
    decision: npt.NDArray[np.str_]
    reason: npt.NDArray[np.str_]
    second: npt.NDArray[np.str_]
    order: npt.NDArray[np.int64]


def decide(engine: Engine, answers: Answers, threshold: float | Floats) -> Decided:
    """Names the best candidate of every attempt, the first of equals; from a threshold on it is `IDENTIFIED`.

    Args:
        engine: the model.
        answers: what it says of n attempts.
        threshold: one for all of them, or float64[n].
    """
    count, rows = len(answers.verdicts.reason), answers.rows
    order = (-answers.probabilities).argsort(axis=1, kind="stable")
    user, second = np.full((2, count), "", engine.labels.dtype)
    user[rows], second[rows] = engine.labels[order[:, 0]], engine.labels[order[:, 1]]
    probability = np.zeros(count)
    probability[rows] = answers.probabilities.max(axis=1, initial=0.0)
    decision = np.where(probability >= threshold, IDENTIFIED, UNKNOWN)
    decision[answers.verdicts.reason != 0] = INVALID
    return Decided(user, probability, decision, _REASONS[answers.verdicts.reason], second, order)


def candidates(engine: Engine, answers: Answers, decided: Decided, most: int) -> list[list[tuple[str, float]]]:
    """The `most` best candidates of each of m valid attempts, best first, each with its probability."""
    order = decided.order[:, :most]
    names, probabilities = engine.labels[order], np.take_along_axis(answers.probabilities, order, axis=1)
    return [list(zip(*each, strict=True)) for each in zip(names.tolist(), probabilities.tolist(), strict=True)]


def enough(engine: Engine, far: float) -> tuple[float, float]:
    """The false accept rate to decide at, and the probability from which somebody is believed then.

    Args:
        engine: the model.
        far: the rate asked for; 0 for the model's default.

    Raises:
        InvalidArgument: the rate is out of range, or smaller than the model's calibration can tell.
    """
    decision = engine.package.decision
    if not far:
        return decision.default_far, decision.default
    least = decision.far[0]
    # Written so that NaN fails too.
    if not least <= far <= LARGEST_FAR:
        raise InvalidArgument(
            "FAR_OUT_OF_RANGE",
            f"The false accept rate must be from {least:.2g}, the smallest that {engine.reference} was calibrated for, "
            f"to {LARGEST_FAR}, or 0 for the model's default of {decision.default_far:.2g}; not {far:g}.",
            "far",
        )
    return far, decision.at(far)


def check_answer(engine: Engine, count: int) -> None:
    """Nothing, if an answer about so many attempts fits into a message, whoever typed them.

    Raises:
        InvalidArgument: it may not.
    """
    most = MESSAGE_BYTES // (engine.label_bytes + _BESIDE_NAME)
    if count > most:
        raise InvalidArgument(
            "BATCH_INVALID",
            f"Users of {engine.reference} have names of up to {engine.label_bytes:,} bytes, so that an answer about "
            f"{count:,} attempts may not fit into a message; send at most {most:,} at once.",
            "length",
        )


def column(engine: Engine, user: str) -> int:
    """Which of the model's users this is, by its number among the labels.

    Raises:
        NotFound: the model does not know the user.
    """
    try:
        return engine.package.labels.index(user)
    except ValueError:
        raise NotFound("USER_NOT_FOUND", f"{engine.reference} does not know {user!r}.", "user") from None


def score(answers: Answers, attempt: int, column: int) -> float:
    """The probability that the user of this number typed an attempt; 0 if it is not valid."""
    row = answers.row(attempt)
    return 0.0 if row is None else float(answers.probabilities[row, column])
