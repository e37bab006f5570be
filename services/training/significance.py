"""Whether two models differ by more than chance."""

from __future__ import annotations

from scipy.stats import binomtest

from services.training.arrays import Flags


def mcnemar(first: Flags, second: Flags) -> float:
    """McNemar's exact test (1947): the chance of a difference as large as this one if both were equally good.

    Only attempts that one model identifies and the other does not say anything; under equality each is a coin toss.

    Args:
        first: bool[n], attempts that one model identifies rightly.
        second: bool[n], the same of the other.

    Returns:
        From 0 to 1; 1 where they agree everywhere.
    """
    won, lost = int((first & ~second).sum()), int((second & ~first).sum())
    return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0
