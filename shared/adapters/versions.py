"""What people see of versions: how each is used, and what two of them differ in. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from shared.adapters.manifest import AdapterManifest
from shared.adapters.refusals import line
from shared.adapters.rollout import Alias

Use = Literal["active", "canary", "rolling_out", "previous", "retired", "unused"]


@dataclass(frozen=True, slots=True)
class ManifestDifference:
    field: str
    one: str | None  # None: it has no such field
    other: str | None


def use_of(version: str, alias: Alias) -> Use:
    """Of a version of this name."""
    if alias.rollout and alias.rollout.adapter == version:
        return "rolling_out"
    if alias.active == version:
        return "active"
    if alias.canary and alias.canary.adapter == version:
        return "canary"
    if version in alias.retired:
        return "retired"
    return "previous" if version in alias.previous else "unused"


def differences(one: AdapterManifest, other: AdapterManifest) -> Iterator[ManifestDifference]:
    """What a person compares: everything that is not the same."""
    before, after = _compared(one), _compared(other)
    for field in dict.fromkeys([*before, *after]):
        if before.get(field) != after.get(field):
            yield ManifestDifference(field, before.get(field), after.get(field))


def _compared(manifest: AdapterManifest) -> dict[str, str]:
    origin = manifest.origin
    made = {"created_at", "data_digest", "commit", "seed"}
    facts: dict[str, object] = {
        "name": manifest.name,
        "base": origin.base_digest,
        "numerics": origin.numerics,
        "method": manifest.method,
        "rank": manifest.rank,
        "alpha": manifest.alpha,
        "targets": " ".join(manifest.targets),
        **{field: value for field, value in origin.model_dump(mode="json", include=made).items() if value is not None},
        **{f"recipe.{key}": value for key, value in origin.recipe.items()},
        **{f"metrics.{key}": value for key, value in origin.metrics.items()},
        **{file.name: file.sha256 for file in manifest.files},
        **{tensor.name: f"{tensor.dtype} {tensor.shape}" for tensor in manifest.tensors},
    }
    return {line(name): line(str(value)) for name, value in facts.items()}
