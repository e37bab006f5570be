"""`keyprint up`: four real processes that live and die together."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from keyprint.addresses import Address, setting_of
from keyprint.processes import PARTS, free_addresses

pytestmark = pytest.mark.timeout(300)

KEYPRINT = str(Path(sys.executable).with_name("keyprint"))


@dataclass
class Up:
    """A `keyprint up` with free ports and a home of its own."""

    home: Path
    addresses: dict[str, Address]
    process: subprocess.Popen[str]

    def parts(self) -> dict[str, psutil.Process]:
        """The process of each part."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            module = child.cmdline()[-1]
            found[module.removeprefix("services.")] = child
        return found

    def wait_until_up(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            if line.startswith("Keyprint is up"):
                return
        pytest.fail(f"it ended: {self.process.communicate()[1]}")


Start = Callable[[], Up]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `keyprint up`; whatever is left of it at the end of the test is killed."""
    started: list[Up] = []

    def begin() -> Up:
        addresses = free_addresses()
        environment = {**os.environ, "KEYPRINT_HOME": str(tmp_path / "home"), "KEYPRINT_GRACE_SECONDS": "2"}
        environment |= {setting_of(part): address.listen for part, address in addresses.items()}
        process = subprocess.Popen(  # noqa: S603 - our own
            [KEYPRINT, "up"],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            process_group=0,
        )
        started.append(Up(tmp_path / "home", addresses, process))
        return started[-1]

    yield begin
    for up in started:
        # Its parts end with it.
        up.process.kill()
        up.process.communicate()


def test_all_parts_start_the_page_answers_and_ctrl_c_stops_everything(start: Start) -> None:
    up = start()
    up.wait_until_up()
    parts = up.parts()
    assert sorted(parts) == sorted(PARTS)
    assert all((up.home / "logs" / f"{part}.log").exists() for part in PARTS)
    gateway = up.addresses["gateway"]
    connection = http.client.HTTPConnection(gateway.host, gateway.port, timeout=10)
    connection.request("GET", "/")
    assert connection.getresponse().status == http.HTTPStatus.OK
    connection.close()

    up.process.send_signal(signal.SIGINT)
    _, err = up.process.communicate(timeout=60)
    assert up.process.returncode == 0, err
    assert not any(map(is_alive, parts.values()))


def test_one_part_that_dies_takes_the_others_down_and_is_named(start: Start) -> None:
    up = start()
    up.wait_until_up()
    parts = up.parts()
    parts["inference"].kill()
    _, err = up.process.communicate(timeout=60)
    assert up.process.returncode == 1
    assert "error: inference ended by itself with signal SIGKILL" in err
    assert str(up.home / "logs" / "inference.log") in err
    assert "[PART_ENDED]" in err
    assert not any(map(is_alive, parts.values()))


def test_no_part_outlives_a_killed_keyprint_up(start: Start) -> None:
    up = start()
    up.wait_until_up()
    parts = up.parts()
    up.process.kill()
    up.process.wait()
    ends = time.monotonic() + 30
    while any(map(is_alive, parts.values())):
        assert time.monotonic() < ends
        time.sleep(0.1)


def test_a_taken_port_is_told_with_its_setting_and_nothing_is_left_running(start: Start) -> None:
    # The port is taken before the process looks, which imports first.
    up = start()
    address = up.addresses["training"]
    with socket.create_server((address.host, address.port)):
        _, err = up.process.communicate(timeout=60)
    assert up.process.returncode == 1
    assert f"training cannot listen on {address.listen}" in err
    assert "[ADDRESS_IN_USE, KEYPRINT_TRAINING_LISTEN]" in err


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
