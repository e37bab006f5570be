"""The usual timing of the attempts that a model is trained on."""

from __future__ import annotations

import numpy as np

from keyprint.attempts import UNKNOWN_TIME, Aligned
from keyprint.package import Typical
from services.training.typical import typical


def aligned(pressed_ms: list[list[int]], held_ms: list[list[int | None]]) -> Aligned:
    """Attempts without corrections."""
    pressed = np.array(pressed_ms, np.int64) * 1000
    released = np.array(
        [
            [UNKNOWN_TIME if hold is None else at + hold * 1000 for at, hold in zip(*row, strict=True)]
            for row in zip(pressed.tolist(), held_ms, strict=True)
        ],
        np.int64,
    )
    none = np.zeros_like(pressed)
    return Aligned(np.arange(len(pressed)), pressed, released, none.astype(np.int32), none)


PRESSED = [[5, 105, 205], [7, 307, 1307], [0, 120, 99_120]]


def test_it_is_the_median_at_each_key() -> None:
    held = aligned(PRESSED, [[10, 60, 80], [30, None, 90], [20, 70, 10]])
    assert typical(held, release_times=True) == Typical((0, 120_000, 1_000_000), (20_000, 65_000, 80_000))
    assert typical(held, release_times=False).hold_us == ()


def test_it_is_clipped_as_features_are() -> None:
    held = aligned([PRESSED[2]], [[-10, 60, 80]])
    assert typical(held, release_times=True) == Typical((0, 120_000, 10_000_000), (0, 60_000, 80_000))


def test_a_key_that_nobody_was_seen_to_release_has_a_usual_hold() -> None:
    held = aligned(PRESSED[:1], [[10, None, 80]])
    assert typical(held, release_times=True).hold_us == (10_000, 100_000, 80_000)
