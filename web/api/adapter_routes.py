"""The routes under /v1/adapters, for researchers and operators: what `nunmal adapters` does, over HTTP.

A roll-out is begun here and goes on by itself; `GET /v1/adapters/<name>` tells how far each worker is.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from quart import Blueprint, Response, request
from quart.typing import ResponseReturnValue

from shared.adapters.folder import FILES
from shared.adapters.gate import GateTable
from shared.adapters.manifest import adapter_name, name_of
from shared.adapters.rollout import Alias
from shared.adapters.versions import differences, use_of
from shared.gatekeeping import Gatekeeper
from shared.publishing import Publishing
from shared.store import Store
from shared.store.adapters import AdapterVersion
from shared.store.keys import ApiKey
from web.api.access import Callers
from web.api.adapter_objects import (
    Adapter,
    AdapterList,
    Difference,
    Differences,
    GateFindings,
    GateGroup,
    GateState,
    RolloutState,
    Version,
    WorkerReport,
)
from web.api.body import read_body
from web.api.objects import ApiObject
from web.api.problems import ContentTypeUnknown, ParameterMissing
from web.api.requests import CanaryRequest, OverrideRequest
from web.bodies import LargeBodies
from web.forms import read_form

PATH = "/v1/adapters"


def adapters_blueprint(
    store: Store, publishing: Publishing, gate: Gatekeeper, callers: Callers, large_bodies: LargeBodies
) -> Blueprint:
    blueprint = Blueprint("api_adapters", __name__, url_prefix=PATH)

    async def told(name: str) -> Response:
        alias, versions = await asyncio.gather(store.adapters.alias(name), store.adapters.versions(name))
        return _json(adapter_of(alias, versions))

    async def changed(version: str, change: Callable[[ApiKey], Awaitable[object]]) -> Response:
        """It as it is after the change. Raises AdapterNameInvalid."""
        key = await callers.require_researcher()
        name = name_of(version)
        await change(key)
        return await told(name)

    @blueprint.get("")
    async def adapters() -> ResponseReturnValue:
        await callers.require_researcher()
        aliases, versions = await asyncio.gather(store.adapters.aliases(), store.adapters.versions())
        known = {alias.name: alias for alias in aliases}
        names = dict.fromkeys([*known, *(version.manifest.name for version in versions)])
        return _json(
            AdapterList(
                object="list",
                data=[
                    adapter_of(
                        known.get(name, Alias(name=name)), [each for each in versions if each.manifest.name == name]
                    )
                    for name in sorted(names)
                ],
            )
        )

    @blueprint.post("")
    async def push() -> ResponseReturnValue:
        key = await callers.require_researcher()
        if request.mimetype != "multipart/form-data":
            raise ContentTypeUnknown
        with large_bodies.reading(request, key.user_id):
            form = await read_form(request, is_long=True, has_files=True)
            with tempfile.TemporaryDirectory(prefix="nunmal-push-") as directory:
                for file in FILES:
                    sent = form.files(file)
                    if len(sent) != 1:
                        raise ParameterMissing(param=file)
                    await asyncio.to_thread((Path(directory) / file).write_bytes, sent[0])
                manifest = await publishing.push(form["name"], Path(directory), key.user_id)
        response = _json(version_of(await store.adapters.version(manifest.version_id), Alias(name=manifest.name)), 201)
        response.headers["Location"] = f"{PATH}/{manifest.name}"
        return response

    @blueprint.get("/<name>")
    async def one(name: str) -> ResponseReturnValue:
        await callers.require_researcher()
        return await told(adapter_name(name))

    @blueprint.get("/<one>/diff/<other>")
    async def diff(one: str, other: str) -> ResponseReturnValue:
        await callers.require_researcher()
        manifests = [(await store.adapters.version(each)).manifest for each in (one, other)]
        found = [Difference(field=each.field, one=each.one, other=each.other) for each in differences(*manifests)]
        return _json(Differences(object="list", data=found))

    @blueprint.post("/<version>/activate")
    async def activate(version: str) -> ResponseReturnValue:
        return await changed(version, lambda key: gate.begin(version, key.user_id))

    @blueprint.post("/<version>/override")
    async def override(version: str) -> ResponseReturnValue:
        key = await callers.require_researcher(only_operators=True)
        body = await read_body(request, OverrideRequest)
        await gate.override(version, key.user_id, body.reason)
        return await told(name_of(version))

    @blueprint.post("/<version>/canary")
    async def canary(version: str) -> ResponseReturnValue:
        async def begin(key: ApiKey) -> None:
            body = await read_body(request, CanaryRequest)
            await publishing.canary(version, body.percent / 100, key.user_id)

        return await changed(version, begin)

    @blueprint.post("/<version>/retire")
    async def retire(version: str) -> ResponseReturnValue:
        return await changed(version, lambda key: publishing.retire(version, key.user_id))

    @blueprint.post("/<name>/rollback")
    async def roll_back(name: str) -> ResponseReturnValue:
        key = await callers.require_researcher()
        await publishing.roll_back(adapter_name(name), key.user_id)
        return await told(name)

    return blueprint


def adapter_of(alias: Alias, versions: list[AdapterVersion]) -> Adapter:
    rollout, last = alias.rollout, alias.last
    shown = rollout or (last.rollout if last else None)
    return Adapter(
        object="adapter",
        name=alias.name,
        active=alias.active,
        canary=alias.canary.adapter if alias.canary else None,
        canary_percent=100 * alias.canary.share if alias.canary else None,
        previous=list(alias.previous),
        rollout=None
        if shown is None
        else RolloutState(
            id=shown.id,
            version=shown.adapter,
            intent=shown.intent.value,
            outcome=None if rollout or last is None else last.outcome.value,
            workers=[
                WorkerReport(worker=worker, state=said.state.value, code=said.code, facts=dict(said.facts))
                for worker, said in shown.reports.items()
            ],
        ),
        gate=None
        if alias.gate is None
        else GateState(
            version=alias.gate.adapter,
            outcome=alias.gate.outcome.value,
            done=alias.gate.done,
            of=alias.gate.of,
            table=_table_of(alias.gate.table) if alias.gate.table else None,
        ),
        versions=[version_of(version, alias) for version in versions],
    )


def _table_of(table: GateTable) -> GateFindings:
    rows = [GateGroup.model_validate(row.model_dump()) for row in table.rows]
    return GateFindings(against=table.against, difference=table.difference, low=table.low, high=table.high, rows=rows)


def version_of(version: AdapterVersion, alias: Alias) -> Version:
    manifest = version.manifest
    return Version(
        id=version.id,
        object="adapter.version",
        use=use_of(version.id, alias),
        digest=version.digest,
        method=manifest.method,
        rank=manifest.rank,
        alpha=manifest.alpha,
        targets=list(manifest.targets),
        base_digest=manifest.origin.base_digest,
        numerics=manifest.origin.numerics,
        size_bytes=manifest.size_bytes,
        metrics=dict(manifest.origin.metrics),
        pushed=int(version.pushed_at.timestamp()),
        has_files=version.has_files,
    )


def _json(body: ApiObject, status: int = 200) -> Response:
    return Response(body.sent(), status=status, content_type="application/json")
