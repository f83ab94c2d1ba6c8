"""A model with its engine in this process, for measurements and tests."""

from __future__ import annotations

from typing import cast

from shared.settings import WorkerSettings
from workers.engine.kv_memory import reserve
from workers.engine.model_loader import load
from workers.engine.numerics import use_threads
from workers.engine.transformers_engine import TransformersEngine
from workers.engine.vocabulary import Vocabulary
from workers.pictures import eyes_of
from workers.served_model import ServedModel, Tokenizer
from workers.thinking import thinking


def open_model(source: str, name: str, settings: WorkerSettings) -> ServedModel:
    """Takes seconds: call it in a thread. Raises ModelError or ConfigError."""
    use_threads(settings.threads)
    loaded = load(source, device=settings.device, dtype=settings.dtype, max_new_tokens=settings.max_new_tokens)
    facts = reserve(loaded.runner, loaded.facts, slots=settings.slots, mib=settings.kv_memory_mib)
    engine = TransformersEngine(
        loaded.runner,
        facts,
        slots=settings.slots,
        prefill_chunk=settings.prefill_chunk,
        looker=loaded.looker,
        own_adapter=loaded.own_adapter,
    )
    vocabulary = Vocabulary(loaded.tokenizer, loaded.facts.vocabulary, loaded.facts.stop_ids)
    served = ServedModel(
        name,
        engine,
        cast("Tokenizer", loaded.tokenizer),
        loaded.sampling,
        loaded.stop_text,
        loaded.numerics.reason,
        vocabulary,
        vocabulary.json_grammar,
        eyes_of(facts, loaded.tokenizer, engine.look) if loaded.looker else None,
    )
    return thinking(served, loaded.facts.vocabulary)
