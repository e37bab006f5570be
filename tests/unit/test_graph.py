"""ONNX Runtime, as we run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from keyprint.package import INPUT, OUTPUT

_RUN = """
import sys
from pathlib import Path
import numpy as np
from keyprint.graph import Graph
print(Graph(Path(sys.argv[1])).run(np.ones((2, 3), np.float32)).shape)
"""


def test_it_tells_nobody_and_keeps_nothing_of_what_it_runs(tmp_path: Path) -> None:
    """ONNX Runtime's official builds write ids and a queue of events for their maker, unless they are told not to."""
    graph = helper.make_graph(
        [helper.make_node("Softmax", [INPUT], [OUTPUT], axis=1)],
        "plain",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    onnx.checker.check_model(model)
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir()
    scratch.mkdir()
    # On CI machines it keeps quiet by itself.
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    environment |= {"HOME": str(home), "TMPDIR": str(scratch), "XDG_CACHE_HOME": str(home)}
    command = [sys.executable, "-c", _RUN, str(tmp_path / "model.onnx")]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603 - our own
    assert ran.stdout == f"{np.ones((2, 3)).shape}\n"
    assert [*home.rglob("*"), *scratch.rglob("*")] == []
