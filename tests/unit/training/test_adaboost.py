"""The ONNX graph answers as scikit-learn does."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from sklearn.ensemble import AdaBoostClassifier

from keyprint.features import Matrix
from keyprint.package import INPUT, OUTPUT
from services.training.learners import adaboost

CLASSES = 5


def data(seed: int, count: int = 400) -> tuple[Matrix, adaboost.Labels]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    labels[:CLASSES] = np.arange(CLASSES)
    features = rng.normal(labels[:, None] * 0.5, 1.0, (count, 12)).astype(np.float32)
    return features, labels


@pytest.fixture(scope="module")
def boosted() -> AdaBoostClassifier:
    return adaboost.fit(*data(1), trees=20, depth=4, learning_rate=1.0, seed=3)


@pytest.fixture(scope="module")
def session(boosted: AdaBoostClassifier) -> ort.InferenceSession:
    return ort.InferenceSession(adaboost.to_onnx(boosted).SerializeToString(), providers=["CPUExecutionProvider"])


def run(session: ort.InferenceSession, features: Matrix) -> Matrix:
    (found,) = session.run([OUTPUT], {INPUT: features})
    return np.asarray(found, np.float32)


def agrees(boosted: AdaBoostClassifier, session: ort.InferenceSession, features: Matrix) -> None:
    expected, found = boosted.predict_proba(features), run(session, features)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    best = np.sort(expected, axis=1)
    clear = best[:, -1] - best[:, -2] > 1e-5
    assert clear.mean() > 0.9
    assert (found.argmax(axis=1) == expected.argmax(axis=1))[clear].all()


def test_probabilities_and_labels_agree_on_unseen_rows(
    boosted: AdaBoostClassifier, session: ort.InferenceSession
) -> None:
    agrees(boosted, session, data(2, 2000)[0])


def test_they_agree_on_rows_that_lie_on_the_thresholds(
    boosted: AdaBoostClassifier, session: ort.InferenceSession
) -> None:
    rng = np.random.default_rng(0)
    features = data(4, 2000)[0]
    for column in range(features.shape[1]):
        at = np.concatenate([one.tree_.threshold[one.tree_.feature == column] for one in boosted.estimators_])
        features[:, column] = rng.choice(at, len(features)).astype(np.float32)
    agrees(boosted, session, features)


def test_one_row_gives_what_it_gives_among_others(session: ort.InferenceSession) -> None:
    features = data(5, 10)[0]
    alone = np.concatenate([run(session, features[row : row + 1]) for row in range(10)])
    np.testing.assert_allclose(alone, run(session, features), atol=1e-6)


def test_the_same_seed_trains_the_same_model(boosted: AdaBoostClassifier) -> None:
    again = adaboost.fit(*data(1), trees=20, depth=4, learning_rate=1.0, seed=3)
    assert adaboost.to_onnx(again) == adaboost.to_onnx(boosted)


def test_it_learns(boosted: AdaBoostClassifier) -> None:
    features, labels = data(6)
    assert boosted.score(features, labels) > 2 / CLASSES
