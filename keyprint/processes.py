"""The process tree of one machine: ingest, training, inference and the gateway, each a process of its own."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from keyprint.addresses import Address, free_address, setting_of
from keyprint.errors import FailedPrecondition, Unavailable

SERVICES = ("ingest", "training", "inference")
PARTS = (*SERVICES, "gateway")
MODULES = {**{part: f"services.{part}" for part in SERVICES}, "gateway": "gateway"}
"""What `python -m` runs for each part."""

START_SECONDS = 120.0
"""How long all parts together get until they are healthy."""

_KILL_AFTER_GRACE = 5.0
_LOOK_EVERY = 0.1


def checkout(root: Path | None = None) -> Path:
    """The directory that holds `services` and `gateway` beside this package.

    Raises:
        FailedPrecondition: only the package is installed.
    """
    root = root or Path(__file__).resolve().parents[1]
    modules = [root / "services" / part for part in SERVICES] + [root / "gateway"]
    if missing := [module for module in modules if not (module / "__main__.py").exists()]:
        raise FailedPrecondition(
            "NOT_A_CHECKOUT",
            f"The services run from a checkout of Keyprint, and {root} is none: it has no "
            f"{missing[0].relative_to(root)}. Clone the repository, run `make setup` and use its .venv/bin/keyprint.",
        )
    return root


def free_addresses(parts: Iterable[str] = PARTS) -> dict[str, Address]:
    """An address of its own for each part, where nothing listens yet."""
    found: dict[str, Address] = {}
    for part in parts:
        found[part] = free_address(tuple(found.values()))
    return found


class Tree:
    """Four processes that live and die together.

    As a context manager it starts them on entry and stops them on exit.  Enter it in the main thread: the kernel ends
    the children when the thread that started them ends.
    """

    def __init__(
        self,
        addresses: Mapping[str, Address],
        root: Path,
        home: Path,
        grace: float,
        environment: Mapping[str, str],
        modules: Mapping[str, str] | None = None,
    ) -> None:
        """Prepares a tree.

        Args:
            addresses: where each part listens.
            root: the checkout, its parts' working directory.
            home: directory of all state; logs go to `logs/<part>.log` in it.
            grace: seconds that calls get to end when a part stops.
            environment: what the parts see beside the settings that follow from the arguments.
            modules: part to module, all other than the parts themselves left out; for tests.
        """
        self.addresses = addresses
        self._root = root
        self._home = home.resolve()
        self._grace = grace
        self._environment = dict(environment) | self._settings()
        self._modules = modules or MODULES
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def _settings(self) -> dict[str, str]:
        settings = {"KEYPRINT_HOME": str(self._home), "KEYPRINT_GRACE_SECONDS": str(self._grace)}
        for part, address in self.addresses.items():
            settings[setting_of(part)] = address.listen
            settings[f"KEYPRINT_{part.upper()}_ADDRESS"] = address.reach.listen
        return settings

    def log(self, part: str) -> Path:
        """Where a part writes what it has to say."""
        return self._home / "logs" / f"{part}.log"

    def __enter__(self) -> Tree:
        """Starts all parts; `wait` says when they are healthy.

        Raises:
            FailedPrecondition: an address is taken.
        """
        for part, address in self.addresses.items():
            if not address.is_free():
                raise FailedPrecondition(
                    "ADDRESS_IN_USE",
                    f"{part} cannot listen on {address.listen}, which is taken or not this machine's; "
                    f"stop what listens there, or set {setting_of(part)} to another host:port.",
                    setting_of(part),
                )
        try:
            for part in self.addresses:
                self._children[part] = self._spawn(part)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _spawn(self, part: str) -> subprocess.Popen[bytes]:
        log = self.log(part)
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        command = [sys.executable, "-m", "keyprint.child", str(os.getpid()), self._modules[part]]
        with log.open("wb") as out:
            # A process group of its own: Ctrl-C reaches it through us only, and its helpers can be swept up with it.
            return subprocess.Popen(  # noqa: S603 - our own interpreter and modules
                command,
                cwd=self._root,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def wait(
        self,
        told: Callable[[str], None],
        stopping: threading.Event | None = None,
        limit: float = START_SECONDS,
    ) -> bool:
        """Waits until all parts are healthy; False if `stopping` was set before that.

        Args:
            told: called with the name of each part when it is healthy.
            stopping: ends the wait.
            limit: seconds.

        Raises:
            Unavailable: a part ended, or the limit passed.
        """
        ends = time.monotonic() + limit
        waiting = list(self.addresses)
        while waiting:
            self.check()
            if stopping is not None and stopping.is_set():
                return False
            if time.monotonic() > ends:
                raise Unavailable(
                    "START_TIMED_OUT",
                    f"{' and '.join(waiting)} did not become healthy within {limit:.0f} s; "
                    f"see {self.log(waiting[0])}{self._last_words(waiting[0])}",
                )
            for part in [part for part in waiting if is_healthy(part, self.addresses[part])]:
                waiting.remove(part)
                told(part)
            time.sleep(_LOOK_EVERY)
        return True

    def watch(self, stopping: threading.Event) -> None:
        """Returns when `stopping` is set.

        Raises:
            Unavailable: a part ended by itself.
        """
        while not stopping.wait(_LOOK_EVERY):
            self.check()

    def check(self) -> None:
        """Nothing, as long as all parts run.

        Raises:
            Unavailable: a part ended by itself.
        """
        for part, child in self._children.items():
            status = child.poll()
            if status is not None:
                how = f"status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"
                raise Unavailable(
                    "PART_ENDED",
                    f"{part} ended by itself with {how}, so all parts are stopped; "
                    f"see {self.log(part)}{self._last_words(part)}",
                )

    def _last_words(self, part: str) -> str:
        lines = self.log(part).read_text(errors="replace").strip().splitlines()
        return f", which ends: {lines[-1].strip()}" if lines else "."

    def stop(self) -> None:
        """Asks all parts to end, waits as long as their calls may take, and kills what is left.

        The gateway comes first, for what it has begun to answer still needs the services.
        """
        self._end([child for part, child in self._children.items() if part not in SERVICES])
        self._end(self._children.values())
        self._children.clear()

    def _end(self, children: Collection[subprocess.Popen[bytes]]) -> None:
        for child in children:
            if child.poll() is None:
                child.terminate()
        ends = time.monotonic() + self._grace + _KILL_AFTER_GRACE
        for child in children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, ends - time.monotonic()))
            _kill_group(child)
            child.wait()

    def kill(self) -> None:
        """Ends all parts at once; `stop` then has nothing left to wait for."""
        for child in self._children.values():
            _kill_group(child)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kills a part and the helpers that it started; a part that ended properly has left none."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


def is_healthy(part: str, address: Address) -> bool:
    """Whether a part of this machine that listens at `address` says so of itself; the gateway, of all that it needs."""
    return _is_ready(address.reach) if part == "gateway" else is_serving(address.reach)


def _is_ready(address: Address) -> bool:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def is_serving(address: Address) -> bool:
    """Whether a gRPC server says so of itself there."""
    # Only those who start services need these packages.
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(address.listen) as channel:
        # The stubs' types leave out the methods.
        stub = cast(Any, health_pb2_grpc.HealthStub(channel))
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
