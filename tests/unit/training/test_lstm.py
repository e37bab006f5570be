"""What the LSTM adds: augmentation, a network that learns, and a file that holds no code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keyprint.attempts import UNKNOWN_TIME, Aligned
from keyprint.features import feature_set
from services.training.learners.augment import LONGEST_TICK_US, augment
from services.training.learners.learner import Examples, Step
from services.training.learners.lstm import LSTM

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

KEYS = 6
EACH = 40


def typing() -> tuple[Aligned, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Two users who differ in where they slow down."""
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], EACH)
    gaps = np.where((np.arange(KEYS) % 2 == labels[:, None]), 200_000, 120_000) + rng.integers(0, 20_000, (80, KEYS))
    pressed_at = np.cumsum(gaps, axis=1)
    released_at = pressed_at + 90_000
    released_at[0, 2] = UNKNOWN_TIME
    corrections = np.zeros((80, KEYS), np.int32)
    corrections[:5, 3] = 2
    return Aligned(np.arange(80), pressed_at, released_at, corrections, corrections.astype(np.int64) * 30_000), labels


def test_it_learns_and_its_loss_falls(tmp_path: Path) -> None:
    import keras

    attempts, labels = typing()
    timing = feature_set("timing")
    examples = Examples(attempts, labels, 2, lambda some: timing.compute(some, True), timing.channels(True))
    steps: list[Step] = []
    params = LSTM.check({"epochs": 8, "units": 8, "batch_size": 8, "learning_rate": 0.02})
    fitted = LSTM.fit(examples, params, 0, steps.append)
    features = examples.features(attempts)
    assert (fitted.logits(features).argmax(axis=1) == labels).mean() > 0.95
    losses = [step.loss for step in steps if step.loss is not None]
    assert len(losses) == 8
    assert losses[-1] < losses[0]

    fitted.save(tmp_path)
    read = keras.saving.load_model(tmp_path / "estimator.keras", safe_mode=True)
    np.testing.assert_allclose(read.predict(features, verbose=0), fitted.logits(features), atol=1e-5)


def test_who_typed_is_still_told_when_no_release_was_caught() -> None:
    attempts, labels = typing()
    holds = np.where(labels == 1, 150_000, 60_000)[:, None] + np.random.default_rng(2).integers(0, 5_000, (80, KEYS))
    attempts = replace(attempts, released_at=attempts.pressed_at + holds)
    timing = feature_set("timing")
    examples = Examples(attempts, labels, 2, lambda some: timing.compute(some, True), timing.channels(True))
    params = LSTM.check({"epochs": 8, "units": 8, "batch_size": 8, "learning_rate": 0.02})
    fitted = LSTM.fit(examples, params, 0, lambda step: None)
    late = replace(attempts, released_at=attempts.released_at + 4_500_000)
    assert (fitted.logits(examples.features(late)).argmax(axis=1) == labels).mean() > 0.95


def test_no_strength_alters_nothing() -> None:
    attempts, _ = typing()
    same = augment(attempts, 0.0, np.random.default_rng(0))
    for name in ("pressed_at", "released_at", "corrections", "correction_us"):
        np.testing.assert_array_equal(getattr(same, name), getattr(attempts, name))


def test_altered_attempts_stay_typing() -> None:
    attempts, _ = typing()
    altered = augment(attempts, 2.0, np.random.default_rng(0))
    assert (np.diff(altered.pressed_at, axis=1) > 0).all()
    assert (altered.released_at == UNKNOWN_TIME)[attempts.released_at == UNKNOWN_TIME].all()
    known = altered.released_at != UNKNOWN_TIME
    assert (altered.released_at > altered.pressed_at)[known].all()
    np.testing.assert_array_equal(altered.corrections, attempts.corrections)
    np.testing.assert_array_equal(altered.correction_us > 0, attempts.correction_us > 0)


def test_some_attempts_lose_all_their_releases_and_no_other_loses_any() -> None:
    attempts, _ = typing()
    altered = augment(attempts, 1.0, np.random.default_rng(0))
    lost = (altered.released_at == UNKNOWN_TIME) & (attempts.released_at != UNKNOWN_TIME)
    without = (altered.released_at == UNKNOWN_TIME).all(axis=1)
    assert 0 < without.sum() < len(attempts) / 4
    assert not lost[~without].any()


def test_presses_that_one_tick_of_a_clock_holds_stay_in_order() -> None:
    attempts, _ = typing()
    together = replace(attempts, pressed_at=np.repeat(attempts.pressed_at[:, :1], KEYS, axis=1))
    altered = augment(together, 1.0, np.random.default_rng(0))
    latencies = np.diff(altered.pressed_at, axis=1)
    assert (latencies >= 0).all()
    assert 1_000 < latencies.max() <= LONGEST_TICK_US


def test_every_attempt_gets_a_tempo_of_its_own() -> None:
    attempts, _ = typing()
    altered = augment(attempts, 1.0, np.random.default_rng(0))
    ratio = np.log(np.diff(altered.pressed_at, axis=1) / np.diff(attempts.pressed_at, axis=1))
    tempo = np.median(ratio, axis=1)
    assert 0.03 < tempo.std() < 0.15
    assert abs(tempo.mean()) < 0.05
    assert (np.abs(ratio - tempo[:, None]).max(axis=1) > 0.01).all()


def test_a_few_keys_get_a_longer_pause_and_most_attempts_none() -> None:
    attempts, _ = typing()
    altered = augment(attempts, 1.0, np.random.default_rng(0))
    ratio = np.diff(altered.pressed_at, axis=1) / np.diff(attempts.pressed_at, axis=1)
    pauses = (ratio > 1.8).sum(axis=1)
    assert 0 < (pauses > 0).sum() < len(attempts) / 4
    assert ratio.max() > 3


def test_all_holds_of_an_attempt_vary_more_together_than_its_tempo_does() -> None:
    attempts, _ = typing()
    altered = augment(attempts, 1.0, np.random.default_rng(0))
    kept = (altered.released_at != UNKNOWN_TIME).all(axis=1)
    held = np.log((altered.released_at - altered.pressed_at)[kept] / 90_000)
    together = np.median(held, axis=1)
    assert 0.08 < together.std() < 0.15
    assert abs(together.mean()) < 0.05
