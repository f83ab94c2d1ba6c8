"""infra/grafana/: every query names series that exist, and the dashboards are found where they are looked for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.promql import faults, our_series

GRAFANA = Path(__file__).resolve().parents[2] / "infra" / "grafana"
BOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
_VALUES = re.compile(r"label_values\((\w+), (\w+)\)")


def board(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def queries(path: Path) -> Iterator[str]:
    for panel in board(path)["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"].replace("$__rate_interval", "1m")


def test_there_is_one_from_click_to_first_token_one_per_worker_and_one_of_adapters() -> None:
    assert [path.stem for path in BOARDS] == ["adapters", "click-to-first-token", "worker"]


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_every_query_names_series_and_labels_that_exist(path: Path) -> None:
    assert [fault for query in queries(path) for fault in faults(query)] == []


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_legends_and_variables_name_labels_that_exist(path: Path) -> None:
    labels = {label for names in our_series().values() for label in names} | {"instance", "job", "queue"}
    for panel in board(path)["panels"]:
        for target in panel.get("targets", ()):
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels
    for variable in board(path)["templating"]["list"]:
        (asked,) = _VALUES.findall(variable["query"])
        assert asked[0] in our_series()
        assert asked[1] in labels


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_panels_have_a_data_source_a_unit_and_a_place_of_their_own(path: Path) -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    taken: set[tuple[int, int]] = set()
    for panel in board(path)["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == source["uid"]
            assert panel["fieldConfig"]["defaults"]["unit"]


def test_uids_are_different() -> None:
    assert len({board(path)["uid"] for path in BOARDS}) == len(BOARDS)
