"""infra/prometheus/: every rule names series that exist, every alert was seen to fire, and its runbook helps."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.contract.promql import PROMETHEUS, faults, rules

ALERTS = rules("alerts.yml")
RUNBOOK = (PROMETHEUS / "RUNBOOK.md").read_text(encoding="utf-8")
NAMES = [alert["alert"] for alert in ALERTS]


def promtool(*arguments: str) -> None:
    command = [shutil.which("promtool") or "promtool", *arguments]  # infra/services.sh installs it
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROMETHEUS, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_configuration() -> None:
    promtool("check", "config", "prometheus.yml")


def test_every_alert_fires_for_its_symptom_and_for_nothing_that_looks_alike() -> None:
    promtool("test", "rules", "alerts.test.yml")


def test_every_alert_has_both_cases() -> None:
    cases: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "alerts.test.yml").read_text(encoding="utf-8"))["tests"]
    fires: set[str] = set()
    quiet: set[str] = set()
    for case in cases:
        for expected in case["alert_rule_test"]:
            (fires if expected["exp_alerts"] else quiet).add(expected["alertname"])
    assert fires == quiet == set(NAMES)


@pytest.mark.parametrize(
    "rule", [*rules("recording.yml"), *ALERTS], ids=lambda rule: rule.get("record", rule.get("alert"))
)
def test_rules_name_series_and_labels_that_exist(rule: dict[str, Any]) -> None:
    assert list(faults(rule["expr"])) == []


def test_a_rule_that_names_nothing_would_be_noticed() -> None:
    assert list(faults('rate(nunmal_queue_depht[5m]) > sum by (lane) (up{jobs="x"})')) == [
        "nunmal_queue_depht is no series",
        "up has no label jobs",
    ]


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_every_alert_says_how_bad_it_is_and_where_to_read(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["annotations"]["runbook"] == f"infra/prometheus/RUNBOOK.md#{alert['alert'].lower()}"
    assert alert["annotations"]["summary"]


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_has_its_section_in_the_runbook(name: str) -> None:
    (section,) = re.findall(rf"^## {name}\n(.*?)(?=^## |\Z)", RUNBOOK, re.M | re.S)

    for part in ("Symptom", "Meaning", "First commands", "Fix"):
        assert f"**{part}.**" in section
    (commands,) = re.findall(r"```sh\n(.*?)```", section, re.S)
    assert len(commands.strip().splitlines()) == 3


def test_the_runbook_has_no_section_without_an_alert() -> None:
    assert re.findall(r"^## (.+)$", RUNBOOK, re.M) == NAMES
