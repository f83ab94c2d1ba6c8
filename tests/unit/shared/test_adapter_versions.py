"""What people see of versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shared.adapters.manifest import read_origin
from shared.adapters.refusals import AdapterManifestBroken
from shared.adapters.rollout import Alias, Canary, begin
from shared.adapters.versions import ManifestDifference, differences, use_of
from tests.adapter_folders import checked, write_adapter


def test_differences_are_told_by_field(tmp_path: Path) -> None:
    one = checked("a", write_adapter(tmp_path))
    origin = one.origin.model_copy(update={"metrics": {"loss": 1.25}})
    other = one.model_copy(update={"rank": 8, "origin": origin, "tensors": one.tensors[1:]})

    assert list(differences(one, one)) == []
    told = list(differences(one, other))
    assert told[:2] == [ManifestDifference("rank", "2", "8"), ManifestDifference("metrics.loss", "1.5", "1.25")]
    assert (told[2].field, told[2].other) == (one.tensors[0].name, None)


def test_metrics_in_groups_are_told_by_their_path() -> None:
    said = {"held_out": {"task": {"loss": 1.5, "rows": 20}}, "minutes": 2}

    origin = read_origin("a", {"base_digest": "b", "numerics": "none", "metrics": said})

    assert origin.metrics == {"held_out.task.loss": 1.5, "held_out.task.rows": 20, "minutes": 2}


def test_groups_without_end_are_no_metrics() -> None:
    deep: dict[str, Any] = {}
    for _ in range(900):
        deep = {"deeper": deep}

    with pytest.raises(AdapterManifestBroken, match=r"metrics\.deeper\.deeper"):
        read_origin("a", {"base_digest": "b", "numerics": "none", "metrics": deep})


def test_each_version_has_one_use() -> None:
    alias = Alias(name="a", active="a@1", previous=("a@2",), retired=("a@3",), canary=Canary(adapter="a@4", share=0.1))
    alias = begin(alias, "a@5", "r", 0.0, 1.0)

    uses = [use_of(f"a@{number}", alias) for number in range(1, 7)]

    assert uses == ["active", "previous", "retired", "canary", "rolling_out", "unused"]
