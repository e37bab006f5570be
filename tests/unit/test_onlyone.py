"""One home, one process."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyprint.errors import FailedPrecondition
from keyprint.onlyone import only_one


def test_one_home_is_used_by_one_at_a_time(tmp_path: Path) -> None:
    with only_one(tmp_path, "cat"), pytest.raises(FailedPrecondition) as refused, only_one(tmp_path, "cat"):
        pass
    assert refused.value.reason == "ALREADY_RUNNING"
    assert refused.value.message.startswith(f"Another cat uses {tmp_path};")
    with only_one(tmp_path, "cat"):
        pass
