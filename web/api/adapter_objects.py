"""What /v1/adapters answers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from web.api.objects import ApiObject

Use = Literal["active", "canary", "rolling_out", "previous", "retired", "unused"]


class WorkerReport(ApiObject):
    """How far one worker is with a roll-out. `code` and `facts`: of the reason, if it failed."""

    worker: str
    state: Literal["fetching", "verified", "loaded", "tested", "failed"]
    code: str
    facts: dict[str, str | int | float]


class RolloutState(ApiObject):
    """The one that runs, or else the last one."""

    id: str
    version: str
    intent: Literal["activate", "canary", "rollback"]
    outcome: Literal["done", "cancelled", "worker_failed", "timed_out", "no_workers"] | None = Field(
        description="Null while it runs."
    )
    workers: list[WorkerReport]


class GateGroup(ApiObject):
    """Shares of right answers: of what was in use, and of the new version."""

    group: str
    questions: int
    before: float
    after: float


class GateFindings(ApiObject):
    """`low` and `high`: the 95 % interval of the difference over all questions."""

    against: str | None
    difference: float
    low: float
    high: float
    rows: list[GateGroup]


class GateState(ApiObject):
    """The last gate: it and what is in use answer the same questions before it is rolled out."""

    version: str
    outcome: Literal["running", "passed", "lost", "failed", "overridden"]
    done: int
    of: int
    table: GateFindings | None


class Version(ApiObject):
    """It never changes; only its use does."""

    id: str = Field(description="name@digest")
    object: Literal["adapter.version"]
    use: Use
    digest: str
    method: Literal["lora", "dora"]
    rank: int
    alpha: float
    targets: list[str]
    base_digest: str
    numerics: str
    size_bytes: int
    metrics: dict[str, float]
    pushed: int
    has_files: bool = Field(description="False once it was retired.")


class Adapter(ApiObject):
    object: Literal["adapter"]
    name: str
    active: str | None
    canary: str | None
    canary_percent: float | None
    previous: list[str]
    rollout: RolloutState | None
    gate: GateState | None
    versions: list[Version]


class AdapterList(ApiObject):
    object: Literal["list"]
    data: list[Adapter]


class Difference(ApiObject):
    field: str
    one: str | None
    other: str | None


class Differences(ApiObject):
    object: Literal["list"]
    data: list[Difference]
