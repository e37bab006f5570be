"""scikit-learn's trees as one ONNX ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper
from scipy.special import log_softmax

from keyprint.features import Matrix
from keyprint.package import INPUT, OUTPUT
from services.training.arrays import Floats, Labels
from services.training.learners.learner import Examples

if TYPE_CHECKING:
    from sklearn.tree import DecisionTreeClassifier
    from sklearn.tree._tree import Tree


_OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
_IR_VERSION = 10

_PLAIN = ("log_press_to_press", "log_hold", "flight", "release_to_release", "corrections", "correction_cost")
"""Channels that say what happened from one key to the next."""


def plain_features(examples: Examples) -> Matrix:
    """The examples' features float32[n, F] with only what a tree should cut at; the other columns are 0.

    A cut chooses from a few columns drawn at random, and scikit-learn draws no constant one.  Differences, sums over
    several keys and shares of the same latencies take the places of the latencies themselves in those draws; without
    them trees named one to two points more attempts right.  Of a set that has none of the plain channels, every column
    stays.
    """
    features = examples.features(examples.attempts)
    plain = np.isin(examples.channels, _PLAIN)
    if not plain.any():
        return features
    columns = np.zeros(features.shape[1], np.bool_)
    columns[: examples.keys * len(plain)] = np.tile(plain, examples.keys)
    return np.where(columns, features, np.float32(0))


def log_loss(logits: Floats, labels: Labels) -> float:
    """Mean log loss, in nats, of the softmax of logits float64[n, K] where `labels` int64[n] are right."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def ensemble_nodes(
    estimators: Sequence[DecisionTreeClassifier], says: Sequence[Floats], output: str
) -> list[onnx.NodeProto]:
    """Sums what the leaves say that an attempt falls into: float32[N, F] to float32[N, K].

    Of a node's two children, ONNX Runtime keeps the one to which "no" leads beside it, in the memory that it has just
    read.  So "no" is to be what most attempts say: where those go left, x ≤ t is asked as -x ≤ -(the number after t),
    of a second F columns which hold the features negated.  ADR 23 has what that is worth.

    Args:
        estimators: the trees.
        says: of each tree float64[nodes, K], read at its leaves.
        output: the name of the sum.
    """
    trees = [one.tree_ for one in estimators]
    counts = [tree.node_count for tree in trees]
    tree_ids = np.repeat(np.arange(len(trees)), counts)
    node_ids = np.concatenate([np.arange(count) for count in counts])
    left = np.concatenate([tree.children_left for tree in trees])
    right = np.concatenate([tree.children_right for tree in trees])
    feature = np.concatenate([tree.feature for tree in trees])
    threshold = _floored(np.concatenate([tree.threshold for tree in trees]))
    leaf, turned = left < 0, np.concatenate([_left_is_heavier(tree) for tree in trees])
    above = -np.nextafter(threshold, np.float32(np.inf))
    said = np.concatenate(says) * leaf[:, None]
    rows, targets = np.nonzero(said)
    ensemble = helper.make_node(
        "TreeEnsembleRegressor",
        ["both_ways"],
        [output],
        domain="ai.onnx.ml",
        aggregate_function="SUM",
        n_targets=said.shape[1],
        post_transform="NONE",
        nodes_treeids=tree_ids.tolist(),
        nodes_nodeids=node_ids.tolist(),
        nodes_featureids=np.where(leaf, 0, feature + turned * estimators[0].n_features_in_).tolist(),
        nodes_values=np.where(leaf, np.float32(0), np.where(turned, above, threshold)).tolist(),
        nodes_modes=np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        nodes_truenodeids=np.where(leaf, 0, np.where(turned, right, left)).tolist(),
        nodes_falsenodeids=np.where(leaf, 0, np.where(turned, left, right)).tolist(),
        target_treeids=tree_ids[rows].tolist(),
        target_nodeids=node_ids[rows].tolist(),
        target_ids=targets.tolist(),
        target_weights=said[rows, targets].tolist(),
    )
    return [
        helper.make_node("Neg", [INPUT], ["negated"]),
        helper.make_node("Concat", [INPUT, "negated"], ["both_ways"], axis=1),
        ensemble,
    ]


def _left_is_heavier(tree: Tree) -> npt.NDArray[np.bool_]:
    """bool[nodes]: where more of what the tree was grown on, by weight, went left than right; False at leaves."""
    weight, inner = tree.weighted_n_node_samples, tree.children_left >= 0
    return np.asarray(inner & (weight[tree.children_left] > weight[tree.children_right]), np.bool_)


def softmax_graph(
    name: str, nodes: Sequence[onnx.NodeProto], constants: dict[str, float], shape: tuple[int, int]
) -> onnx.ModelProto:
    """Nodes from `INPUT` to "logits" as a model that ends in a softmax.

    Args:
        name: of the graph.
        nodes: in order.
        constants: float32 scalars that the nodes read.
        shape: F and K.
    """
    graph = helper.make_graph(
        [*nodes, helper.make_node("Softmax", ["logits"], [OUTPUT], axis=1)],
        name,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", shape[0]])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", shape[1]])],
        [helper.make_tensor(constant, TensorProto.FLOAT, [], [value]) for constant, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=_OPSETS, ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    return model


def _floored(thresholds: Floats) -> npt.NDArray[np.float32]:
    """Thresholds as float32, rounded down: for a float32 x, x ≤ t and x ≤ floor(t) are the same comparison."""
    near = thresholds.astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near)
