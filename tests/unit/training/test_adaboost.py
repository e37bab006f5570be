"""The ONNX graph votes as scikit-learn does, and deep trees do not end the boosting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from skops import io

from keyprint.attempts import Aligned
from keyprint.features import Matrix
from keyprint.package import INPUT, OUTPUT
from services.training.arrays import Labels
from services.training.learners.adaboost import ADABOOST, Boosted
from services.training.learners.learner import Examples, Step

USERS = 5
NAMES = tuple(f"channel_{number}" for number in range(12))
NOBODY = np.empty((0, 1), np.int64)
NOTHING_TYPED = Aligned(np.empty(0, np.int64), NOBODY, NOBODY, NOBODY.astype(np.int32), NOBODY)


def data(seed: int, count: int = 400) -> tuple[Matrix, Labels]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, USERS, count)
    labels[:USERS] = np.arange(USERS)
    return rng.normal(labels[:, None] * 0.5, 1.0, (count, 12)).astype(np.float32), labels


def fit(features: Matrix, labels: Labels, **params: float) -> Boosted:
    examples = Examples(NOTHING_TYPED, labels, int(labels.max()) + 1, lambda _: features, NAMES)
    fitted = ADABOOST.fit(examples, ADABOOST.check(params), 3, lambda step: None)
    assert isinstance(fitted, Boosted)
    return fitted


@pytest.fixture(scope="module")
def boosted() -> Boosted:
    return fit(*data(1), trees=20, depth=4)


def run(boosted: Boosted, features: Matrix) -> Matrix:
    model = boosted.graph(1.0).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (found,) = session.run([OUTPUT], {INPUT: features})
    return np.asarray(found, np.float32)


def agrees(boosted: Boosted, features: Matrix) -> None:
    expected, found = boosted.estimator.predict_proba(features), run(boosted, features)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    best = np.sort(expected, axis=1)
    clear = best[:, -1] - best[:, -2] > 1e-5
    assert clear.mean() > 0.9
    assert (found.argmax(axis=1) == expected.argmax(axis=1))[clear].all()


def test_probabilities_and_labels_agree_on_unseen_rows(boosted: Boosted) -> None:
    agrees(boosted, data(2, 2000)[0])


def test_they_agree_on_rows_that_lie_on_the_thresholds(boosted: Boosted) -> None:
    rng = np.random.default_rng(0)
    features = data(4, 2000)[0]
    trees = [one.tree_ for one in boosted.estimator.estimators_]
    for column in range(features.shape[1]):
        at = np.concatenate([tree.threshold[tree.feature == column] for tree in trees])
        features[:, column] = rng.choice(at, len(features)).astype(np.float32)
    agrees(boosted, features)


def test_no_is_what_most_attempts_say(boosted: Boosted) -> None:
    (ensemble,) = (node for node in boosted.graph(1.0).graph.node if node.op_type == "TreeEnsembleRegressor")
    said = {one.name: np.array(list(one.ints or one.floats)) for one in ensemble.attribute}
    for number, tree in enumerate(one.tree_ for one in boosted.estimator.estimators_):
        here = said["nodes_treeids"] == number
        yes, no = said["nodes_truenodeids"][here], said["nodes_falsenodeids"][here]
        inner, weight = tree.children_left >= 0, tree.weighted_n_node_samples
        assert (weight[no] >= weight[yes])[inner].all()


def test_they_agree_for_two_users() -> None:
    features, labels = data(1)
    agrees(fit(features, np.minimum(labels, 1), trees=10, depth=3), data(2)[0])


def test_it_learns(boosted: Boosted) -> None:
    features, labels = data(6)
    assert (boosted.logits(features).argmax(axis=1) == labels).mean() > 2 / USERS


def test_trees_that_could_know_everything_do_not_end_the_boosting() -> None:
    apart = (np.arange(60, dtype=np.float32) // 20)[:, None] * np.ones(4, np.float32)
    fitted = fit(apart, np.repeat(np.arange(3), 20), trees=12, depth=64)
    assert len(fitted.estimator.estimators_) == 12
    assert np.isfinite(fitted.estimator.estimator_weights_).all()
    assert (fitted.logits(apart).argmax(axis=1) == np.repeat(np.arange(3), 20)).all()


def test_nothing_to_go_by_leaves_it_undecided() -> None:
    same = np.zeros((40, 3), np.float32)
    fitted = fit(same, np.repeat([0, 1], 20), trees=30, depth=5)
    assert (fitted.estimator.estimator_weights_ > 0).all()
    assert np.isfinite(fitted.logits(same)).all()


def test_skops_reads_what_was_saved_without_trusting_anything_of_ours(boosted: Boosted, tmp_path: Path) -> None:
    boosted.save(tmp_path)
    saved = tmp_path / "estimator.skops"
    assert io.get_untrusted_types(file=saved) == ["sklearn.tree._tree.Tree"]
    read = Boosted(io.load(saved, trusted=["sklearn.tree._tree.Tree"]))
    features = data(7)[0]
    np.testing.assert_array_equal(read.logits(features), boosted.logits(features))


def test_accuracy_is_that_of_all_trees_so_far() -> None:
    features, labels = data(1)
    steps: list[Step] = []
    examples = Examples(NOTHING_TYPED, labels, USERS, lambda _: features, NAMES)
    fitted = ADABOOST.fit(examples, ADABOOST.check({"trees": 5, "depth": 3}), 3, steps.append)
    assert steps[-1].accuracy == (fitted.logits(features).argmax(axis=1) == labels).mean()
