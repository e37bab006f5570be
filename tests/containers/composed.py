"""deploy/compose.yaml, up under a name and ports of its own."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from keyprint import simulate
from keyprint.attempts import DEFAULT_PHRASE
from keyprint.processes import SERVICES, free_addresses, is_healthy
from tests.conftest import Stack
from tests.containers.engine import ROOT, Engine

FILES = ("deploy/compose.yaml", "deploy/compose.grpc.yaml", "tests/containers/compose.test.yaml")
START_SECONDS = 240.0


class Composed:
    """The four parts and PostgreSQL as containers; as a context manager they are up, and gone after it.

    Attributes:
        stack: where they are found from this machine, and typing data for them.
    """

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.tag = engine.tag
        addresses = free_addresses()
        files = folder / "files"
        first, *_ = simulate.write(files, 4, 30, DEFAULT_PHRASE, test=True)
        # Containers have users of their own, who read these.
        files.chmod(0o755)
        secrets = folder / "secrets"
        engine.command([str(ROOT / "deploy" / "secrets.sh"), str(secrets)], seconds=30)
        url = "http://files:8000"
        self.stack = Stack(folder, addresses, files, url, f"{url}/{first.name}", f"{url}/test.json")
        self._environment = {
            **{f"KEYPRINT_{part.upper()}_PORT": str(address.port) for part, address in addresses.items()},
            "KEYPRINT_SECRETS": str(secrets),
            "KEYPRINT_TEST_FILES": str(files),
            # Where podman makes its networks.
            "KEYPRINT_INGEST_ALLOW_NETS": "10.0.0.0/8",
        }

    def __enter__(self) -> Composed:
        try:
            self.compose("up", "--detach")
            self.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.compose("down", "--volumes", "--timeout", "2")

    def compose(self, *words: str, seconds: float = 240.0) -> str:
        """Runs podman-compose."""
        command = [str(Path(sys.executable).with_name("podman-compose")), "--project-name", self.engine.tag]
        command += [word for file in FILES for word in ("--file", file)]
        environment = self._environment | {"KEYPRINT_TAG": self.tag}
        return self.engine.command([*command, *words], seconds=seconds, environment=environment)

    def container(self, service: str) -> str:
        """The name of a service's container."""
        return f"{self.engine.tag}_{service}_1"

    def wait(self) -> None:
        """Until the gateway says that all parts are ready."""
        ends = time.monotonic() + START_SECONDS
        while not is_healthy("gateway", self.stack.addresses["gateway"]):
            assert time.monotonic() < ends, "\n".join(self.logs(service) for service in (*SERVICES, "postgres"))
            time.sleep(0.2)

    def logs(self, service: str) -> str:
        """The last words of a service's container."""
        return self.engine.logs(self.container(service))
