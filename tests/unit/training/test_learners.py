"""What every learner keeps to, whatever it is made of."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from scipy import special
from sklearn.metrics import log_loss

from keyprint.attempts import UNKNOWN_TIME, Aligned
from keyprint.errors import InvalidArgument
from keyprint.features import Matrix, feature_set
from keyprint.package import INPUT, OUTPUT
from services.training.learners import LEARNERS, learner
from services.training.learners.learner import Examples, Fitted, Step

# Keras and TensorFlow are behind numpy's and Python's newest ways.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

PARAMS = {"adaboost": {"trees": 8, "depth": 6}, "lstm": {"epochs": 4, "units": 6, "batch_size": 16}}
"""Of those that would take long at their defaults."""
SEED = 5
TEMPERATURE = 0.05
START = 1_700_000_000_000_000


def typing(users: int, each: int, keys: int, releases: bool = True, features: str = "timing") -> Examples:
    """Users with latencies of their own."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(users), each)
    gaps = rng.normal(5.0, 0.4, (users, keys))[labels] + rng.normal(0.0, 0.1, (users * each, keys))
    pressed_at = START + np.cumsum(np.exp(gaps) * 1e3, axis=1).astype(np.int64)
    held = (np.exp(rng.normal(4.5, 0.2, pressed_at.shape)) * 1e3).astype(np.int64)
    attempts = Aligned(
        rows=np.arange(len(labels)),
        pressed_at=pressed_at,
        released_at=pressed_at + held if releases else np.full_like(pressed_at, UNKNOWN_TIME),
        corrections=np.zeros(pressed_at.shape, np.int32),
        correction_us=np.zeros(pressed_at.shape, np.int64),
    )
    chosen = feature_set(features)
    return Examples(
        attempts=attempts,
        labels=labels,
        users=users,
        features=lambda some: chosen.compute(some, releases),
        channels=chosen.channels(releases),
    )


EXAMPLES = typing(users=4, each=10, keys=5)


def fit(name: str, examples: Examples, seed: int = SEED, report: Callable[[Step], None] = lambda step: None) -> Fitted:
    chosen = LEARNERS[name]
    return chosen.fit(examples, chosen.check(PARAMS.get(name, {})), seed, report)


@dataclass(frozen=True)
class Trained:
    """A learner that has learnt from EXAMPLES."""

    name: str
    fitted: Fitted
    steps: list[Step]
    features: Matrix

    def answers(self, features: Matrix, temperature: float) -> Matrix:
        return run(self.fitted, features, temperature)


@cache
def trained_once(name: str) -> Trained:
    steps: list[Step] = []
    return Trained(name, fit(name, EXAMPLES, report=steps.append), steps, EXAMPLES.features(EXAMPLES.attempts))


@pytest.fixture(params=list(LEARNERS))
def trained(request: pytest.FixtureRequest) -> Trained:
    return trained_once(request.param)


def run(fitted: Fitted, features: Matrix, temperature: float) -> Matrix:
    model = fitted.graph(temperature).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (found,) = session.run([OUTPUT], {INPUT: features})
    return np.asarray(found)


