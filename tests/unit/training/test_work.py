"""What the service and the process that trains tell each other."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import textwrap
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from keyprint.package import Point
from services.training import process
from services.training.work import Failure, Order, Outcome, Progress, Said, from_line, to_line

ORDER = Order("127.0.0.1:1", "/nowhere", "ds_1", "adaboost", {"trees": 10}, 0.2, "late", "timing", 0)


@pytest.mark.parametrize(
    "said",
    [
        Progress("reading", 0.0, "Reading."),
        Progress("fitting", 0.5, "Half.", Point(3, 0.25, None)),
        Outcome(),
        Failure("REASON", "A sentence\nof two lines.", "dataset"),
    ],
)
def test_what_is_said_arrives_as_it_was(said: Said) -> None:
    line = to_line(said)
    assert line.count("\n") == 1
    assert from_line(line) == said


def test_not_a_number_is_not_said() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        to_line(Progress("fitting", 0.5, "Half.", Point(3, float("nan"), None)))


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where to write a script that stands for the process that trains."""
    script = tmp_path / "worker.py"
    monkeypatch.setattr(process, "_COMMAND", [sys.executable, str(script)])
    return script


def hear(running: process.Process) -> list[Said]:
    """All that it says until it ends."""
    heard: list[Said] = []
    while not any(isinstance(said, Failure) for said in heard):
        heard += running.heard(30)
    return heard


def test_it_gets_the_order_and_is_heard(worker: Path) -> None:
    worker.write_text(
        textwrap.dedent("""
        import json, sys
        order = json.loads(sys.stdin.readline())
        print(json.dumps({"said": "Failure", "reason": order["dataset"], "message": "", "field": ""}))
        """)
    )
    with process.Process(ORDER) as running:
        # It may have ended by now, which is told next.
        assert hear(running)[0] == Failure("ds_1", "", "")


def test_one_that_dies_is_a_failure_that_says_how(worker: Path) -> None:
    worker.write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with process.Process(ORDER) as running:
        (failure,) = hear(running)
    assert isinstance(failure, Failure)
    assert failure.reason == "TRAINER_DIED"
    assert "SIGKILL" in failure.message


@pytest.mark.parametrize(
    "script",
    [
        "print('{', flush=True)",
        """print('{"said": "Outcry"}', flush=True)""",
        "import sys; sys.stdout.buffer.write(bytes([255, 10])); sys.stdout.flush()",
    ],
)
def test_one_that_says_what_nobody_understands_is_a_failure(worker: Path, script: str) -> None:
    worker.write_text(f"{script}\nimport sys; sys.stdin.read()")
    with process.Process(ORDER) as running:
        (failure,) = hear(running)
    assert isinstance(failure, Failure)
    assert failure.reason == "INTERNAL"


def test_one_that_dies_of_a_signal_without_a_name_is_a_failure(worker: Path) -> None:
    worker.write_text("import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 1)")
    with process.Process(ORDER) as running:
        (failure,) = hear(running)
    assert isinstance(failure, Failure)
    assert failure.reason == "TRAINER_DIED"


def test_one_that_dies_before_it_has_read_its_order_is_a_failure(worker: Path) -> None:
    worker.write_text("raise SystemExit(3)")
    # More than a pipe holds.
    long = replace(ORDER, params={str(number): 1.0 for number in range(20_000)})
    with process.Process(long) as running:
        (failure,) = hear(running)
    assert isinstance(failure, Failure)
    assert (failure.reason, "status 3" in failure.message) == ("TRAINER_DIED", True)


def test_one_that_is_left_is_killed(worker: Path) -> None:
    worker.write_text("import time; print(end='', flush=True); time.sleep(600)")
    with process.Process(ORDER) as running:
        assert running.heard(0.01) == []
        (child,) = [one for one in psutil.Process().children() if str(worker) in one.cmdline()]
    assert not child.is_running()


def test_one_that_is_killed_leaves_no_temporary_files(worker: Path) -> None:
    worker.write_text(
        textwrap.dedent("""
        import json, tempfile, time
        kept = tempfile.NamedTemporaryFile(delete=False)
        print(json.dumps({"said": "Failure", "reason": "X", "message": kept.name, "field": ""}), flush=True)
        time.sleep(600)
        """)
    )
    with process.Process(ORDER) as running:
        (said,) = running.heard(30)
        assert isinstance(said, Failure)
        assert Path(said.message).exists()
    assert not Path(said.message).exists()


def test_the_real_one_ends_when_the_service_goes_away() -> None:
    """Its standard input closes then, whichever way the service ended; here it waits for an ingest that is mute."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        order = replace(ORDER, ingest_address=f"127.0.0.1:{mute.getsockname()[1]}")
        started = subprocess.Popen(
            [sys.executable, "-m", "services.training.worker"], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with started:
            assert started.stdin
            assert started.stdout
            started.stdin.write(json.dumps(asdict(order)) + "\n")
            started.stdin.flush()
            assert isinstance(from_line(started.stdout.readline()), Progress)
            started.stdin.close()
            assert started.stdout.read() == ""
        assert started.returncode == 1
