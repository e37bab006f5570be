"""A model of MLServer's: the ONNX graph of a package, run as ours is.  Imported by MLServer, in its own environment."""

from __future__ import annotations

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Graph(MLModel):  # type: ignore[misc]  # MLServer is not here
    """Features in, probabilities out."""

    async def load(self) -> bool:
        """Opens the graph at `parameters.uri`."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(self.settings.parameters.uri, options)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """The probabilities of the rows of the first input."""
        features = NumpyCodec.decode_input(payload.inputs[0])
        (probabilities,) = self._session.run(None, {"features": features})
        output = NumpyCodec.encode_output("probabilities", probabilities)
        return InferenceResponse(model_name=self.name, outputs=[output])
