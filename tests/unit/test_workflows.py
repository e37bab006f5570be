"""The queue of long work, each in a process of its own, for a process has one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

UPGRADED = """
import os, sys, threading
from keyprint.workflows import WorkQueue
worked = threading.Event()
queue = WorkQueue("ingest", sys.argv[1], 2, lambda thing: (print(thing, flush=True), worked.set()), lane=2)
queue.put("from before")
queue.resume("from before", lane="example.org:443")
worked.wait(30)
os._exit(0)
"""


@pytest.mark.timeout(60)
def test_what_waits_without_a_lane_in_a_queue_that_has_lanes_is_worked_on(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", UPGRADED, f"sqlite:///{tmp_path / 'queue.db'}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "from before\n", done.stderr
