"""A bidirectional LSTM over the keys: Keras on TensorFlow to train, its ONNX export to serve.

The only module that imports TensorFlow, and only once somebody fits.
"""

from __future__ import annotations

import math
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper

from keyprint.features import Matrix
from keyprint.package import INPUT, OUTPUT
from services.training.arrays import Floats
from services.training.learners.augment import augment
from services.training.learners.learner import Examples, Learner, Parameter, Report, Step
from services.training.learners.recency import recency

if TYPE_CHECKING:
    import keras

_TENSORFLOW = "tensorflow-cpu" if sys.platform == "linux" and platform.machine() == "x86_64" else "tensorflow"
"""The distribution that pyproject.toml asks for here."""

_OPSET = 18
_SMOOTHING = 0.1
"""Share of each target that is spread over all users."""
_WEIGHT_DECAY = 1e-2
_INPUT_DROPOUT = 0.1
"""Share of the features that a step does not see."""
_CLIP = 8.0
"""Standard deviations from the mean beyond which a feature says no more."""
_CONSTANT = 1e-6
"""A column that varies by less than this share of its size is a constant."""
_FEWEST_STEPS = 10
"""Steps of an epoch at least: it goes through few attempts more than once, newly altered each time."""
_ROWS = 1024
"""Rows answered at a time."""


@dataclass(frozen=True)
class Network:
    """What a fit gives: a Keras model, features float32[m, F] to logits float32[m, K]."""

    model: keras.Model

    def logits(self, features: Matrix) -> Floats:
        """The network's answer."""
        return np.asarray(self.model.predict(features, batch_size=_ROWS, verbose=0), np.float64)

    def graph(self, temperature: float) -> onnx.ModelProto:
        """The network, then a division and a softmax."""
        import tensorflow as tf
        import tf2onnx

        signature = [tf.TensorSpec((None, self.model.input_shape[1]), tf.float32, name=INPUT)]
        answer = tf.function(lambda features: self.model(features, training=False), input_signature=signature)
        exported, _ = tf2onnx.convert.from_function(answer, signature, opset=_OPSET)
        return _with_softmax(exported, self.model.output_shape[1], temperature)

    def save(self, directory: Path) -> None:
        """Writes `estimator.keras`; it holds no code."""
        self.model.save(directory / "estimator.keras")


def fit(examples: Examples, params: Mapping[str, float], seed: int, report: Report) -> Network:
    """Trains for all epochs, each on newly altered attempts."""
    import keras

    # Weights and dropout draw from Keras's own generators.
    keras.utils.set_random_seed(seed)
    epochs = int(params["epochs"])
    steps = max(math.ceil(len(examples.labels) / params["batch_size"]), _FEWEST_STEPS)
    model = _network(examples, int(params["layers"]), int(params["units"]), params["dropout"])
    model.compile(
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(params["learning_rate"], epochs * steps),
            weight_decay=_WEIGHT_DECAY,
            clipnorm=1.0,
        ),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=_SMOOTHING),
        metrics=["accuracy"],
    )

    def on_epoch_end(epoch: int, logs: Mapping[str, float]) -> None:
        report(Step(epoch + 1, epochs, loss=logs["loss"], accuracy=logs["accuracy"]))

    model.fit(
        _batches(examples, params, seed),
        steps_per_epoch=steps,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=on_epoch_end)],
    )
    return Network(model)


def _batches(examples: Examples, params: Mapping[str, float], seed: int) -> Iterator[tuple[Matrix, Matrix]]:
    """Epoch after epoch without end: as many attempts as there are, drawn anew, as features and one-hot labels."""
    rng, size = np.random.default_rng(seed), int(params["batch_size"])
    targets = np.eye(examples.users, dtype=np.float32)[examples.labels]
    chances = recency(examples.attempts, examples.labels, params["half_life"])
    while True:
        features = examples.features(augment(examples.attempts, params["augmentation"], rng))
        drawn = rng.choice(len(targets), len(targets), p=chances)
        for begin in range(0, len(drawn), size):
            rows = drawn[begin : begin + size]
            yield features[rows], targets[rows]


