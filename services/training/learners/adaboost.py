"""AdaBoost of deep trees: scikit-learn's trees and estimator, one ONNX ensemble to serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZIP_DEFLATED

import numpy as np
import onnx
from onnx import helper

from keyprint.features import Matrix
from services.training.arrays import Floats
from services.training.learners.learner import Examples, Learner, Parameter, Report, Step
from services.training.learners.trees import ensemble_nodes, log_loss, plain_features, softmax_graph

if TYPE_CHECKING:
    from sklearn.ensemble import AdaBoostClassifier
    from sklearn.tree import DecisionTreeClassifier


@dataclass(frozen=True)
class Boosted:
    """What a fit gives: scikit-learn's own estimator."""

    estimator: AdaBoostClassifier

    def logits(self, features: Matrix) -> Floats:
        """Logs of scikit-learn's probabilities: a softmax gives them back, and none of them is ever zero."""
        return np.asarray(np.log(self.estimator.predict_proba(features)), np.float64)

    def graph(self, temperature: float) -> onnx.ModelProto:
        """One tree ensemble, one multiplication, one softmax."""
        return to_onnx(self.estimator, temperature)

    def save(self, directory: Path) -> None:
        """Writes `estimator.skops`; of its types, skops asks to be told that scikit-learn's own Tree may be trusted."""
        from skops import io

        # A tenth of the size, for less than a second.
        io.dump(self.estimator, directory / "estimator.skops", compression=ZIP_DEFLATED, compresslevel=1)


def fit(examples: Examples, params: Mapping[str, float], seed: int, report: Report) -> Boosted:
    """Boosts by resampling (Freund & Schapire 1997, section 3.1) with SAMME's weights (Zhu et al. 2009).

    Each tree learns from a sample drawn by weight, where scikit-learn's own loop hands over the weights: a deep tree
    that sees every attempt makes no mistake on them, and boosting would be over with the first one.
    """
    from sklearn.ensemble import AdaBoostClassifier
    from sklearn.tree import DecisionTreeClassifier

    features, labels = plain_features(examples), examples.labels
    trees, depth, rate = int(params["trees"]), int(params["depth"]), params["learning_rate"]
    # There may be fewer columns than are asked for.
    draws = min(int(params["features"]), features.shape[1])
    count, users = len(labels), examples.users
    rng = np.random.default_rng(seed)
    weights, votes = np.full(count, 1.0 / count), np.zeros((count, users))
    grown: list[DecisionTreeClassifier] = []
    says: list[float] = []
    errors: list[float] = []
    for number in range(1, trees + 1):
        drawn = np.bincount(rng.choice(count, count, p=weights), minlength=count)
        tree = DecisionTreeClassifier(max_depth=depth, max_features=draws, random_state=int(rng.integers(2**31)))
        tree.fit(features, labels, sample_weight=drawn)
        answers = tree.predict(features)
        wrong = answers != labels
        error = float(weights[wrong].sum())
        say = rate * _say(error, count, users)
        weights *= np.exp(say * wrong)
        weights /= weights.sum()
        votes[np.arange(count), answers] += say
        grown.append(tree)
        says.append(say)
        errors.append(error)
        loss = log_loss(votes * _scale(users, sum(says)), labels)
        report(Step(number, trees, loss, float((votes.argmax(axis=1) == labels).mean())))
    boosted = AdaBoostClassifier(grown[0], n_estimators=trees, learning_rate=rate, random_state=seed)
    boosted.classes_, boosted.n_classes_ = np.arange(users), users
    boosted.n_features_in_ = features.shape[1]
    boosted.estimators_, boosted.estimator_weights_, boosted.estimator_errors_ = grown, np.array(says), np.array(errors)
    return Boosted(boosted)


def _scale(users: int, says: float) -> float:
    """What makes logits of the sums of votes, given the weight of all votes; `to_onnx` says why."""
    return users / ((users - 1) ** 2 * says)


def _say(error: float, count: int, users: int) -> float:
    """The weight of a tree's vote, as if it had half an attempt wrong at least and beat chance by as much.

    It is then above 0 and finite, and the next sample differs from this one anyway.
    """
    least = 0.5 / count
    kept = min(max(error, least), 1 - 1 / users - least)
    return float(np.log((1 - kept) / kept) + np.log(users - 1))


ADABOOST = Learner(
    name="adaboost",
    title="AdaBoost",
    description="Boosted decision trees: quick to train, fastest to answer, good from a few dozen attempts per user.",
    parameters=(
        Parameter("trees", "Boosting rounds, one tree each.", "integer", 300, 1, 2000),
        Parameter("depth", "Most decisions between a tree's root and a leaf.", "integer", 24, 1, 64),
        Parameter("features", "Features that each cut chooses from, drawn anew.", "integer", 3, 1, 1000),
        Parameter("learning_rate", "How much of its weight each tree's vote keeps.", "number", 0.5, 0.01, 2),
    ),
    fit=fit,
    libraries=("scikit-learn", "skops"),
)


def to_onnx(boosted: AdaBoostClassifier, temperature: float = 1.0) -> onnx.ModelProto:
    """The ensemble as a graph from features float32[N, F] to probabilities float32[N, K].

    SAMME's probabilities are softmax(d / (K - 1)) with d = (v - (W - v) / (K - 1)) / W, where v[k] sums the weights of
    the trees that vote for class k and W those of all trees (Zhu et al. 2009, "Multi-class AdaBoost").  What is the
    same for every class drops out of a softmax, which leaves softmax(v · K / ((K - 1)² · W)): one tree ensemble
    whose leaves carry their tree's weight at their winning class, one multiplication and one softmax.
    """
    classes = len(boosted.classes_)
    weights = boosted.estimator_weights_[: len(boosted.estimators_)]
    scale = _scale(classes, float(weights.sum())) / temperature
    says = [
        np.eye(classes)[tree.tree_.value[:, 0, :].argmax(axis=1)] * weight
        for tree, weight in zip(boosted.estimators_, weights, strict=True)
    ]
    nodes = [
        *ensemble_nodes(boosted.estimators_, says, "votes"),
        helper.make_node("Mul", ["votes", "scale"], ["logits"]),
    ]
    return softmax_graph("adaboost", nodes, {"scale": scale}, (boosted.n_features_in_, classes))
