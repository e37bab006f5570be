"""The process tree, with two small parts in place of the four."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import psutil
import pytest

from keyprint import processes
from keyprint.addresses import Address
from keyprint.errors import FailedPrecondition, Unavailable

SERVICE = """
    import os
    from keyprint.rpc import Server

    print("serving with", os.environ["KEYPRINT_GATEWAY_ADDRESS"], flush=True)
    Server(os.environ["KEYPRINT_INGEST_LISTEN"]).run(0)
"""
PAGE = """
    import http.server, os, signal, sys

    class Ready(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/readyz" else 404)
            self.end_headers()

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    host, _, port = os.environ["KEYPRINT_GATEWAY_LISTEN"].rpartition(":")
    http.server.HTTPServer((host, int(port)), Ready).serve_forever()
"""
LAST_WISH = PAGE.replace(
    "lambda *_: sys.exit(0)",
    "lambda *_: sys.exit(print('ended after asking', ask(), flush=True))",
).replace(
    "class Ready",
    """def ask():
        import socket, time

        time.sleep(0.5)
        host, _, port = os.environ["KEYPRINT_INGEST_ADDRESS"].rpartition(":")
        return socket.create_connection((host, int(port))).getpeername()[1]

    class Ready""",
)
"""On its last request it asks ingest."""

STUBBORN = """
    import signal, subprocess, sys, time

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print(helper.pid, flush=True)
    time.sleep(60)
"""
BROKEN = """
    raise SystemExit("the database is gone")
"""

Make = Callable[..., processes.Tree]


@pytest.fixture
def tree(tmp_path: Path) -> Make:
    """Makes a tree of the sources given, by part."""

    def make(grace: float = 1.0, **sources: str) -> processes.Tree:
        root = tmp_path / "root"
        root.mkdir()
        for part, source in sources.items():
            (root / f"stand_in_{part}.py").write_text(dedent(source))
        addresses = processes.free_addresses(sources)
        modules = {part: f"stand_in_{part}" for part in sources}
        return processes.Tree(addresses, root, tmp_path / "home", grace, os.environ, modules)

    return make


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


def test_parts_start_answer_and_stop(tree: Make, tmp_path: Path) -> None:
    told: list[str] = []
    before = children()
    family = tree(ingest=SERVICE, gateway=PAGE)
    with family:
        assert family.wait(told.append, limit=30)
        assert len(children() - before) == 2
        family.check()
    assert sorted(told) == ["gateway", "ingest"]
    log = (tmp_path / "home" / "logs" / "ingest.log").read_text()
    assert f"serving with {family.addresses['gateway'].listen}" in log


def test_the_gateway_stops_first_for_it_still_needs_the_services(tree: Make, tmp_path: Path) -> None:
    with tree(ingest=SERVICE, gateway=LAST_WISH) as family:
        assert family.wait(lambda part: None, limit=30)
    log = (tmp_path / "home" / "logs" / "gateway.log").read_text()
    assert f"ended after asking {family.addresses['ingest'].port}" in log


def test_a_part_that_ends_is_named_with_its_log_and_last_words(tree: Make, tmp_path: Path) -> None:
    with tree(ingest=SERVICE, gateway=BROKEN) as family, pytest.raises(Unavailable) as refused:
        family.wait(lambda part: None, limit=30)
    assert refused.value.reason == "PART_ENDED"
    assert refused.value.message.startswith("gateway ended by itself with status 1")
    assert str(tmp_path / "home" / "logs" / "gateway.log") in refused.value.message
    assert refused.value.message.endswith("the database is gone")


def test_a_part_that_is_killed_later_ends_the_watch(tree: Make) -> None:
    with tree(ingest=SERVICE, gateway=PAGE) as family:
        family.wait(lambda part: None, limit=30)
        gateway = next(
            child for child in psutil.Process().children() if "stand_in_gateway" in " ".join(child.cmdline())
        )
        gateway.kill()
        with pytest.raises(Unavailable, match=r"gateway ended by itself with signal SIGKILL"):
            family.watch(threading.Event())


def test_the_watch_ends_when_told_to(tree: Make) -> None:
    stopping = threading.Event()
    stopping.set()
    with tree(gateway=PAGE) as family:
        assert not family.wait(lambda part: None, stopping)
        family.watch(stopping)


def test_a_part_that_never_gets_healthy_is_named(tree: Make) -> None:
    with tree(grace=0, ingest=STUBBORN) as family:
        with pytest.raises(Unavailable) as refused:
            family.wait(lambda part: None, limit=1)
        family.kill()
    assert refused.value.reason == "START_TIMED_OUT"
    assert refused.value.message.startswith("ingest did not become healthy within 1 s")


def test_a_part_that_will_not_stop_is_killed_with_its_helpers(
    tree: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_KILL_AFTER_GRACE", 0.2)
    log = tmp_path / "home" / "logs" / "ingest.log"
    with tree(grace=0, ingest=STUBBORN):
        while not (helper := log.read_text().strip()):
            time.sleep(0.05)
        assert psutil.pid_exists(int(helper))
    wait_until(lambda: not is_alive(int(helper)))


def test_a_taken_address_is_refused_with_the_setting_that_moves_it(tree: Make) -> None:
    family = tree(ingest=SERVICE, gateway=PAGE)
    gateway = family.addresses["gateway"]
    with socket.create_server((gateway.host, gateway.port)), pytest.raises(FailedPrecondition) as refused, family:
        pass
    assert refused.value.reason == "ADDRESS_IN_USE"
    assert refused.value.field == "KEYPRINT_GATEWAY_LISTEN"
    assert gateway.listen in refused.value.message


def test_children_do_not_outlive_a_killed_parent(tree: Make, tmp_path: Path) -> None:
    """The parent gets no chance to stop them."""
    family = tree(ingest=SERVICE, gateway=PAGE)
    script = dedent(
        f"""
        import os, time
        from pathlib import Path
        from keyprint.addresses import Address
        from keyprint.processes import Tree

        addresses = {{{", ".join(f"{p!r}: {a!r}" for p, a in family.addresses.items())}}}
        modules = {{part: "stand_in_" + part for part in addresses}}
        with Tree(addresses, Path({str(tmp_path / "root")!r}), Path({str(tmp_path)!r}), 1, os.environ, modules) as tree:
            tree.wait(lambda part: None, limit=30)
            print("up", flush=True)
            time.sleep(60)
        """
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:  # noqa: S603 - our own
        assert parent.stdout
        assert parent.stdout.readline() == b"up\n"
        pids = [child.pid for child in psutil.Process(parent.pid).children()]
        assert len(pids) == 2
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, pids)))


def test_the_log_of_the_run_before_is_kept(tree: Make, tmp_path: Path) -> None:
    family = tree(ingest="print('a run')\nimport time\ntime.sleep(60)")
    for _ in range(2):
        with family:
            wait_until(lambda: family.log("ingest").exists())
    assert (tmp_path / "home" / "logs" / "ingest.log.1").exists()


def test_an_installed_package_says_that_it_is_no_checkout(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match=r"it has no services/ingest") as refused:
        processes.checkout(tmp_path)
    assert refused.value.reason == "NOT_A_CHECKOUT"


@pytest.mark.parametrize("listen", ["", "50051", ":50051", "localhost:", "localhost:http", "localhost:0", "h:70000"])
def test_an_address_that_is_none_names_its_setting(listen: str) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        Address.parse(listen, "KEYPRINT_INGEST_LISTEN")
    assert refused.value.reason == "SETTING_INVALID"
    assert refused.value.field == "KEYPRINT_INGEST_LISTEN"


def test_a_server_on_all_interfaces_is_found_on_loopback() -> None:
    assert Address.parse("0.0.0.0:8080", "X").url == "http://127.0.0.1:8080/"
    assert Address.parse("[::]:8080", "X").reach.listen == "[::1]:8080"
    assert Address.parse("[::]:8080", "X").listen == "[::]:8080"


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.05)
