"""Extremely randomised trees (Geurts, Ernst & Wehenkel 2006): scikit-learn's forest, one ONNX ensemble to serve."""

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
    from sklearn.ensemble import ExtraTreesClassifier


@dataclass(frozen=True)
class Forest:
    """What a fit gives: scikit-learn's own estimator."""

    estimator: ExtraTreesClassifier

    @property
    def doubt(self) -> float:
        """Added to every probability, so that none is zero: half a tree's vote."""
        return 0.5 / len(self.estimator.estimators_)

    def logits(self, features: Matrix) -> Floats:
        """Logs of scikit-learn's probabilities and the doubt."""
        return np.asarray(np.log(self.estimator.predict_proba(features) + self.doubt), np.float64)

    def graph(self, temperature: float) -> onnx.ModelProto:
        """One tree ensemble that sums each tree's share of users at a leaf, its logarithm, one softmax."""
        trees = self.estimator.estimators_
        says = [one.tree_.value[:, 0, :] / len(trees) for one in trees]
        nodes = [
            *ensemble_nodes(trees, says, "votes"),
            helper.make_node("Add", ["votes", "doubt"], ["doubted"]),
            helper.make_node("Log", ["doubted"], ["logs"]),
            helper.make_node("Div", ["logs", "temperature"], ["logits"]),
        ]
        shape = self.estimator.n_features_in_, len(self.estimator.classes_)
        return softmax_graph("extratrees", nodes, {"doubt": self.doubt, "temperature": temperature}, shape)

    def save(self, directory: Path) -> None:
        """Writes `estimator.skops`."""
        from skops import io

        io.dump(self.estimator, directory / "estimator.skops", compression=ZIP_DEFLATED, compresslevel=1)


def fit(examples: Examples, params: Mapping[str, float], seed: int, report: Report) -> Forest:
    """Grows the forest tree by tree."""
    from sklearn.ensemble import ExtraTreesClassifier

    features, trees = plain_features(examples), int(params["trees"])
    forest = ExtraTreesClassifier(
        max_depth=int(params["depth"]),
        max_features=params["features"],
        min_samples_leaf=int(params["leaf"]),
        random_state=seed,
        warm_start=True,
    )
    shares = np.zeros((len(examples.labels), examples.users))
    for count in range(1, trees + 1):
        forest.set_params(n_estimators=count).fit(features, examples.labels)
        shares += forest.estimators_[-1].predict_proba(features)
        loss = log_loss(np.log(shares / count + Forest(forest).doubt), examples.labels)
        report(Step(count, trees, loss, float((shares.argmax(axis=1) == examples.labels).mean())))
    return Forest(forest)


EXTRATREES = Learner(
    name="extratrees",
    title="Extra trees",
    description="A forest of randomly cut trees: nothing to tune, and hard to mislead by a few odd attempts.",
    parameters=(
        Parameter("trees", "Trees of the forest.", "integer", 300, 1, 2000),
        Parameter("depth", "Most decisions between a tree's root and a leaf.", "integer", 24, 1, 64),
        Parameter("features", "Share of all features that each cut chooses from.", "number", 0.3, 0.01, 1),
        Parameter("leaf", "Fewest attempts at a leaf.", "integer", 1, 1, 1000),
    ),
    fit=fit,
    libraries=("scikit-learn", "skops"),
)
