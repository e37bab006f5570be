"""deploy/compose.yaml as its users have it: the main job, other backends, a stop in the middle, a new version."""

from __future__ import annotations

import json
import time
from pathlib import Path

import grpc
import httpx
import pytest
from alembic.script import ScriptDirectory

from keyprint.client import IngestClient, TrainingClient
from keyprint.processes import PARTS, SERVICES
from keyprint.v1 import training_pb2
from tests import otherbackend
from tests.containers.composed import Composed
from tests.containers.engine import ROOT
from tests.e2e import main_job

pytestmark = pytest.mark.timeout(2400)

State = training_pb2.TrainingJob


def test_every_container_is_healthy_and_has_the_memory_that_it_is_given(composed: Composed) -> None:
    given = {"postgres": 512, "ingest": 2048, "training": 4096, "inference": 1024, "gateway": 512}
    for service, mib in given.items():
        container = composed.container(service)
        until_healthy(composed, container)
        assert inspected(composed, container)["HostConfig"]["Memory"] == mib * 2**20
        assert inspected(composed, container)["HostConfig"]["CapDrop"]


def test_nothing_is_published_but_on_loopback(composed: Composed) -> None:
    for service in (*PARTS, "postgres"):
        ports = inspected(composed, composed.container(service))["NetworkSettings"]["Ports"] or {}
        published = [binding for bindings in ports.values() for binding in bindings or []]
        assert len(published) == (service in PARTS)
        assert all(binding["HostIp"] == "127.0.0.1" for binding in published)


def test_no_secret_stands_in_what_a_container_is_told(composed: Composed) -> None:
    secrets = composed.stack.home / "secrets"
    passwords = [(secrets / "postgres_password").read_text().strip()]
    passwords += [(secrets / f"{service}_database").read_text().split(":")[2].split("@")[0] for service in PARTS[:2]]
    for service in (*PARTS, "postgres"):
        told = composed.engine.run("inspect", composed.container(service)) + composed.logs(service)
        assert not any(password in told for password in passwords)


def test_the_main_job_goes_from_urls_to_a_csv_over_http(composed: Composed) -> None:
    main_job.main_job(composed.stack, "main")


def test_another_backend_trains_and_identifies_with_the_wheel_alone(composed: Composed, client_python: Path) -> None:
    stack = composed.stack
    addresses = [stack.addresses[service].listen for service in SERVICES]
    otherbackend.main_job(client_python, addresses, stack.source_url, stack.files, "wheel-ada")


def test_a_job_whose_container_is_stopped_is_finished_once_after_its_start(composed: Composed) -> None:
    stack, container = composed.stack, composed.container("training")
    with IngestClient(stack.addresses["ingest"].listen) as ingest:
        *_, dataset = ingest.watch_dataset(ingest.create_dataset(stack.source_url).id)
    with TrainingClient(stack.addresses["training"].listen) as training:
        params = {"trees": 2000, "depth": 10}
        job = training.create_training_job(dataset.id, "adaboost", "stopped", 0.2, params=params)
        assert any(seen.curve for seen in training.watch_training_job(job.id))
    composed.engine.run("stop", "--time=60", container)
    assert inspected(composed, container)["State"]["ExitCode"] == 0
    assert psql(composed, "training", f"select state from jobs where id = '{job.id}'") == "RUNNING"  # noqa: S608
    composed.engine.run("start", container)
    with grpc.insecure_channel(stack.addresses["training"].listen) as channel:
        grpc.channel_ready_future(channel).result(timeout=240)
    with TrainingClient(stack.addresses["training"].listen) as training:
        *_, ended = training.watch_training_job(job.id)
        assert ended.state == State.STATE_SUCCEEDED, ended.error
        made = [model.version for model in training.list_models() if model.name == "stopped"]
    assert made == [1]
    # The others find it at its new address.
    composed.wait()


def test_a_new_version_with_other_tables_goes_on_with_what_the_volumes_hold(composed: Composed, tmp_path: Path) -> None:
    with httpx.Client(base_url=composed.stack.gateway_url, timeout=120.0) as http:
        dataset = main_job.imported(http, composed.stack.source_url)
        model = main_job.trained(http, dataset, "adaboost", "before")
        before = predictions(http, model, dataset)
    composed.tag = next_version(composed, tmp_path)
    composed.compose("up", "--detach", "--force-recreate")
    composed.wait()
    for part in PARTS:
        assert inspected(composed, composed.container(part))["ImageName"].endswith(composed.tag)
    for service, table in TABLES.items():
        # It fails where there is no such column.
        psql(composed, service, f"select new from {table}")  # noqa: S608
    with httpx.Client(base_url=composed.stack.gateway_url, timeout=120.0) as http:
        assert predictions(http, model, dataset) == before
        main_job.trained(http, dataset, "adaboost", "after")


TABLES = {"ingest": "datasets", "training": "models"}
MIGRATION = """\
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"


def upgrade() -> None:
    op.add_column("{table}", sa.Column("new", sa.Integer))
"""


def next_version(composed: Composed, folder: Path) -> str:
    """Builds an image of each part that follows its own; those that keep state with one more migration."""
    tag = f"{composed.engine.tag}-next"
    for part in PARTS:
        lines = [f"FROM keyprint-{part}:{composed.engine.tag}", "LABEL next=yes"]
        if part in TABLES:
            versions = Path("services") / part / "migrations" / "versions"
            head = ScriptDirectory(str(ROOT / versions.parent)).get_current_head()
            (folder / "9999_new.py").write_text(MIGRATION.format(head=head, table=TABLES[part]))
            lines.append(f"COPY --chmod=644 9999_new.py /app/{versions}/9999_new.py")
        (folder / "Dockerfile").write_text("\n".join(lines) + "\n")
        composed.engine.run("build", "--format=docker", "--pull=never", "--tag", f"keyprint-{part}:{tag}", str(folder))
    return tag


def predictions(http: httpx.Client, model: str, dataset: str) -> str:
    """The CSV; inference may be about to find a service again that was started anew."""
    ends = time.monotonic() + 60
    while True:
        answer = http.get(f"/v1/models/{model}/predictions.csv", params={"dataset": dataset, "rows": "attempts"})
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > ends:
            assert answer.is_success, answer.text
            return answer.text
        time.sleep(0.5)


def psql(composed: Composed, database: str, query: str) -> str:
    """What PostgreSQL says."""
    command = ["psql", "--username=postgres", "--no-align", "--tuples-only", f"--dbname={database}"]
    return composed.engine.run("exec", composed.container("postgres"), *command, f"--command={query}").strip()


def inspected(composed: Composed, container: str) -> main_job.Json:
    return json.loads(composed.engine.run("container", "inspect", container))[0]


def until_healthy(composed: Composed, container: str) -> None:
    ends = time.monotonic() + 120
    while not composed.engine.is_healthy(container):
        assert time.monotonic() < ends, composed.engine.logs(container)
        time.sleep(0.2)
