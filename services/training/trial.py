"""A stranger's graph, tried out in a process of its own, with bounded memory and time.

python -m services.training.trial GRAPH FEATURES USERS MIB
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

from keyprint.graph import Graph

SECONDS = 60.0
"""Longest trial."""
ROWS = 256
"""Attempts that it is asked about at once: a large recurrent net takes minutes for many more."""
SETTING = "KEYPRINT_TRAINING_IMPORT_MEMORY_MIB"

_FITS, _OTHER_ANSWER = 0, 3


def check_graph(graph: Path, features: int, users: int, memory_mib: int) -> None:
    """Nothing, if the graph answers for its users on `ROWS` rows of zeros.

    What a graph of a few bytes asks for when it is loaded or run would otherwise be the service's own memory.

    Raises:
        ValueError: it does not, or takes more memory or time; says so.
    """
    command = [sys.executable, "-m", "services.training.trial", str(graph), str(features), str(users), str(memory_mib)]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=SECONDS)  # noqa: S603 - our own module
    except subprocess.TimeoutExpired:
        raise ValueError(f"its graph takes longer than {SECONDS:g} s to load and answer") from None
    if ended.returncode == _OTHER_ANSWER:
        raise ValueError("its graph does not answer for each of its users")
    if ended.returncode != _FITS:
        raise ValueError(f"its graph does not run on its features, or not in {memory_mib:,} MiB of memory ({SETTING})")


def main() -> None:
    """Tries a graph out."""
    graph, features, users, memory_mib = Path(sys.argv[1]), *map(int, sys.argv[2:])
    _bound(memory_mib)
    try:
        loaded = Graph(graph)
    except ValueError:
        os._exit(_OTHER_ANSWER)
    answer = loaded.run(np.zeros((ROWS, features), np.float32))
    right = answer.shape == (ROWS, users) and np.isfinite(answer).all()
    # Not by the ways of the interpreter: what the graph left behind may not come down.
    os._exit(_FITS if right else _OTHER_ANSWER)


def _bound(memory_mib: int) -> None:
    """Bounds what this process may ask for from here on, where it can be told what it has: on Linux."""
    told = Path("/proc/self/statm")
    if told.exists():
        has = int(told.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (has + memory_mib * 2**20,) * 2)


if __name__ == "__main__":
    main()
