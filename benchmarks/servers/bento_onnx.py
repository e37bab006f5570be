"""A BentoML service with adaptive batching: the ONNX graph at the path in GRAPH, run as ours is."""

from __future__ import annotations

import os

import bentoml
import numpy as np
import onnxruntime


@bentoml.service(workers=1)
class Graph:
    """Features in, probabilities out."""

    def __init__(self) -> None:
        """Opens the graph."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(os.environ["GRAPH"], options)

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)  # type: ignore[untyped-decorator]  # BentoML types it in part
    def predict(self, rows: np.ndarray) -> np.ndarray:
        """The probabilities of some rows."""
        return np.asarray(self._session.run(None, {"features": rows.astype(np.float32)})[0])
