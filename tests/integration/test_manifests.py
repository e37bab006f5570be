"""What deploy/ tells Kubernetes and Compose, read and held against the parts' settings and the arrows of the design."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from itertools import product
from typing import Any

import kubernetes_validate
import pytest
import yaml

from keyprint.processes import PARTS, SERVICES, checkout
from keyprint.settings import GatewaySettings, InferenceSettings, IngestSettings, TrainingSettings

ROOT = checkout()
OVERLAYS = ("dev", "production")
VERSIONS = ("1.30", kubernetes_validate.latest_version())
"""Of Kubernetes: the oldest that knows all that is used, and the newest that is known here."""

ARROWS = {
    ("anybody", "gateway"),
    ("gateway", "ingest"),
    ("gateway", "training"),
    ("gateway", "inference"),
    ("client", "ingest"),
    ("client", "training"),
    ("client", "inference"),
    ("training", "ingest"),
    ("inference", "ingest"),
    ("inference", "training"),
}
"""Who calls whom; a client is another backend."""

SETTINGS = {
    f"KEYPRINT_{name.upper()}"
    for part in (IngestSettings, TrainingSettings, InferenceSettings, GatewaySettings)
    for name in part.model_fields
}

Manifest = dict[str, Any]
Json = Any


@pytest.fixture(scope="module", params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    """All of an overlay."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    command = ["kubectl", "kustomize", str(ROOT / "deploy" / "k8s" / "overlays" / request.param)]
    done = subprocess.run(  # noqa: S603 - our own words
        command, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    """By the part's name."""
    found = [manifest for manifest in manifests if manifest["kind"] == kind]
    return {manifest["metadata"]["name"].removeprefix("keyprint-"): manifest for manifest in found}


def pods(manifests: list[Manifest]) -> dict[str, Json]:
    """The template of each part's pods."""
    workloads = of_kind(manifests, "StatefulSet") | of_kind(manifests, "Deployment")
    return {part: workload["spec"]["template"] for part, workload in workloads.items()}


@pytest.mark.parametrize("version", VERSIONS)
def test_all_of_it_is_what_kubernetes_knows(manifests: list[Manifest], version: str) -> None:
    for manifest in manifests:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_what_keeps_state_is_a_stateful_set_whose_pod_names_its_executor(manifests: list[Manifest]) -> None:
    assert set(of_kind(manifests, "StatefulSet")) == {"ingest", "training"}
    assert set(of_kind(manifests, "Deployment")) == {"inference", "gateway"}
    for part, workload in of_kind(manifests, "StatefulSet").items():
        (container,) = workload["spec"]["template"]["spec"]["containers"]
        (executor,) = [one for one in container["env"] if one["name"] == "KEYPRINT_EXECUTOR"]
        assert executor["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
        assert workload["spec"]["serviceName"] == f"keyprint-{part}"


def test_every_part_has_a_service_and_a_disruption_budget_that_find_its_pods(manifests: list[Manifest]) -> None:
    templates, services = pods(manifests), of_kind(manifests, "Service")
    budgets = of_kind(manifests, "PodDisruptionBudget")
    assert set(templates) == set(services) == set(budgets) == set(PARTS)
    for part, template in templates.items():
        labels = template["metadata"]["labels"].items()
        assert services[part]["spec"]["selector"].items() <= labels
        assert budgets[part]["spec"]["selector"]["matchLabels"].items() <= labels


def test_what_keeps_none_follows_the_load_but_in_dev(manifests: list[Manifest]) -> None:
    scaled = of_kind(manifests, "HorizontalPodAutoscaler")
    if set(of_kind(manifests, "Namespace")) == {"dev"}:
        assert scaled == {}
        return
    assert set(scaled) == {"inference", "gateway"}
    for part, autoscaler in scaled.items():
        assert autoscaler["spec"]["scaleTargetRef"]["name"] == f"keyprint-{part}"
        (metric,) = autoscaler["spec"]["metrics"]
        assert metric["resource"]["name"] == "cpu"
        # It would be set back to this at each apply.
        assert "replicas" not in of_kind(manifests, "Deployment")[part]["spec"]


def test_services_are_probed_by_grpc_and_the_gateway_by_a_name_that_it_answers_to(manifests: list[Manifest]) -> None:
    for part, template in pods(manifests).items():
        (container,) = template["spec"]["containers"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if part in SERVICES:
                assert container[probe]["grpc"]["port"] == container["ports"][0]["containerPort"]
            else:
                assert container[probe]["httpGet"]["httpHeaders"] == [{"name": "Host", "value": "localhost"}]


def test_no_pod_may_do_more_than_a_part_needs(manifests: list[Manifest]) -> None:
    for template in pods(manifests).values():
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        # As the images have it.
        assert spec["securityContext"]["runAsUser"] == 10001
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


def test_a_pod_is_given_longer_to_end_than_its_calls(manifests: list[Manifest]) -> None:
    (settings,) = [manifest["data"] for manifest in manifests if manifest["kind"] == "ConfigMap"]
    for template in pods(manifests).values():
        (container,) = template["spec"]["containers"]
        before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert template["spec"]["terminationGracePeriodSeconds"] > before + float(settings["KEYPRINT_GRACE_SECONDS"])


def test_the_network_has_the_arrows_of_the_design_and_no_other(manifests: list[Manifest]) -> None:
    templates = pods(manifests)
    labels = {part: template["metadata"]["labels"] for part, template in templates.items()}
    ports = {part: template["spec"]["containers"][0]["ports"][0] for part, template in templates.items()}
    callers = labels | {"client": {"keyprint-client": "true"}, "anybody": {}}
    policies = list(of_kind(manifests, "NetworkPolicy").values())
    found = {
        (caller, callee)
        for caller, callee in product(callers, PARTS)
        if caller != callee
        and goes_in(policies, callers[caller], labels[callee], ports[callee])
        # Pods of others have policies of their own.
        and (caller not in PARTS or goes_out(policies, callers[caller], labels[callee], ports[callee]))
    }
    # Another backend is somebody too.
    assert found - {("client", "gateway")} == ARROWS


def goes_in(policies: list[Manifest], caller: Json, callee: Json, port: Json) -> bool:
    """Whether a pod with the labels `callee` takes calls of one with the labels `caller`."""
    rules = [policy["spec"] for policy in policies if selects(policy["spec"]["podSelector"], callee)]
    assert any("Ingress" in rule["policyTypes"] for rule in rules)
    return any(admits(one, "from", caller, port) for rule in rules for one in rule.get("ingress", []))


def goes_out(policies: list[Manifest], caller: Json, callee: Json, port: Json) -> bool:
    """Whether a pod with the labels `caller` may call one with the labels `callee`."""
    rules = [policy["spec"] for policy in policies if selects(policy["spec"]["podSelector"], caller)]
    assert any("Egress" in rule["policyTypes"] for rule in rules)
    return any(admits(one, "to", callee, port) for rule in rules for one in rule.get("egress", []))


def admits(rule: Json, side: str, labels: Json, port: Json) -> bool:
    """Whether a rule is about pods of this namespace with these labels, at this port."""
    peers = rule.get(side)
    if peers is not None and not any(
        "podSelector" in peer and "namespaceSelector" not in peer and selects(peer["podSelector"], labels)
        for peer in peers
    ):
        return False
    return any(one.get("port") in (port["name"], port["containerPort"]) for one in rule["ports"])


def selects(selector: Json, labels: Json) -> bool:
    """Whether a label selector takes these labels."""
    exact = selector.get("matchLabels", {}).items() <= labels.items()
    return exact and all(
        one["operator"] == "In" and labels.get(one["key"]) in one["values"]
        for one in selector.get("matchExpressions", [])
    )


def test_the_settings_of_pods_are_those_that_parts_have(manifests: list[Manifest]) -> None:
    (settings,) = [manifest for manifest in manifests if manifest["kind"] == "ConfigMap"]
    assert {name.removesuffix("_FILE") for name in settings["data"]} <= SETTINGS
    services = of_kind(manifests, "Service")
    for part in SERVICES:
        name, _, port = settings["data"][f"KEYPRINT_{part.upper()}_ADDRESS"].partition(":")
        assert name == services[part]["metadata"]["name"]
        assert int(port) == services[part]["spec"]["ports"][0]["port"]


def test_images_are_of_this_version(manifests: list[Manifest]) -> None:
    tags = {template["spec"]["containers"][0]["image"].rpartition(":")[2] for template in pods(manifests).values()}
    assert tags == {version()}


def composed(name: str) -> Json:
    """A compose file."""
    return yaml.safe_load((ROOT / "deploy" / name).read_text())


def test_compose_publishes_the_gateway_alone_and_on_loopback() -> None:
    services = composed("compose.yaml")["services"]
    assert set(services) == {*PARTS, "postgres"}
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {"gateway": ["127.0.0.1:${KEYPRINT_GATEWAY_PORT:-8080}:8080"]}
    grpc = composed("compose.grpc.yaml")["services"]
    assert set(grpc) == set(SERVICES)
    assert all(port.startswith("127.0.0.1:") for service in grpc.values() for port in service["ports"])


def test_compose_bounds_each_container_and_sets_what_parts_have() -> None:
    services = composed("compose.yaml")["services"]
    assert all("mem_limit" in service for service in services.values())
    for part in PARTS:
        assert {name.removesuffix("_FILE") for name in services[part]["environment"]} <= SETTINGS
        assert services[part]["read_only"] is True
        assert services[part]["image"].endswith(f"keyprint-{part}:${{KEYPRINT_TAG:-{version()}}}")
    # Secrets lie in files, and each service sees its own.
    assert services["ingest"]["secrets"] == ["ingest_database"]
    assert services["training"]["secrets"] == ["training_database"]


def version() -> str:
    """Of this checkout."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])
