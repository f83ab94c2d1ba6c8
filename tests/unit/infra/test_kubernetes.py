"""infra/k8s/: the manifests fit together and fit the settings. No cluster is asked, and no schema of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.settings import Settings, load_settings
from tests.contract.promql import faults

K8S = Path(__file__).resolve().parents[3] / "infra" / "k8s"
SECRETS = {
    "store-url": "mongodb://nobody@127.0.0.1/",
    "broker-url": "amqp://nobody@127.0.0.1/",
    "secret-key": "s" * 32,
}


def resources() -> list[dict[str, Any]]:
    files = yaml.safe_load((K8S / "base" / "kustomization.yaml").read_text())["resources"]
    return [document for name in files for document in yaml.safe_load_all((K8S / "base" / name).read_text())]


def found(kind: str, name: str) -> dict[str, Any]:
    (one,) = [each for each in resources() if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return one


def container(name: str) -> dict[str, Any]:
    (only,) = found("Deployment", name)["spec"]["template"]["spec"]["containers"]
    return dict(only)


def settings_of(name: str) -> Settings:
    environment = dict(found("ConfigMap", "nunmal-settings")["data"])
    for entry in container(name)["env"]:
        secret = entry.get("valueFrom", {}).get("secretKeyRef")
        environment[entry["name"]] = SECRETS[secret["key"]] if secret else entry["value"]
    return load_settings(environment)


def test_every_file_is_used() -> None:
    used = yaml.safe_load((K8S / "base" / "kustomization.yaml").read_text())["resources"]
    assert {path.name for path in (K8S / "base").glob("*.yaml")} == {*used, "kustomization.yaml"}


@pytest.mark.parametrize("name", ["web", "worker", "ingest"])
def test_settings_exist_and_secrets_are_no_settings(name: str) -> None:
    settings = settings_of(name)
    secrets = {entry["name"] for entry in container(name)["env"] if "valueFrom" in entry}

    assert settings.store_url is not None
    assert settings.broker_url is not None
    assert secrets == {"NUNMAL_STORE_URL", "NUNMAL_BROKER_URL", *(["NUNMAL_SECRET_KEY"] if name == "web" else [])}


@pytest.mark.parametrize("name", ["web", "worker"])
def test_an_end_in_order_is_given_its_time(name: str) -> None:
    settings = settings_of(name)
    drain_s = settings.web.drain_s if name == "web" else settings.worker.drain_s
    grace_s = found("Deployment", name)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]

    assert grace_s >= drain_s + 6


def test_scaling_in_lets_a_busy_worker_finish_the_longest_answer() -> None:
    settings = settings_of("worker")
    assert settings.worker.drain_s >= settings.worker.deadline_s


@pytest.mark.parametrize("name", ["web", "worker", "ingest"])
def test_probes_ask_ports_and_paths_that_are_there(name: str) -> None:
    of = container(name)
    ports = {port["name"]: port["containerPort"] for port in of["ports"]}
    probes = {kind: of[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}

    assert ports["metrics"] == settings_of(name).metrics_port
    assert probes["startup"] == {"path": "/startupz", "port": "metrics"}
    assert probes["liveness"] == {"path": "/healthz", "port": "metrics"}
    assert probes["readiness"]["path"] == ("/acceptz" if name == "web" else "/readyz")
    assert probes["readiness"]["port"] == ("http" if name == "web" else "metrics")


@pytest.mark.parametrize("name", ["web", "worker", "ingest"])
def test_pods_have_no_rights_they_do_not_need(name: str) -> None:
    pod = found("Deployment", name)["spec"]["template"]["spec"]

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("name", ["web", "worker", "ingest"])
def test_selectors_find_the_pods(name: str) -> None:
    labels = found("Deployment", name)["spec"]["template"]["metadata"]["labels"]

    assert found("Deployment", name)["spec"]["selector"]["matchLabels"] == labels
    assert found("PodDisruptionBudget", name)["spec"]["selector"]["matchLabels"] == labels


def test_everything_is_shut_and_workers_have_no_way_out() -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in resources() if each["kind"] == "NetworkPolicy"}
    ways_out = [way for spec in policies.values() for way in spec.get("egress", ())]

    assert policies["nobody"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert ways_out
    for way in ways_out:
        assert all(set(to) == {"namespaceSelector"} and to["namespaceSelector"] for to in way["to"])
        assert {port["port"] for port in way["ports"]} <= {5672, 5671, 27017, 53}


def test_scaling_follows_what_web_nodes_say() -> None:
    spec = found("ScaledObject", "worker")["spec"]
    (trigger,) = spec["triggers"]

    assert spec["scaleTargetRef"]["name"] == found("Deployment", "worker")["metadata"]["name"]
    assert list(faults(trigger["metadata"]["query"])) == []
    assert f'lane="chat.{settings_of("worker").model_name}"' in trigger["metadata"]["query"]
    assert trigger["metadata"]["threshold"] == "1"
    assert "replicas" not in found("Deployment", "worker")["spec"], (
        "the autoscaler's number would be undone by each apply"
    )


def test_gpu_workers_are_the_same_with_a_gpu() -> None:
    overlay = yaml.safe_load((K8S / "gpu" / "kustomization.yaml").read_text())
    (patch,) = overlay["patches"]
    operations = yaml.safe_load(patch["patch"])

    assert overlay["resources"] == ["../base"]
    assert found("Deployment", patch["target"]["name"])
    assert {"name": "NUNMAL_WORKER__DEVICE", "value": "cuda"} in [operation["value"] for operation in operations]
    assert any(operation["path"].endswith("nvidia.com~1gpu") for operation in operations)
