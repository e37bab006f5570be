"""What an image runs, where no image is."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from keyprint.addresses import free_address
from keyprint.processes import PARTS


def container(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-m", "keyprint.container", *words],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_part_that_there_is_not_is_told() -> None:
    done = container(KEYPRINT_PART="cellar")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: KEYPRINT_PART is 'cellar'; it must be one of ingest, training, inference, gateway.\n"
    )


@pytest.mark.parametrize("part", PARTS)
def test_it_becomes_the_part(part: str) -> None:
    done = container(KEYPRINT_PART=part, KEYPRINT_GRACE_SECONDS="soon")
    assert done.returncode == 2
    assert done.stderr == "error: KEYPRINT_GRACE_SECONDS is 'soon'; it must be a valid number. [SETTING_INVALID]\n"


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_does_not_listen_is_not_healthy(part: str) -> None:
    listen = {f"KEYPRINT_{part.upper()}_LISTEN": free_address().listen}
    assert container("health", KEYPRINT_PART=part, **listen).returncode == 1
