"""How long inference takes to start with two models, and what memory it then has: python -m benchmarks.start

35 typists are made up, and AdaBoost and an LSTM trained on them.  A training service has both; the inference service is
started with them to preload, first with an empty home, so that it pulls them, and then again and again.  From the start
of the process until health says that it serves.
"""

from __future__ import annotations

import logging
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.inference import ATTEMPTS, PARAMS, USERS, make
from keyprint import simulate
from keyprint.addresses import Address, free_address
from keyprint.attempts import DEFAULT_PHRASE
from keyprint.client import TrainingClient
from keyprint.processes import is_serving
from services.training.store import Store

TIMES = 7


def main() -> None:
    """Prints seconds and MB."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        list(simulate.write(home / "typists", USERS, ATTEMPTS, DEFAULT_PHRASE))
        documents = sorted((home / "typists").glob("user_*.json"))
        made = [make(name, home / name, documents, DEFAULT_PHRASE) for name in PARAMS]
        training, inference = free_address(), free_address()
        settings = os.environ | {
            "KEYPRINT_HOME": str(home / "var"),
            "KEYPRINT_TRAINING_LISTEN": training.listen,
            "KEYPRINT_TRAINING_ADDRESS": training.listen,
            "KEYPRINT_INFERENCE_LISTEN": inference.listen,
            "KEYPRINT_INFERENCE_PRELOAD": ",".join(PARAMS),
        }
        with started("services.training", training, settings), TrainingClient(training.listen) as client:
            store = Store(home / "store")
            for one in made:
                store.put(one.name, 1, one.directory)
                with store.exported(one.name, 1) as path, path.open("rb") as content:
                    client.upload_model(content, one.name)
            first, *found = [start(inference, settings) for _ in range(TIMES + 1)]
    print(f"with an empty home: ready after {first[0]:.2f} s")
    seconds, resident, peak = (statistics.median(column) for column in zip(*found, strict=True))
    print(f"afterwards, median of {TIMES}: ready after {seconds:.2f} s, {resident:.0f} MB resident, at most {peak:.0f}")


def start(address: Address, settings: dict[str, str]) -> tuple[float, float, float]:
    """Seconds until inference serves, and MB that it has then, and had at most."""
    began = time.monotonic()
    with started("services.inference", address, settings) as pid:
        took = time.monotonic() - began
        said = Path(f"/proc/{pid}/status").read_text()
    resident, peak = (int(re.findall(rf"{name}:\s+(\d+) kB", said)[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return took, resident, peak


@contextmanager
def started(module: str, address: Address, settings: dict[str, str]) -> Iterator[int]:
    """A service, once it serves; gives its process id, and ends it."""
    process = subprocess.Popen(
        [sys.executable, "-m", module], env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not is_serving(address):
            if process.poll() is not None:
                raise SystemExit(f"{module} ended with {process.returncode}")
            time.sleep(0.005)
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.disable(logging.WARNING)
    main()
