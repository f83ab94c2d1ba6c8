"""What the papers and the build promise to a newcomer."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from shared.settings import load_settings

ROOT = Path(__file__).resolve().parents[3]
_DEFAULT = re.compile(r"\$\{\w+:-(.*?)\}")
LOCKS = sorted((ROOT / "infra" / "locks").glob("*.txt"))


def test_make_alone_lists_every_target_with_a_line() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.findall(r"^\.PHONY: (\S+)$", makefile, re.MULTILINE))

    listing = subprocess.run(["/usr/bin/make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    listed = dict(re.findall(r"^  make (\S+) +(\S.*)$", listing, re.MULTILINE))
    assert set(listed) == phony - {"help"} | {"help"}
    assert {"run", "test"} <= set(listed)


def test_ci_runs_make_test_and_nothing_else() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if line and not line.startswith("#")] == ["exec make test"]


@pytest.mark.parametrize("path", [lock for lock in LOCKS if lock.name != "torch.txt"], ids=lambda path: path.stem)
def test_every_version_is_pinned_and_hashed(path: Path) -> None:
    entries = re.split(r"\n(?=\S)", re.sub(r"^ *#.*\n?", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE))

    names = {}
    for entry in filter(None, map(str.strip, entries)):
        match = re.match(r"([a-z0-9._-]+)==(\S+) ", entry)
        assert match, entry
        assert "--hash=sha256:" in entry
        names[match[1]] = match[2]
    assert "torchvision" not in names
    assert "torch" not in names


def test_torch_is_pinned_without_a_hash() -> None:
    lines = (ROOT / "infra" / "locks" / "torch.txt").read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if not line.startswith("#")] == ["torch==2.13.0"]


def test_tests_and_training_install_what_running_installs() -> None:
    pins = {path.stem: set(re.findall(r"^[a-z0-9._-]+==\S+", path.read_text(), re.MULTILINE)) for path in LOCKS}

    assert pins["run"] <= pins["test"]
    assert pins["run"] <= pins["training"]
    assert pins["run"] <= pins["embedding"]


def test_compose_sets_only_settings_that_exist() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]

    for service in services.values():
        environment = {name: value for name, value in service.get("environment", {}).items() if name[:7] == "NUNMAL_"}
        load_settings({name: _DEFAULT.sub(r"\1", value) for name, value in environment.items() if value is not None})
    ways_out = {name for name, service in services.items() if "outside" in service["networks"]}
    shown = {"door", "prometheus", "grafana"}  # a published port needs such a network
    assert ways_out == shown | {"web-1", "web-2", "worker-upstream"}, (
        "workers have no way out but to a server that runs the model"
    )


def test_compose_passes_everything_on_that_pages_and_letters_need() -> None:
    web = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]["web-1"]
    settings = load_settings({})
    names = {f"NUNMAL_WEB__{name}".upper() for name, _ in settings.web} - {"NUNMAL_WEB__HOST", "NUNMAL_WEB__PORT"}
    names |= {f"NUNMAL_RETENTION__{name}".upper() for name, _ in settings.retention} | {"NUNMAL_MAIL__URL"}
    names |= {f"NUNMAL_EMBEDDING__{name}".upper() for name, _ in settings.embedding}

    assert "NUNMAL_WEB__TRUSTED_PROXIES" in names
    passed = {name for name in web["environment"] if re.match("NUNMAL_(WEB|RETENTION|EMBEDDING)__", name)}
    assert passed | {"NUNMAL_MAIL__URL"} == names
    behind_the_door = {"NUNMAL_WEB__TRUSTED_PROXIES", "NUNMAL_WEB__DRAIN_S"}
    given = {name for name in names if web["environment"][name] is not None}
    assert given == behind_the_door, "other defaults stand in shared/settings.py only"


def test_no_service_publishes_a_port_beyond_this_machine() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    published = {port for service in services.values() for port in service.get("ports", ())}

    assert len(published) == 3
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert not any(port.endswith(":9464") for port in published), "metrics and drain are for the inner network"


def test_prometheus_looks_where_compose_has_the_metrics() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    scraped = yaml.safe_load((ROOT / "infra/prometheus/prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    found = {
        name: discovered["port"]
        for job in scraped
        for discovered in job.get("dns_sd_configs", ())
        for name in discovered["names"]
    }

    measured = {
        name for name, service in services.items() if service.get("command", [""])[0] in ("web", "worker", "ingest")
    }
    assert set(found) == measured
    for name, port in found.items():
        assert services[name]["environment"]["NUNMAL_METRICS_PORT"] == str(port)
        assert services[name]["environment"]["NUNMAL_METRICS_HOST"] == "0.0.0.0"  # noqa: S104


def test_the_image_has_the_rooms_that_run_and_no_other() -> None:
    lines = (ROOT / "infra" / "docker" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = {line.split()[1] for line in lines if line.startswith("COPY ")}

    assert {"shared", "web", "workers", "vision", "infra"} <= copied
    assert not copied & {"training", "tests", "."}


def test_every_service_runs_on_an_image_that_has_what_it_needs_and_no_more() -> None:
    lines = (ROOT / "infra" / "docker" / "Dockerfile").read_text(encoding="utf-8")
    stages = re.split(r"^FROM (\S+) AS (\S+)$", lines, flags=re.MULTILINE)[1:]
    added = {name: (base, text) for base, name, text in zip(stages[::3], stages[1::3], stages[2::3], strict=True)}
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]

    def has(target: str, what: str) -> bool:
        return target in added and (what in added[target][1] or has(added[target][0], what))

    targets = {
        name: _DEFAULT.sub(r"\1", service["build"]["target"])
        for name, service in services.items()
        if "build" in service
    }
    assert set(targets.values()) <= set(added)
    assert {name for name, target in targets.items() if not has(target, "torch.txt")} == {
        "web-1",
        "web-2",
        "ingest",
        "commands",
    }
    assert {name for name, target in targets.items() if not has(target, "tesseract-ocr-kor")} == {
        "web-1",
        "web-2",
        "commands",
    }
    assert [name for name in added if has(name, "embedding.txt")] == ["embedding"]


def test_containers_have_no_rights_they_do_not_need() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]

    ours = {name for name, service in services.items() if "build" in service}
    for name in ours | {"door", "prometheus", "grafana"}:
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]


def test_readme_shows_the_two_commands_and_only_files_that_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert re.search(r"^make run ", readme, re.MULTILINE)
    assert re.search(r"^make test ", readme, re.MULTILINE)
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", readme)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
