"""What training writes, inference reads."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from keyprint import package
from keyprint.package import Inputs, Point, Thresholds, Training, Typical
from keyprint.typed import Share

INPUTS = Inputs("timing", 1, "hi", True)
THRESHOLDS = Thresholds(0.01, (0.001, 0.01, 0.1), (0.9, 0.6, 0.2))
TRAINING = Training(
    dataset="ds_1",
    fingerprint="f",
    learner="adaboost",
    params={"trees": 5},
    holdout=0.2,
    split="late",
    seed=7,
    impostors=0.0,
    temperature=0.5,
    libraries={"numpy": "2"},
    fit_seconds=1.5,
    near_ties=0,
    curve=(Point(1, 0.5, None),),
    attempt_ids=("00" * 16,),
    timing_ids=("11" * 16,),
    typical=Typical((0, 120_000), (90_000, 80_000)),
)


@dataclass(frozen=True)
class Metrics:
    """Stands for an evaluation."""

    accuracy: Share
    users: tuple[str, ...]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    (tmp_path / package.GRAPH).write_bytes(b"graph")
    package.write(tmp_path, INPUTS, ["ada", "bob"], THRESHOLDS, Metrics(1.0, ("ada", "bob")), TRAINING)
    return tmp_path


def test_a_package_reads_as_it_was_written(written: Path) -> None:
    read = package.read(written)
    assert (read.inputs, read.labels, read.decision) == (INPUTS, ("ada", "bob"), THRESHOLDS)
    assert read.training == TRAINING
    assert read.trained_ids == {bytes(16)}
    assert package.read_metrics(written, Metrics) == Metrics(1.0, ("ada", "bob"))


def test_the_digest_ignores_the_store_and_sees_one_flipped_bit(written: Path) -> None:
    before = package.digest(written)
    (written / "model.yaml").write_text("name: elsewhere")
    assert package.digest(written) == before
    (written / package.GRAPH).write_bytes(b"grapi")
    assert package.digest(written) != before


def test_another_schema_version_is_refused(written: Path) -> None:
    (written / "labels.json").write_text('{"schema_version": 99, "labels": []}')
    with pytest.raises(ValueError, match=r"labels\.json: it has schema version 99"):
        package.read(written)


def test_a_package_of_the_version_before_is_read_but_for_its_metrics(written: Path) -> None:
    now = package.read(written)
    for path in written.glob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": package.SCHEMA_VERSION - 1}))
    assert package.read(written) == now
    with pytest.raises(ValueError, match=r"metrics\.json: it has schema version 4, and this Keyprint reads 5"):
        read_all(written)


@pytest.mark.parametrize(
    ("file", "changes", "told"),
    [
        ("labels", {"labels": None}, "labels: Input should be a valid"),
        ("labels", {"labels": [1, 2]}, "labels.0: Input should be a valid string"),
        ("labels", {"labels": ["ada"]}, "labels: "),
        ("labels", {"labels": ["ada", "ada"]}, "a label is there twice"),
        ("labels", {"labels": ["ada", "b\0"]}, "labels.1: String should match"),
        ("features", {"version": "1"}, "version: Input should be a valid integer"),
        ("features", {"version": True}, "version: Input should be a valid integer"),
        ("features", {"phrase": "h"}, "phrase: String should have at least 2"),
        ("features", {"release_times": 1}, "release_times: Input should be a valid boolean"),
        ("decision", {"far": [], "threshold": []}, "far: "),
        ("decision", {"far": [0.1, 0.01, 0.2]}, "the rates must rise"),
        ("decision", {"threshold": [0.5]}, "one threshold for each rate"),
        ("decision", {"threshold": [0.9, float("nan"), 0.2]}, "threshold.1: Input should be less than or equal to 1"),
        ("decision", {"threshold": [0.9, 0.5, -0.1]}, "threshold.2: Input should be greater than or equal to 0"),
        ("decision", {"threshold": [0.9, 0.2, 0.5]}, "a threshold for a larger rate must not be larger"),
        ("training", {"temperature": float("inf")}, "temperature: Input should be a finite number"),
        ("training", {"split": "sideways"}, "split: Input should be 'late' or 'random'"),
        ("training", {"seed": None}, "seed: Input should be a valid integer"),
        ("training", {"seed": 2**31}, "seed: Input should be less than"),
        ("training", {"seed": -1}, "seed: Input should be greater"),
        ("training", {"fit_seconds": "long"}, "fit_seconds: Input should be a valid number"),
        ("training", {"fit_seconds": float("inf")}, "fit_seconds: Input should be a finite number"),
        ("training", {"params": {"trees": "many"}}, "params.trees: Input should be a valid number"),
        ("training", {"libraries": ["numpy"]}, "libraries: Input should be"),
        ("training", {"curve": [{"step": 1}]}, "curve.0.loss: Field required"),
        ("training", {"attempt_ids": ["x"]}, "attempt_ids.0: String should match"),
        ("training", {"timing_ids": ["x"]}, "timing_ids.0: String should match"),
        ("training", {"typical": {"latency_us": [0, -1], "hold_us": [1, 1]}}, "typical.latency_us.1: Input "),
        (
            "training",
            {"typical": {"latency_us": [0], "hold_us": [1, 1]}},
            "typical.latency_us: there must be 2",
        ),
        ("training", {"typical": {"latency_us": [0, 1], "hold_us": []}}, "typical.hold_us: there must be 2"),
        ("metrics", {"accuracy": 1.5}, "accuracy: Input should be less than or equal to 1"),
        ("metrics", {"users": "ada"}, "users: Input should be a valid"),
    ],
)
def test_a_wrong_value_is_told_with_its_file_and_its_field(
    written: Path, file: str, changes: dict[str, object], told: str
) -> None:
    path = written / f"{file}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ValueError, match=rf"^{file}\.json: .*{re.escape(told)}"):
        read_all(written)


@pytest.mark.parametrize("file", ["labels", "features", "decision", "training", "metrics"])
def test_a_missing_value_is_told_with_its_file_and_its_field(written: Path, file: str) -> None:
    path = written / f"{file}.json"
    content = json.loads(path.read_text())
    for name in content.keys() - {"schema_version"}:
        path.write_text(json.dumps({key: value for key, value in content.items() if key != name}))
        with pytest.raises(ValueError, match=rf"^{file}\.json: {name}: Field required"):
            read_all(written)


@pytest.mark.parametrize(
    "content",
    [b"", b"no JSON", b"[]", b"null", b'{"schema_version": "1"}', b"\xff", b"[" * 100_000, b'{"schema_version":1e999}'],
)
def test_what_is_no_json_object_is_refused(written: Path, content: bytes) -> None:
    (written / "training.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"^training\.json: "):
        read_all(written)


def test_a_number_too_large_to_be_finite_is_refused(written: Path) -> None:
    path = written / "training.json"
    path.write_text(path.read_text().replace("1.5", "1e999"))
    with pytest.raises(ValueError, match="fit_seconds: Input should be a finite number"):
        read_all(written)


def read_all(directory: Path) -> None:
    package.read(directory)
    package.read_metrics(directory, Metrics)


def test_files_are_told_without_those_of_a_store(written: Path) -> None:
    (written / "model.yaml").write_text("name: elsewhere")
    (written / "estimator.skops").write_bytes(b"source")
    found = {one.name: one.size for one in package.files(written)}
    assert found.keys() == package.FILES | {"estimator.skops"}
    assert (found["model.onnx"], found["estimator.skops"]) == (5, 6)


def test_thresholds_are_met_at_their_rates_and_held_beyond_the_ends() -> None:
    assert [THRESHOLDS.at(far) for far in (0.0001, 0.001, 0.01, 0.5)] == pytest.approx([0.9, 0.9, 0.6, 0.2])
    assert 0.2 < THRESHOLDS.at(0.05) < 0.6