def softmax(logits: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Matrix:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("temperature", [1.0, TEMPERATURE])
def test_the_graph_answers_as_the_source_does(trained: Trained, temperature: float) -> None:
    expected = softmax(trained.fitted.logits(trained.features) / temperature)
    np.testing.assert_allclose(trained.answers(trained.features, temperature), expected, atol=1e-5)


def test_one_row_gives_what_it_gives_among_others(trained: Trained) -> None:
    together = trained.answers(trained.features, TEMPERATURE)
    alone = trained.answers(trained.features[3:4], TEMPERATURE)
    np.testing.assert_allclose(alone, together[3:4], atol=1e-6)


def test_every_step_is_told_in_order(trained: Trained) -> None:
    of = trained.steps[0].of
    assert [step.number for step in trained.steps] == list(range(1, of + 1))
    assert of in LEARNERS[trained.name].check(PARAMS.get(trained.name, {})).values()
    assert all(step.accuracy is None or 0 <= step.accuracy <= 1 for step in trained.steps)


@pytest.mark.parametrize("name", [name for name in LEARNERS if name != "lstm"])
def test_loss_and_accuracy_so_far_are_those_of_the_model_so_far(name: str) -> None:
    """The LSTM's are of its epoch's altered attempts, as Keras counts them."""
    trained = trained_once(name)
    answers = special.softmax(trained.fitted.logits(trained.features), axis=1)
    last = trained.steps[-1]
    assert last.accuracy == (answers.argmax(axis=1) == EXAMPLES.labels).mean()
    assert last.loss == pytest.approx(log_loss(EXAMPLES.labels, answers), rel=1e-6)
    assert all(step.loss is not None and step.accuracy is not None for step in trained.steps)


def test_the_same_seed_trains_the_same_model_and_another_seed_another(trained: Trained) -> None:
    unseen = trained.features + np.float32(0.3)
    first = trained.fitted.logits(unseen)
    again = fit(trained.name, EXAMPLES).logits(unseen)
    other = fit(trained.name, EXAMPLES, seed=SEED + 1).logits(unseen)
    np.testing.assert_array_equal(again, first)
    assert not np.allclose(other, first)


@pytest.mark.parametrize(
    "examples",
    [
        typing(users=2, each=3, keys=2),
        typing(users=3, each=2, keys=37, releases=False),
        typing(users=3, each=4, keys=5, releases=False, features="calendar"),
    ],
    ids=["two keys", "press only", "calendar"],
)
@pytest.mark.parametrize("name", list(LEARNERS))
def test_it_trains_on_little(name: str, examples: Examples) -> None:
    fitted = fit(name, examples)
    features = examples.features(examples.attempts)
    found = run(fitted, features, 1.0)
    assert found.shape == (len(features), examples.users)
    np.testing.assert_allclose(found, softmax(fitted.logits(features)), atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("name", list(LEARNERS))
def test_another_year_than_that_of_training_is_no_catastrophe(name: str) -> None:
    examples = typing(users=3, each=4, keys=5, releases=False, features="calendar")
    fitted = fit(name, examples)
    year = 365 * 86_400 * 1_000_000
    later = examples.features(replace(examples.attempts, pressed_at=examples.attempts.pressed_at + year))
    np.testing.assert_allclose(run(fitted, later, 1.0), softmax(fitted.logits(later)), atol=1e-5)


def test_the_source_is_saved_without_a_pickle(trained: Trained, tmp_path: Path) -> None:
    trained.fitted.save(tmp_path)
    (saved,) = tmp_path.iterdir()
    assert saved.suffix in {".keras", ".skops"}


def test_listing_learners_loads_none_of_their_libraries() -> None:
    code = """
import sys
import services.training.learners
print(*sorted({"keras", "sklearn", "skops", "tensorflow", "tf2onnx"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout == "\n"


@pytest.mark.parametrize("name", list(LEARNERS))
def test_defaults_are_within_their_ranges(name: str) -> None:
    chosen = learner(name)
    assert chosen.check({}) == {one.name: one.default for one in chosen.parameters}
    assert all(one.kind == "number" or one.default == int(one.default) for one in chosen.parameters)


@pytest.mark.parametrize("name", list(LEARNERS))
@pytest.mark.parametrize("wrong", ["below", "above", "nan", "text", "true"])
def test_parameters_out_of_range_are_refused_by_name(name: str, wrong: str) -> None:
    chosen = learner(name)
    for one in chosen.parameters:
        value = {"below": one.minimum - 1, "above": one.maximum + 1, "nan": float("nan"), "text": "5", "true": True}
        with pytest.raises(InvalidArgument, match=f"^{one.name} must be a ") as caught:
            chosen.check({one.name: value[wrong]})
        assert (caught.value.reason, caught.value.field) == ("PARAMETER_INVALID", f"params.{one.name}")


def test_a_whole_number_may_not_be_broken() -> None:
    with pytest.raises(InvalidArgument, match=r"^trees must be a whole number from 1 to \d+, not 2\.5\.$"):
        learner("adaboost").check({"trees": 2.5})
    assert learner("adaboost").check({"trees": 3.0})["trees"] == 3


@pytest.mark.parametrize("name", list(LEARNERS))
def test_an_unknown_parameter_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(InvalidArgument, match=r"has no parameter 'leaves'; it has: ") as caught:
        learner(name).check({"leaves": 3})
    assert (caught.value.reason, caught.value.field) == ("PARAMETER_INVALID", "params.leaves")


def test_an_unknown_learner_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InvalidArgument, match="no learner 'svm'; there are: adaboost, lstm") as caught:
        learner("svm")
    assert (caught.value.reason, caught.value.field) == ("LEARNER_NOT_FOUND", "learner")
