"""Newer attempts count more."""

from __future__ import annotations

import numpy as np
import pytest

from keyprint.attempts import Aligned
from services.training.learners.recency import recency

EACH = 8


def test_an_attempt_counts_half_as_much_a_half_life_further_back_in_its_users_own_time() -> None:
    labels = np.repeat([0, 1], EACH)
    # The first user's attempts lie in the document from the last to the first.
    typed_at = np.concatenate([np.arange(EACH)[::-1], 1000 + np.arange(EACH)])[:, None] * 60_000_000
    nothing = np.zeros_like(typed_at)
    found = recency(Aligned(np.arange(2 * EACH), typed_at, nothing, nothing.astype(np.int32), nothing), labels, 0.25)
    assert found.sum() == pytest.approx(1)
    backwards, forwards = found[:EACH], found[EACH:]
    np.testing.assert_allclose(backwards, forwards[::-1])
    np.testing.assert_allclose(forwards[EACH // 4 :], 2 * forwards[: -EACH // 4])
