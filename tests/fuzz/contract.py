"""Schemathesis on the served OpenAPI document: what the document allows, and what it does not."""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis.config import (
    ChecksConfig,
    GenerationConfig,
    PhasesConfig,
    PositiveDataAcceptanceConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
    StatefulPhaseConfig,
)
from schemathesis.engine import events, from_schema

from tests.fuzz.tally import Tally
from tests.fuzz.wire import Answer

_REQUEST_WITHIN_S = 20


def fuzz_contract(address: str, key: str, tally: Tally, *, seed: int, examples: int) -> None:
    """`examples`: most per operation and kind; besides them every bound of every schema is tried. Blocks."""
    generation = GenerationConfig(max_examples=examples, no_shrink=True, database="none")
    project = ProjectConfig(
        base_url=address,
        headers={"Authorization": f"Bearer {key}"},
        request_timeout=_REQUEST_WITHIN_S,
        continue_on_failure=True,
        generation=generation,
        # What two parameters may not say together, and what no prompt may hold, is beyond what the document can say.
        checks=ChecksConfig(positive_data_acceptance=PositiveDataAcceptanceConfig(enabled=False)),
        phases=PhasesConfig(stateful=StatefulPhaseConfig(enabled=False)),
    )
    config = SchemathesisConfig(seed=seed, projects=ProjectsConfig(default=project))
    schema = schemathesis.openapi.from_url(f"{address}/v1/openapi.json", config=config)
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _see(event.recorder, tally)
        elif isinstance(event, events.NonFatalError):
            tally.fault(f"schemathesis: {event.info.title}: {event.info.message}")


def _see(recorder: Any, tally: Tally) -> None:
    for interaction in recorder.interactions.values():
        sent, came = interaction.request, interaction.response
        request = f"{sent.method} {sent.uri} {sent.body or ''}".encode()
        if came is None:
            tally.see(request, Answer(0))
            tally.fault("no answer", request)
            continue
        headers = tuple((name.lower(), values[0]) for name, values in came.headers.items())
        tally.see(request, Answer(came.status_code, headers, came.content or b""))
    for checks in recorder.checks.values():
        for check in checks:
            if check.failure_info is not None:
                failure = check.failure_info.failure
                tally.fault(f"{recorder.label}: {failure.title}", failure.message.encode())
