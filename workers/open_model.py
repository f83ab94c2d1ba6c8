"""From settings to a model that answers: loads it and starts its engine."""

from __future__ import annotations

import logging
from typing import cast

from shared.settings import WorkerSettings
from shared.telemetry import BATCH_SIZE, fields
from workers.engine.model_loader import load
from workers.engine.numerics import use_threads
from workers.engine.transformers_engine import TransformersEngine
from workers.served_model import ServedModel, Tokenizer

log = logging.getLogger(__name__)


def open_model(source: str, name: str, settings: WorkerSettings) -> ServedModel:
    """Takes seconds to minutes: call it in a thread. Raises ModelError or ConfigError."""
    threads = use_threads(settings.threads)
    loaded = load(source, device=settings.device, dtype=settings.dtype, max_new_tokens=settings.max_new_tokens)
    log.info("model_loaded", extra=fields(model=name, numerics=loaded.numerics.reason, threads=threads))
    engine = TransformersEngine(
        loaded.runner,
        loaded.facts,
        slots=settings.slots,
        prefill_chunk=settings.prefill_chunk,
        on_step=BATCH_SIZE.labels(name).observe,
    )
    tokenizer = cast("Tokenizer", loaded.tokenizer)  # its own types also cover batches
    return ServedModel(name, engine, tokenizer, loaded.sampling, loaded.stop_text, loaded.numerics.reason)
