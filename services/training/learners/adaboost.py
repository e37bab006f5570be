"""AdaBoost of deep trees: scikit-learn's SAMME to train, one ONNX node to serve."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper
from sklearn.ensemble import AdaBoostClassifier
from sklearn.tree import DecisionTreeClassifier

from keyprint.features import Matrix
from keyprint.package import INPUT, OUTPUT

Labels = npt.NDArray[np.int64]

_OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
_IR_VERSION = 10


def fit(
    features: Matrix, labels: Labels, trees: int, depth: int, learning_rate: float, seed: int
) -> AdaBoostClassifier:
    """Boosts `trees` trees of `depth`, each split choosing among √F features.

    Args:
        features: float32[n, F].
        labels: int64[n], 0 to K - 1, every one of them at least once.
        learning_rate: shrinks each tree's weight.
        seed: of every random choice.
    """
    base = DecisionTreeClassifier(max_depth=depth, max_features="sqrt")
    boosted = AdaBoostClassifier(base, n_estimators=trees, learning_rate=learning_rate, random_state=seed)
    return boosted.fit(features, labels)


def to_onnx(boosted: AdaBoostClassifier) -> onnx.ModelProto:
    """The ensemble as a graph from features float32[N, F] to probabilities float32[N, K].

    SAMME's probabilities are softmax(d / (K - 1)) with d = (v - (W - v) / (K - 1)) / W, where v[k] sums the weights of
    the trees that vote for class k and W those of all trees (Zhu et al. 2009, "Multi-class AdaBoost").  What is the
    same for every class drops out of a softmax, which leaves softmax(v · K / ((K - 1)² · W)): one tree ensemble
    whose leaves carry their tree's weight at their winning class, one multiplication and one softmax.
    """
    classes = len(boosted.classes_)
    weights = boosted.estimator_weights_[: len(boosted.estimators_)]
    scale = float(classes / ((classes - 1) ** 2 * weights.sum()))
    graph = helper.make_graph(
        [
            helper.make_node(
                "TreeEnsembleRegressor",
                [INPUT],
                ["votes"],
                domain="ai.onnx.ml",
                aggregate_function="SUM",
                n_targets=classes,
                post_transform="NONE",
                **_attributes(boosted.estimators_, weights),
            ),
            helper.make_node("Mul", ["votes", "scale"], ["logits"]),
            helper.make_node("Softmax", ["logits"], [OUTPUT], axis=1),
        ],
        "adaboost",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", boosted.n_features_in_])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", classes])],
        [helper.make_tensor("scale", TensorProto.FLOAT, [], [scale])],
    )
    model = helper.make_model(graph, opset_imports=_OPSETS, ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    return model


def _attributes(estimators: list[DecisionTreeClassifier], weights: npt.NDArray[np.float64]) -> dict[str, Any]:
    trees = [one.tree_ for one in estimators]
    counts = [tree.node_count for tree in trees]
    tree_ids = np.repeat(np.arange(len(trees)), counts)
    node_ids = np.concatenate([np.arange(count) for count in counts])
    left = np.concatenate([tree.children_left for tree in trees])
    right = np.concatenate([tree.children_right for tree in trees])
    leaf = left < 0
    winners = np.concatenate([tree.value[:, 0, :].argmax(axis=1) for tree in trees])
    return {
        "nodes_treeids": tree_ids.tolist(),
        "nodes_nodeids": node_ids.tolist(),
        "nodes_featureids": np.where(leaf, 0, np.concatenate([tree.feature for tree in trees])).tolist(),
        "nodes_values": np.where(leaf, 0, _floored(np.concatenate([tree.threshold for tree in trees]))).tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_truenodeids": np.where(leaf, 0, left).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, right).tolist(),
        "target_treeids": tree_ids[leaf].tolist(),
        "target_nodeids": node_ids[leaf].tolist(),
        "target_ids": winners[leaf].tolist(),
        "target_weights": np.repeat(weights, counts)[leaf].tolist(),
    }


def _floored(thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Thresholds as float32, rounded down: for a float32 x, x ≤ t and x ≤ floor(t) are the same comparison."""
    near = thresholds.astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near)
