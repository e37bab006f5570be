"""A Deployment of deploy/k8s, run as Kubernetes would by podman, which knows no cluster but the manifest's words."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
import yaml

from tests.containers.engine import ROOT, Engine

pytestmark = pytest.mark.timeout(2400)

TELL = """\
import json, os

def may_write(path):
    try:
        open(path, "w").close()
    except OSError:
        return False
    return True

paths = ["/app/here", "/tmp/here", os.environ["KEYPRINT_HOME"] + "/here"]
told = {"user": os.getuid(), "training": os.environ["KEYPRINT_TRAINING_ADDRESS"], "writes": list(map(may_write, paths))}
print(json.dumps(told))
"""


def test_podman_runs_the_deployment_of_inference_with_its_settings(images: Engine, tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    overlay = ROOT / "deploy" / "k8s" / "overlays" / "dev"
    manifests = list(yaml.safe_load_all(images.command(["kubectl", "kustomize", str(overlay)], 60)))
    (settings,) = [manifest for manifest in manifests if manifest["kind"] == "ConfigMap"]
    (deployment,) = [
        manifest
        for manifest in manifests
        if (manifest["kind"], manifest["metadata"]["name"]) == ("Deployment", "keyprint-inference")
    ]
    # Names of this run's own; all else is as it is.
    name = deployment["metadata"]["name"] = f"{images.tag}-kube"
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["image"] = f"localhost/keyprint-inference:{images.tag}"
    file = tmp_path / "inference.yaml"
    file.write_text(yaml.safe_dump_all([settings, deployment]))

    images.run("kube", "play", str(file))
    try:
        running = f"{name}-pod-0-inference"
        ends = time.monotonic() + 120
        health = ["podman", "exec", running, "python", "-m", "keyprint.container", "health"]
        while not images.succeeds(health):
            assert time.monotonic() < ends, images.logs(running)
            time.sleep(0.2)
        told = json.loads(images.run("exec", running, "python", "-c", TELL))
        assert told == {"user": 10001, "training": "keyprint-training:50052", "writes": [False, True, True]}
    finally:
        images.run("kube", "down", str(file))
