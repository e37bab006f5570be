"""What a model must be to be served, and that it has answered before it is."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from keyprint import package
from keyprint.features import Matrix
from keyprint.graph import Graph
from services.inference.engine import Engine
from tests.unit.inference.conftest import write_package


def test_a_model_has_answered_once_before_anybody_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, run = [], Graph.run

    def watched(graph: Graph, features: Matrix) -> Matrix:
        sizes.append(len(features))
        return run(graph, features)

    monkeypatch.setattr(Graph, "run", watched)
    Engine("ada@1", write_package(tmp_path / "made"))
    assert sizes == [1]


def test_a_graph_for_other_users_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"its graph knows 3 users, and labels\.json has 2"):
        Engine("ada@1", write_package(tmp_path / "made", labels=("ann", "bob")))


def test_a_graph_that_does_not_say_for_how_many_users_it_answers_is_refused(tmp_path: Path) -> None:
    directory = write_package(tmp_path / "made")
    model = onnx.load(directory / package.GRAPH)
    model.graph.node[-1].output[0] = "softmax"
    model.graph.initializer.append(onnx.helper.make_tensor("all", onnx.TensorProto.BOOL, [3], [True] * 3))
    model.graph.node.append(onnx.helper.make_node("Compress", ["softmax", "all"], [package.OUTPUT], axis=1))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "K"
    onnx.save(model, directory / package.GRAPH)
    with pytest.raises(ValueError, match=r"its graph answers with the shape \['N', 'K'\]"):
        Engine("ada@1", directory)
