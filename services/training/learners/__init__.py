"""The ways to train, in the order to show them."""

from __future__ import annotations

from keyprint.errors import InvalidArgument
from services.training.learners.adaboost import ADABOOST
from services.training.learners.extratrees import EXTRATREES
from services.training.learners.learner import Learner
from services.training.learners.lstm import LSTM

LEARNERS = {one.name: one for one in (ADABOOST, LSTM, EXTRATREES)}


def learner(name: str) -> Learner:
    """The learner of that name.

    Raises:
        InvalidArgument: there is none.
    """
    try:
        return LEARNERS[name]
    except KeyError:
        raise InvalidArgument(
            "LEARNER_NOT_FOUND", f"There is no learner {name!r}; there are: {', '.join(LEARNERS)}.", "learner"
        ) from None