def _network(examples: Examples, depth: int, units: int, dropout: float) -> keras.Model:
    """Normalised features, each key with its place and the totals, both ways through LSTMs, all keys to the answer.

    What was seen at each key goes into the answer by a weight of its own: averaged over the keys, or at the last one
    alone, the same network named 5 to 8 points fewer attempts right.
    """
    from keras import Model, layers, ops

    features = examples.features(examples.attempts)
    mean, spread = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    # A constant column, such as the year, would blow the first other value up beyond all measure.
    spread[spread <= _CONSTANT * np.maximum(np.abs(mean), 1.0)] = 1.0
    row = layers.Input((features.shape[1],), name=INPUT)
    scaled = ops.multiply(ops.subtract(row, mean.astype(np.float32)), (1.0 / spread).astype(np.float32))
    scaled = ops.clip(scaled, -_CLIP, _CLIP)
    channels = len(examples.channels)
    width = examples.keys * channels
    keys = layers.Reshape((examples.keys, channels))(scaled[:, :width])
    if features.shape[1] > width:
        keys = layers.Concatenate()([keys, layers.RepeatVector(examples.keys)(scaled[:, width:])])
    seen = layers.Dropout(min(_INPUT_DROPOUT, dropout))(keys)
    place = ops.add(ops.zeros_like(seen[:, :, :1]), np.eye(examples.keys, dtype=np.float32))
    seen = layers.Concatenate()([seen, place])
    for _ in range(depth):
        seen = layers.Bidirectional(layers.LSTM(units, return_sequences=True))(seen)
        seen = layers.Dropout(dropout)(seen)
    everything = layers.Flatten()(seen)
    return Model(row, layers.Dense(examples.users, name="logits")(everything), name="lstm")


def _with_softmax(exported: onnx.ModelProto, users: int, temperature: float) -> onnx.ModelProto:
    graph = exported.graph
    (logits,) = graph.output
    graph.node.extend(
        [
            helper.make_node("Div", [logits.name, "temperature"], ["scaled_logits"]),
            helper.make_node("Softmax", ["scaled_logits"], [OUTPUT], axis=1),
        ]
    )
    graph.initializer.append(helper.make_tensor("temperature", TensorProto.FLOAT, [], [temperature]))
    (features,) = graph.input
    width = features.type.tensor_type.shape.dim[1].dim_value
    del graph.input[:], graph.output[:]
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", width]))
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", users]))
    onnx.checker.check_model(exported)
    return exported


LSTM = Learner(
    name="lstm",
    title="LSTM",
    description="A recurrent net that reads the keys in order, both ways: slower to train, most accurate with many "
    "attempts.",
    parameters=(
        Parameter("epochs", "Passes over the attempts, of 10 steps at least.", "integer", 60, 1, 1000),
        Parameter("layers", "LSTMs one on top of the other.", "integer", 1, 1, 4),
        Parameter("units", "Units of each LSTM in each direction.", "integer", 64, 4, 512),
        Parameter("learning_rate", "Step size at the start; it falls to 0 along a cosine.", "number", 0.002, 1e-5, 0.1),
        Parameter("dropout", "Share of what each LSTM saw that is left out in training.", "number", 0.3, 0, 0.9),
        Parameter("batch_size", "Attempts a step.", "integer", 128, 1, 4096),
        Parameter(
            "augmentation", "How much each epoch alters the attempts' timing; 0 is not at all.", "number", 1, 0, 5
        ),
        Parameter(
            "half_life",
            "Share of a user's attempts after which one counts half, from the last one back.",
            "number",
            0.25,
            0.01,
            100,
        ),
    ),
    fit=fit,
    libraries=("keras", _TENSORFLOW, "tf2onnx"),
)
