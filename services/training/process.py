"""The process that trains, as the service holds it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict
from typing import IO, cast

from services.training.work import INTERNAL, Failure, Order, Said, from_line

log = logging.getLogger(__name__)

_COMMAND = [sys.executable, "-m", "services.training.worker"]

_ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "2"}
"""TensorFlow greets everybody on standard error."""


class Process:
    """`services.training.worker` at work on one order; as a context manager it is killed on exit, if it still runs."""

    def __init__(self, order: Order) -> None:
        """Starts it: spawned and not forked, which neither gRPC nor TensorFlow survives."""
        # One that is killed leaves what its libraries had written for a moment.
        self._scratch = tempfile.TemporaryDirectory(prefix="worker-", ignore_cleanup_errors=True)
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=_ENVIRONMENT | os.environ | {"TMPDIR": self._scratch.name},
        )
        # Its standard input stays open: the process ends itself when it closes, as it does when we die.
        self._input = cast("IO[str]", self._process.stdin)
        # One that died at once is told of by its reader.
        with contextlib.suppress(BrokenPipeError):
            self._input.write(json.dumps(asdict(order)) + "\n")
            self._input.flush()
        self._said: queue.SimpleQueue[Said] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="worker-output", daemon=True)
        self._reader.start()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._input.close()
        self._reader.join()
        self._scratch.cleanup()

    def _read(self) -> None:
        # Whatever becomes of this thread, the job hears of an end.
        last = INTERNAL
        try:
            with cast("IO[str]", self._process.stdout) as out:
                for line in out:
                    self._said.put(from_line(line))
            last = _death(self._process.wait())
        except Exception:
            log.exception("what the process that trains says cannot be read")
        finally:
            self._said.put(last)

    def heard(self, seconds: float) -> list[Said]:
        """What it said since the last call, waiting up to `seconds` for the first word; a Failure is the last."""
        heard: list[Said] = []
        with contextlib.suppress(queue.Empty):
            heard.append(self._said.get(timeout=seconds))
            while True:
                heard.append(self._said.get_nowait())
        return heard


def _death(status: int) -> Failure:
    # The real-time signals between the first and the last have no names.
    names = {int(one): one.name for one in signal.Signals}
    if status == -signal.SIGKILL:
        said = (
            "The process that trains was killed (SIGKILL), most likely because the machine ran out of memory; train on "
            "less, or a smaller model, or give the training service more memory."
        )
    else:
        how = f"was ended by signal {names.get(-status, -status)}" if status < 0 else f"ended with status {status}"
        said = (
            f"The process that trains {how} before it had a model; the training service's log has what it said last. "
            "Train again; if that ends likewise, on less or a smaller model."
        )
    return Failure("TRAINER_DIED", said, "")
