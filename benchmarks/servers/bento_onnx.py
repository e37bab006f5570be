"""A BentoML service with adaptive batching: the ONNX graph at the path in GRAPH, run as ours is."""

from __future__ import annotations

import os
from pathlib import Path

import bentoml
import numpy as np

from keyprint import graph


@bentoml.service(workers=1)
class Graph:
    """Features in, probabilities out."""

    def __init__(self) -> None:
        """Opens the graph."""
        self._graph = graph.Graph(Path(os.environ["GRAPH"]))

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)  # type: ignore[untyped-decorator]  # BentoML types it in part
    def predict(self, rows: np.ndarray) -> np.ndarray:
        """The probabilities of some rows."""
        return self._graph.run(rows.astype(np.float32))
