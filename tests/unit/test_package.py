"""What training writes, inference reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyprint import package
from keyprint.package import Inputs, Thresholds

INPUTS = Inputs("timing", 1, "hi", True)
THRESHOLDS = Thresholds(0.01, (0.001, 0.01, 0.1), (0.9, 0.6, 0.2))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    (tmp_path / package.GRAPH).write_bytes(b"graph")
    package.write(tmp_path, INPUTS, ["ada", "bob"], THRESHOLDS, {"accuracy": 1.0}, {"seed": 7}, [bytes(16)])
    return tmp_path


def test_a_package_reads_as_it_was_written(written: Path) -> None:
    read = package.read(written)
    assert (read.inputs, read.labels, read.thresholds) == (INPUTS, ("ada", "bob"), THRESHOLDS)
    assert read.trained_ids == {bytes(16)}


def test_the_digest_ignores_the_store_and_sees_one_flipped_bit(written: Path) -> None:
    before = package.digest(written)
    (written / "model.yaml").write_text("name: elsewhere")
    assert package.digest(written) == before
    (written / package.GRAPH).write_bytes(b"grapi")
    assert package.digest(written) != before


def test_another_schema_version_is_refused(written: Path) -> None:
    (written / "labels.json").write_text('{"schema_version": 99, "labels": []}')
    with pytest.raises(ValueError, match=r"labels\.json has schema version 99"):
        package.read(written)


def test_a_missing_key_is_told(written: Path) -> None:
    (written / "labels.json").write_text('{"schema_version": 1}')
    with pytest.raises(ValueError, match="not complete"):
        package.read(written)


def test_thresholds_are_met_at_their_rates_and_held_beyond_the_ends() -> None:
    assert [THRESHOLDS.at(far) for far in (0.0001, 0.001, 0.01, 0.5)] == pytest.approx([0.9, 0.9, 0.6, 0.2])
    assert 0.2 < THRESHOLDS.at(0.05) < 0.6
