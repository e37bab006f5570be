"""Podman for tests: its own settings and its own store of images, kept between runs in a cache directory."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from keyprint.processes import PARTS, checkout

ROOT = checkout()
BASE = "docker.io/library/python:3.11-slim-bookworm"
"""The name in the Dockerfile, of what no registry is asked for here."""
POSTGRES = "docker.io/library/postgres:17"
"""The name in compose.yaml, likewise."""

PROGRAMS = (
    "podman",
    "runc",
    "catatonit",
    "iptables",
    "mmdebstrap",
    "/usr/lib/podman/netavark",
    "/usr/lib/podman/aardvark-dns",
)
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_OURS = re.compile(r"kp-(\d+)-")
"""In the name of everything that a run makes, with the number of its process."""

_CONTAINERS = """\
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=8192:8192"]
log_driver = "k8s-file"
[network]
network_backend = "netavark"
network_config_dir = "{cache}/networks"
"""
_STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{cache}/storage"
runroot = "/run/keyprint-tests/{run}"
"""


def missing() -> str:
    """Why containers cannot be run here; empty where they can."""
    if os.geteuid() != 0:
        return "these tests run podman as root"
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"{', '.join(absent)} not installed" if absent else ""


class Engine:
    """Podman with settings of its own.

    Attributes:
        tag: of the images that this run builds, and how everything else that it makes is called.
        environment: in which podman and podman-compose do as this does.
    """

    def __init__(self) -> None:
        cache = Path(os.environ.get("KEYPRINT_TEST_CACHE") or Path.home() / ".cache" / "keyprint-tests")
        self._cache = cache.resolve()
        for folder in ("networks", "storage"):
            (self._cache / folder).mkdir(parents=True, exist_ok=True)
        self.tag = f"kp-{os.getpid()}-{uuid4().hex[:6]}"
        settings = {"CONTAINERS_CONF": _CONTAINERS, "CONTAINERS_STORAGE_CONF": _STORAGE}
        self.environment = dict(os.environ)
        for variable, text in settings.items():
            path = self._cache / f"{variable.lower()}.toml"
            path.write_text(text.format(cache=self._cache, run=sha256(bytes(self._cache)).hexdigest()[:12]))
            self.environment[variable] = str(path)

    def run(self, *arguments: str, seconds: float = 120.0, check: bool = True) -> str:
        """Runs podman and gives its output; with `check` it must end well."""
        return self.command(["podman", *arguments], seconds=seconds, check=check)

    def command(
        self,
        command: Sequence[str],
        seconds: float,
        check: bool = True,
        environment: dict[str, str] | None = None,
        merge: bool = False,
    ) -> str:
        """Runs a program with podman's settings, for so many seconds at most; `merge` adds what it says of errors."""
        done = subprocess.run(  # noqa: S603 - our own words
            command,
            cwd=ROOT,
            env=self.environment | (environment or {}),
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merge else subprocess.PIPE,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0 or not check, (
            f"{' '.join(command)}\n{done.stdout[-4000:]}\n{(done.stderr or '')[-4000:]}"
        )
        return done.stdout

    def is_healthy(self, container: str) -> bool:
        """Whether the container's own health check says so; podman asks only when told, where there is no systemd."""
        return self.succeeds(["podman", "healthcheck", "run", container])

    def succeeds(self, command: Sequence[str]) -> bool:
        """Whether a program ends well."""
        done = subprocess.run(  # noqa: S603 - our own words
            command, env=self.environment, capture_output=True, timeout=60, check=False
        )
        return done.returncode == 0

    def logs(self, container: str) -> str:
        """A container's last words."""
        return self.command(["podman", "logs", "--tail", "20", container], 30, check=False, merge=True)

    def make_base(self) -> None:
        """Makes the stand-in for the public image of Python, unless the store has it."""
        if self.run("images", "--quiet", BASE):
            return
        tar = self._cache / f"base-{os.getpid()}.tar"
        bootstrap = [
            "mmdebstrap",
            "--format=tar",
            "--variant=minbase",
            "--include=python3,python3-pip,python3-venv",
            "--customize-hook=rm -f $1/usr/lib/python3*/EXTERNALLY-MANAGED",
            "bookworm",
            str(tar),
        ]
        try:
            self.command(bootstrap, seconds=600)
            self.run("import", str(tar), BASE, seconds=300)
        finally:
            tar.unlink(missing_ok=True)

    def make_postgres(self) -> None:
        """Makes the stand-in for the public image of PostgreSQL."""
        folder = Path(__file__).parent / "postgres"
        options = ["--build-arg", f"BASE={BASE}", "--tag", POSTGRES]
        self.run("build", "--format", "docker", "--pull=never", "--layers", *options, str(folder), seconds=600)

    def make_images(self) -> None:
        """Builds the images of all parts, as scripts/images.sh does, that of training beside the others."""
        builder = f"podman build --format docker --pull=never --layers {' '.join(self.build_options())}"
        environment = {"BUILDER": builder, "TAG": self.tag}

        def build(parts: Sequence[str]) -> None:
            self.command([str(ROOT / "scripts" / "images.sh"), *parts], seconds=1800, environment=environment)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(build, (["training"], [part for part in PARTS if part != "training"])))

    def build_options(self) -> list[str]:
        """What a build needs to reach the package index from this machine."""
        options = []
        if CERTIFICATES.exists():
            options.append(f"--volume={CERTIFICATES}:{CERTIFICATES}:ro")
        wheels = os.environ.get("PIP_FIND_LINKS", "")
        if wheels and Path(wheels).is_dir():
            told = self._cache / "pip.conf"
            told.write_text(f"[global]\nfind-links = {wheels}\n")
            options += [f"--volume={wheels}:{wheels}:ro", f"--volume={told}:/etc/pip.conf:ro"]
        return options

    def clean(self) -> None:
        """Removes what this run made, and what runs that were killed left; layers for the next builds stay a day."""
        kinds = {
            "container": ["ps", "--all", "--format={{.Names}}"],
            "pod": ["pod", "ls", "--format={{.Name}}"],
            "network": ["network", "ls", "--format={{.Name}}"],
            "volume": ["volume", "ls", "--format={{.Name}}"],
            "image": ["images", "--format={{.Repository}}:{{.Tag}}"],
        }
        for kind, listing in kinds.items():
            options = ["--force", "--no-prune"] if kind == "image" else ["--force"]
            for name in self.run(*listing).split():
                found = _OURS.search(name)
                if found and (int(found[1]) == os.getpid() or not Path(f"/proc/{found[1]}").exists()):
                    self.run(kind, "rm", *options, name, seconds=60, check=False)
        self.run("image", "prune", "--force", "--filter", "until=24h", check=False)
