"""From settings to a model that answers: loads it and starts its engine."""

from __future__ import annotations

import logging
from typing import cast

from shared.settings import Settings, WorkerSettings
from shared.telemetry import BATCH_SIZE, fields
from workers.engine.base import JsonSchema
from workers.engine.engine_messages import Order
from workers.engine.model_files import locate, open_tokenizer
from workers.engine.model_loader import load
from workers.engine.numerics import use_threads
from workers.engine.process_engine import ProcessEngine
from workers.engine.transformers_engine import TransformersEngine
from workers.engine.vocabulary import Vocabulary
from workers.served_model import ServedModel, Tokenizer

log = logging.getLogger(__name__)


def open_model_apart(settings: Settings) -> ServedModel:
    """With the engine in a process of its own. Takes seconds to minutes: call it in a thread.

    Raises ModelError or ConfigError.
    """
    name = settings.model_name
    order = Order(settings.model_source, settings.worker, settings.log_format, settings.log_level)
    engine = ProcessEngine.start(order, on_step=BATCH_SIZE.labels(name).observe)
    opened = engine.opened
    log.info("model_loaded", extra=fields(model=name, numerics=opened.numerics, process=engine.pid))
    tokenizer = open_tokenizer(settings.model_source, locate(settings.model_source))
    vocabulary = Vocabulary(tokenizer, opened.facts.vocabulary, opened.facts.stop_ids)
    return ServedModel(
        name,
        engine,
        cast("Tokenizer", tokenizer),  # its own types also cover batches
        opened.sampling,
        opened.stop_text,
        opened.numerics,
        vocabulary,
        JsonSchema,
    )


def open_model(source: str, name: str, settings: WorkerSettings) -> ServedModel:
    """With the engine in this process, for measurements and tests. Raises ModelError or ConfigError."""
    use_threads(settings.threads)
    loaded = load(source, device=settings.device, dtype=settings.dtype, max_new_tokens=settings.max_new_tokens)
    engine = TransformersEngine(loaded.runner, loaded.facts, slots=settings.slots, prefill_chunk=settings.prefill_chunk)
    vocabulary = Vocabulary(loaded.tokenizer, loaded.facts.vocabulary, loaded.facts.stop_ids)
    return ServedModel(
        name,
        engine,
        cast("Tokenizer", loaded.tokenizer),
        loaded.sampling,
        loaded.stop_text,
        loaded.numerics.reason,
        vocabulary,
        vocabulary.json_grammar,
    )
