"""`keyprint demo`: the main job from end to end, on few made-up typists, twice in the same place."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(900)

KEYPRINT = str(Path(sys.executable).with_name("keyprint"))
USERS, ATTEMPTS = 4, 30


def demo(home: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a small demo; the gateway's port is taken, so that it has to find another."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        gateway = f"127.0.0.1:{taken.getsockname()[1]}"
        return subprocess.run(  # noqa: S603 - our own
            [KEYPRINT, "demo", "--users", str(USERS), "--attempts", str(ATTEMPTS)],
            env={**os.environ, "KEYPRINT_HOME": str(home), "KEYPRINT_GATEWAY_LISTEN": gateway, "COLUMNS": "160"},
            cwd=cwd,
            text=True,
            capture_output=True,
            check=False,
        )


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_demo_trains_compares_predicts_and_can_be_run_again(tmp_path: Path) -> None:
    home = tmp_path / "var"
    first = demo(home, tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "demo-adaboost@1" in first.stdout
    assert "demo-lstm@1" in first.stdout
    path = home / "demo" / "output_predictions.csv"
    assert str(path) in first.stdout
    assert "keyprint up" in first.stdout

    rows, labels = read(path), read(home / "demo" / "test_labels.csv")
    assert [row["attempt"] for row in rows] == [str(number) for number in range(len(labels))]
    named = [(row, label) for row, label in zip(rows, labels, strict=True) if row["decision"] != "INVALID"]
    right = sum(row["predicted_user"] == label["user"] for row, label in named)
    # By chance it would be a quarter of them.
    assert right > 0.6 * len(named)
    assert f"named {right} of {len(named)} new attempts right" in first.stdout

    again = demo(home, tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "demo-adaboost@1" in again.stdout
    assert "demo-adaboost@2" in again.stdout
