"""What becomes of an order in the process that trains, when there is not memory enough."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict

import pytest

from services.training.learners import learner
from services.training.work import OUT_OF_MEMORY, Order, Said, from_line

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory")

_TREES = """
import sklearn.ensemble, skops.io

ROOM = 100 * 2**20
"""

_NET = """
import dataclasses, tensorflow
from services.training import learners

# Its threads take gigabytes of addresses before the first tensor.
ROOM = 8 * 2**30

large = dataclasses.replace(learners.LEARNERS["lstm"], fit=lambda *_: tensorflow.zeros((2**32,)))
learners.LEARNERS["lstm"] = large
"""

_LIMITED = """
import resource
from pathlib import Path
from services.training import worker
from tests.unit.training.test_trainer import typing

def read(order, tell):
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM,) * 2)
    return typing(tuple(f"user{number}" for number in range(40)), each=10)

worker._read = read
worker.main()
"""
"""A process that trains, with so much room to do so once it has imported what it needs and read its dataset."""


def test_trees_that_outgrow_a_real_limit_fail_in_words() -> None:
    """A tree has a probability for each of forty users at each of its hundreds of nodes."""
    assert last_word(_TREES + _LIMITED, "extratrees", {"trees": 2000}) == OUT_OF_MEMORY


def test_a_net_that_outgrows_a_real_limit_fails_in_words() -> None:
    """TensorFlow has an error of its own for that; one tensor of 16 GiB stands for the net."""
    assert last_word(_NET + _LIMITED, "lstm", {}) == OUT_OF_MEMORY


def last_word(script: str, name: str, params: dict[str, float]) -> Said:
    """What a process that runs the script says in the end."""
    order = Order("", "/nowhere", "ds_1", name, learner(name).check(params), 0.25, "late", "timing", 0)
    with subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, "-c", script], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        assert running.stdin
        assert running.stdout
        # Its standard input stays open: it ends when that closes.
        running.stdin.write(json.dumps(asdict(order)) + "\n")
        running.stdin.flush()
        *_, last = running.stdout
    return from_line(last)
