"""How well a model does, as figures; `keyprint.v1.Evaluation` says what each field is."""

from __future__ import annotations

from dataclasses import dataclass, fields

from keyprint.package import Rate
from keyprint.typed import Count, Many, Positive, Score, Share, Text


@dataclass(frozen=True)
class DetPoint:
    """The two error rates, 0 to 1, when claims are accepted from a score of `threshold`."""

    false_accept_rate: Share
    false_reject_rate: Share
    threshold: Score


@dataclass(frozen=True)
class OpenSet:
    """Claims of impostors against a model that never saw them; `keyprint.v1.OpenSet` says what each field is."""

    impostors: Many[Text]
    attempts: Count
    stated_false_accept_rate: Rate
    threshold: Score
    false_accept_rate: Share
    false_reject_rate: Share
    false_positive_identification_rate: Share
    false_negative_identification_rate: Share
    equal_error_rate: Share
    det: Many[DetPoint]


@dataclass(frozen=True)
class UserEvaluation:
    """How well one user is told apart; rates from 0 to 1.

    Attributes:
        user: the label.
        precision: of the attempts given to this user, the share that are theirs.
        recall: of this user's attempts, the share given to them.
        support: hold-out attempts of this user.
        equal_error_rate: of this user against all others.
    """

    user: Text
    precision: Share
    recall: Share
    support: Count
    equal_error_rate: Share


@dataclass(frozen=True)
class Confusion:
    """The cells of a confusion matrix that are not 0, row by row: among many users nearly all are 0.

    Attributes:
        actual: int[c], positions of the users who typed.
        predicted: int[c], positions of the users whom the model named.
        count: int[c], attempts.
    """

    actual: Many[Count]
    predicted: Many[Count]
    count: Many[Count]

    def __post_init__(self) -> None:
        if not len(self.actual) == len(self.predicted) == len(self.count):
            raise ValueError("there must be as many of actual, predicted and count")

    def fits(self, users: int, attempts: int) -> bool:
        """Whether it can be of so many users and attempts."""
        return max(*self.actual, *self.predicted, -1, -1) < users and sum(self.count) == attempts


@dataclass(frozen=True)
class ReliabilityBin:
    """Attempts whose best candidates had about the same probability.

    Attributes:
        confidence: mean of these probabilities.
        accuracy: share of them that are right.
        attempts: how many they are, at least 1.
    """

    confidence: Share
    accuracy: Share
    attempts: Count


@dataclass(frozen=True)
class Figures:
    """What an evaluation comes to, a number each."""

    attempts: Count
    accuracy: Share
    accuracy_low: Share
    accuracy_high: Share
    macro_precision: Share
    macro_recall: Share
    macro_f1: Share
    log_loss: Positive
    top3_accuracy: Share
    calibration_error: Share
    equal_error_rate: Share
    stated_false_accept_rate: Rate
    threshold: Score
    false_accept_rate: Share
    false_reject_rate: Share
    unknown_rate: Share


@dataclass(frozen=True)
class Evaluation(Figures):
    """How well a model does on one hold-out, user by user too."""

    users: Many[UserEvaluation]
    confusion: Confusion
    det: Many[DetPoint]
    # Evaluations that were kept before there was one have none.
    reliability: Many[ReliabilityBin] = ()
    open_set: OpenSet | None = None

    @property
    def figures(self) -> Figures:
        """The numbers alone, whose size does not depend on how many users there are."""
        return Figures(**{one.name: getattr(self, one.name) for one in fields(Figures)})
