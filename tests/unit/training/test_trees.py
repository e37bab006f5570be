"""What trees are given to cut at."""

from __future__ import annotations

import numpy as np

from keyprint.attempts import Aligned
from keyprint.features import feature_set
from services.training.learners.learner import Examples
from services.training.learners.trees import plain_features

RNG = np.random.default_rng(0)
TYPED = Aligned(
    rows=np.arange(6),
    pressed_at=np.cumsum(RNG.integers(80_000, 200_000, (6, 5)), axis=1),
    released_at=np.cumsum(RNG.integers(80_000, 200_000, (6, 5)), axis=1) + 60_000,
    corrections=RNG.integers(0, 3, (6, 5)).astype(np.int32),
    correction_us=RNG.integers(0, 300_000, (6, 5)),
)


KEPT = tuple(
    f"{channel}_"
    for channel in ("log_press_to_press", "log_hold", "flight", "release_to_release", "corrections", "correction_cost")
)


def examples(name: str) -> Examples:
    chosen = feature_set(name)
    return Examples(TYPED, np.arange(6) % 2, 2, lambda some: chosen.compute(some, True), chosen.channels(True))


def test_trees_cut_at_what_happened_from_key_to_key_and_not_at_what_follows_from_it() -> None:
    timing = feature_set("timing")
    found, every = plain_features(examples("timing")), timing.compute(TYPED, True)
    names = np.array(timing.columns("abcde", True))
    kept = [name.startswith(KEPT) for name in names]
    np.testing.assert_array_equal(found[:, kept], every[:, kept])
    assert not found[:, np.invert(kept)].any()
    assert every[:, np.invert(kept)].any()


def test_a_set_without_plain_channels_stays_whole() -> None:
    np.testing.assert_array_equal(plain_features(examples("calendar")), feature_set("calendar").compute(TYPED, True))
