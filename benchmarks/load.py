"""Load on a server: that on one core, h2load (Debian's nghttp2-client) on another."""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SERVER_CORE, LOAD_CORE = "0", "1"
CALLERS = 64
WARM = 1000
GRPC = ("content-type: application/grpc", "te: trailers")


@dataclass(frozen=True)
class Rate:
    """How a server did under load.

    Attributes:
        per_second: calls answered a second.
        p50_ms: median time to an answer.
        p99_ms: time within which 99 of 100 were answered.
        processor_us: processor time of the server for each call, on all its threads.
    """

    per_second: float
    p50_ms: float
    p99_ms: float
    processor_us: float


def framed(message: bytes) -> bytes:
    """A message as gRPC sends it: not compressed, its length, its bytes."""
    return struct.pack(">BI", 0, len(message)) + message


@contextmanager
def served(
    command: Sequence[str], port: int, environment: Mapping[str, str] | None = None, core: str = SERVER_CORE
) -> Iterator[int]:
    """A server on one core, once something listens on `port`; gives its process id, and ends it."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            ["taskset", "-c", core, *command],  # noqa: S607 - wherever it is
            env=os.environ | (environment or {}),
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            for _ in range(600):
                with socket.socket() as line:
                    if not line.connect_ex(("127.0.0.1", port)):
                        break
                if process.poll() is not None:
                    said.seek(0)
                    raise SystemExit(f"{' '.join(command)} ended:\n{said.read().decode()}")
                time.sleep(0.1)
            time.sleep(1)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def load(
    url: str,
    body: bytes,
    headers: Sequence[str],
    pid: int,
    calls: int,
    http1: bool = False,
    callers: int = CALLERS,
    behind: int | None = None,
) -> Rate:
    """`calls` calls of so many callers, each on a connection of its own, after some that warm the server up.

    `behind` is another process that works for each call.
    """
    _h2load(url, body, headers, WARM, http1, callers)
    before = _processor_seconds(pid, behind)
    took, times = _h2load(url, body, headers, calls, http1, callers)
    spent = _processor_seconds(pid, behind) - before
    p50, p99 = np.percentile(times, [50, 99]) / 1e3
    return Rate(calls / took, float(p50), float(p99), spent / calls * 1e6)


def _h2load(
    url: str, body: bytes, headers: Sequence[str], calls: int, http1: bool, callers: int
) -> tuple[float, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Seconds in all, and microseconds of each call."""
    with tempfile.TemporaryDirectory() as folder:
        data, log = Path(folder) / "body", Path(folder) / "log"
        data.write_bytes(body)
        command = ["taskset", "-c", LOAD_CORE, "h2load", "-n", str(calls), "-c", str(callers), "-t", "1"]
        command += [f"--data={data}", f"--log-file={log}", *(["--h1"] if http1 else [])]
        for header in headers:
            command += ["-H", header]
        said = subprocess.run([*command, url], check=True, capture_output=True, text=True, timeout=600).stdout
        answered = re.search(r"(\d+) succeeded", said)
        took = re.search(r"finished in ([\d.]+)(ms|s)", said)
        if not answered or not took or int(answered[1]) != calls:
            raise SystemExit(f"not every call was answered:\n{said}")
        lines = np.loadtxt(log, dtype=np.float64, usecols=2, ndmin=1)
        return float(took[1]) * (1e-3 if took[2] == "ms" else 1.0), lines


def _processor_seconds(*pids: int | None) -> float:
    """Of processes and those that they started."""
    found = 0.0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        own, parent = int(path.parent.name), int(fields[1])
        if own in pids or parent in pids:
            found += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found
