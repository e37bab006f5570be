"""The straightforward way to features, which the benchmark of ingest compares with, gives the same numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.ingest import same
from keyprint import simulate
from keyprint.attempts import DEFAULT_PHRASE


@pytest.mark.parametrize("press_only", [True, False])
def test_both_ways_to_features_agree(tmp_path: Path, press_only: bool) -> None:
    (path,) = simulate.write(tmp_path, 1, 60, DEFAULT_PHRASE, press_only=press_only)
    same(path.read_bytes(), releases=not press_only)
