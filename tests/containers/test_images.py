"""Each part's image: what it holds and how large that is, and that it runs with as little around it as it may have."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from keyprint.addresses import free_address
from keyprint.processes import PARTS, SERVICES
from tests.containers.engine import BASE, Engine

pytestmark = pytest.mark.timeout(2400)

PORTS = {"gateway": 8080, "ingest": 50051, "training": 50052, "inference": 50053}
USER = "10001:10001"
MEGABYTES = {"gateway": 250, "ingest": 250, "inference": 300, "training": 1800}
"""Beside the base image."""

FOREIGN = {
    "gateway": ("bentoml", "dbos", "onnxruntime", "sklearn", "sqlalchemy", "tensorflow", "services"),
    "ingest": ("bentoml", "fastapi", "onnxruntime", "sklearn", "tensorflow", "gateway", "services.training"),
    "training": ("fastapi", "msgspec", "plotly", "gateway", "services.inference"),
    "inference": ("bentoml", "dbos", "fastapi", "sklearn", "sqlalchemy", "tensorflow", "gateway", "services.ingest"),
}
"""Modules that a part's image does not hold."""

# A container that has no shell, writes nowhere but to its volume and /tmp, and may do nothing that a user may not.
BARE = (
    "--read-only",
    "--volume=/var/lib/keyprint",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--volume=/dev/null:/usr/bin/dash:ro",
    "--volume=/dev/null:/usr/bin/bash:ro",
)

Run = Callable[..., str]


@pytest.fixture
def run(images: Engine) -> Iterator[Run]:
    """Runs a part's image in the background, with more options for podman, and gives the container's name."""
    started: list[str] = []

    def begin(part: str, *options: str) -> str:
        name = f"{images.tag}-{part}-{len(started)}"
        started.append(name)
        images.run("run", "--detach", "--pull=never", f"--name={name}", *options, image(images, part))
        return name

    yield begin
    for name in started:
        images.run("rm", "--force", "--volumes", "--time=2", name, check=False)


def image(images: Engine, part: str) -> str:
    return f"keyprint-{part}:{images.tag}"


def inspected(images: Engine, name: str) -> Any:
    return json.loads(images.run("image", "inspect", name))[0]


@pytest.mark.parametrize("part", PARTS)
def test_it_says_what_it_is_and_runs_as_nobody_in_particular(images: Engine, part: str) -> None:
    found = inspected(images, image(images, part))
    labels = found["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == f"keyprint-{part}"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.version"]
    assert labels["org.opencontainers.image.revision"]
    assert found["Config"]["User"] == USER
    assert found["Config"]["StopSignal"] == "SIGTERM"
    # Neither asks a shell.
    assert found["Healthcheck"]["Test"][0] == "CMD"
    assert found["Config"]["Entrypoint"] == ["python", "-m", "keyprint.container"]


@pytest.mark.parametrize("part", PARTS)
def test_it_is_no_larger_than_it_need_be(images: Engine, part: str) -> None:
    own = inspected(images, image(images, part))["Size"] - inspected(images, BASE)["Size"]
    assert own < MEGABYTES[part] * 1e6


@pytest.mark.parametrize("part", PARTS)
def test_it_holds_its_own_part_alone(images: Engine, part: str) -> None:
    code = (
        "import importlib.util, sys\n"
        "def is_there(name):\n"
        "    try:\n"
        "        return importlib.util.find_spec(name) is not None\n"
        "    except ModuleNotFoundError:\n"
        "        return False\n"
        "print([name for name in sys.argv[1:] if is_there(name)])"
    )
    own = "gateway" if part == "gateway" else f"services.{part}"
    options = ["--rm", "--pull=never", "--network=none", "--entrypoint=python"]
    found = images.run("run", *options, image(images, part), "-c", code, own, *FOREIGN[part])
    assert found.strip() == str([own])


@pytest.mark.parametrize("part", SERVICES)
def test_it_serves_without_a_shell_and_drains_when_it_is_stopped(images: Engine, run: Run, part: str) -> None:
    address = free_address().listen
    name = run(part, *BARE, f"--publish={address}:{PORTS[part]}")
    until_healthy(images, name)
    with grpc.insecure_channel(address) as channel:
        health = cast(Any, health_pb2_grpc.HealthStub(channel)).Watch(health_pb2.HealthCheckRequest(), timeout=120)
        assert next(health).status == health_pb2.HealthCheckResponse.SERVING
        images.run("stop", "--time=60", name)
        assert [one.status for one in health] == [health_pb2.HealthCheckResponse.NOT_SERVING]
    assert images.run("inspect", "--format={{.State.ExitCode}}", name).strip() == "0"


def test_the_gateway_starts_without_a_shell_and_is_not_healthy_while_a_service_is_away(
    images: Engine, run: Run
) -> None:
    name = run("gateway", *BARE)
    ends = time.monotonic() + 120
    while "Uvicorn running" not in images.logs(name):
        assert time.monotonic() < ends, images.logs(name)
        time.sleep(0.2)
    assert not images.is_healthy(name)
    assert images.run("inspect", "--format={{.State.Running}}", name).strip() == "true"
    images.run("stop", "--time=60", name)
    assert images.run("inspect", "--format={{.State.ExitCode}}", name).strip() == "0"


def test_a_part_that_nobody_names_is_told(images: Engine) -> None:
    options = ["--rm", "--pull=never", "--network=none", "--env=KEYPRINT_PART=cellar"]
    said = images.command(["podman", "run", *options, image(images, "inference")], 60, check=False, merge=True)
    assert said.strip().endswith("KEYPRINT_PART is 'cellar'; it must be one of ingest, training, inference, gateway.")


def until_healthy(images: Engine, name: str) -> None:
    ends = time.monotonic() + 240
    while not images.is_healthy(name):
        assert time.monotonic() < ends, images.logs(name)
        time.sleep(0.2)
