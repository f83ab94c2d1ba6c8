"""Open any Hugging Face causal language model: a directory or a hub id, safetensors only, never its own code.

A model without a chat template is spoken to in labelled turns (shared/prompting.py) and stops where the next
turn's label would begin.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from shared.model_digest import files_digest, served_digest
from shared.prompting import FALLBACK_STOP
from vision.decoder import model_kind
from vision.quantised import fit_to_cpu, numerics_of, quantisation
from workers.engine.adapters.own_adapter import OwnAdapter
from workers.engine.facts import ModelFacts
from workers.engine.looking import Looker, open_looker
from workers.engine.model_files import check_files, locate, model_error, open_tokenizer, shortened
from workers.engine.model_runner import ModelRunner, vocabulary_of
from workers.engine.numerics import Numerics, choose_numerics
from workers.engine.sampling_defaults import SamplingDefaults
from workers.engine.self_check import verified_runner

_UNKNOWN_CONTEXT_LENGTH = 2048  # tokens; for the few configurations that do not say
_STRETCHED_ROPE = ("dynamic", "longrope")  # their angles depend on the longest row, so rows would disturb each other


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """Everything serving needs of a model."""

    runner: ModelRunner
    tokenizer: PreTrainedTokenizerBase
    facts: ModelFacts
    sampling: SamplingDefaults
    stop_text: str | None  # the answer ends before this text; None: end tokens do it
    numerics: Numerics
    looker: Looker | None = None  # None: pictures cannot be shown to it
    own_adapter: OwnAdapter | None = None  # in its folder


def load(source: str, *, device: str, dtype: str, max_new_tokens: int) -> LoadedModel:
    """Takes seconds to minutes: call it in a thread. Raises ModelError with one line, or ConfigError (device)."""
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    directory = locate(source)
    check_files(source, directory)
    numerics = choose_numerics(device, dtype, _parameters(directory))
    tokenizer = open_tokenizer(source, directory)
    model = _open_weights(source, directory, numerics)
    vocabulary = vocabulary_of(model)
    if tokenizer.vocab_size > vocabulary:  # tokens added later may lie outside: no prompt of ours uses them
        raise model_error(source, f"its tokenizer has {tokenizer.vocab_size} tokens, its weights only {vocabulary}")
    kept = numerics_of(model)
    runner, eyes = verified_runner(source, model)
    facts = ModelFacts(
        served_digest(files_digest(directory), kept),
        vocabulary,
        context_length(model.config),
        stop_ids(model.generation_config, tokenizer),
        kept,
        eyes,
    )
    return LoadedModel(
        runner,
        tokenizer,
        facts,
        sampling_defaults(model.generation_config, max_new_tokens),
        None if tokenizer.chat_template else FALLBACK_STOP,
        numerics,
        open_looker(directory, eyes, tokenizer),
        OwnAdapter.of(directory),
    )


def _open_weights(source: str, directory: Path, numerics: Numerics) -> PreTrainedModel:
    options: dict[str, Any] = {}
    if numerics.quantisation != "none":  # such a model is quantised where it will run, and cannot be moved
        kind = quantisation(numerics.quantisation, numerics.dtype)
        options = {"quantization_config": kind, "device_map": {"": str(numerics.device)}}
    try:
        config: Any = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        loaded: Any = model_kind(config).from_pretrained(
            directory,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=numerics.dtype,
            output_loading_info=True,
            **options,
        )
        model: PreTrainedModel = loaded[0] if options else loaded[0].to(numerics.device)
        fit_to_cpu(model)
        found: dict[str, Any] = loaded[1]
    except Exception as error:  # whatever is wrong with a model's files, the operator gets one line
        raise model_error(source, f"cannot be loaded ({shortened(error)})") from error
    missing = sorted(found["missing_keys"]) + sorted(str(key) for key in found["mismatched_keys"])
    if missing:
        raise model_error(source, f"{len(missing)} weights are missing or misshapen, first {missing[0]}")
    return model


def _parameters(directory: Path) -> int:
    count = 0
    for file in directory.glob("*.safetensors"):
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118  # not a mapping
                count += torch.Size(opened.get_slice(name).get_shape()).numel()
    return count


def context_length(config: Any) -> int:
    """Most tokens that a model of this transformers configuration reads."""
    text = config.get_text_config()
    length = int(getattr(text, "max_position_embeddings", None) or _UNKNOWN_CONTEXT_LENGTH)
    rope = getattr(text, "rope_parameters", None) or {}
    for parameters in (rope, *(value for value in rope.values() if isinstance(value, dict))):
        if parameters.get("rope_type") in _STRETCHED_ROPE:
            length = min(length, int(parameters.get("original_max_position_embeddings") or length))
    return length


def stop_ids(config: Any, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """What ends an answer, by a model's GenerationConfig, tokenizer and chat template."""
    named = config.eos_token_id
    ids = {*(named if isinstance(named, list) else [named]), tokenizer.eos_token_id, _end_of_turn_id(tokenizer)}
    return frozenset(token_id for token_id in ids if token_id is not None)


def _end_of_turn_id(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The control token that the chat template writes right after an answer, if it writes one."""
    if not tokenizer.chat_template:
        return None
    mark = "MARK"
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": mark}]
    try:
        text = str(tokenizer.apply_chat_template(turns, tokenize=False))
    except Exception:  # a template may refuse any conversation, in its own words
        return None
    after = tokenizer.encode(text.rpartition(mark)[2].lstrip(), add_special_tokens=False)
    is_control = after and (after[0] in tokenizer.all_special_ids or after[0] in tokenizer.added_tokens_decoder)
    return int(after[0]) if is_control else None


def sampling_defaults(config: Any, limit: int) -> SamplingDefaults:
    """A GenerationConfig's own way; answers of at most `limit` tokens."""
    return SamplingDefaults(
        temperature=float(1.0 if config.temperature is None else config.temperature) if config.do_sample else 0.0,
        top_p=float(1.0 if config.top_p is None else config.top_p),
        top_k=int(config.top_k or 0),
        max_new_tokens=min(limit, int(config.max_new_tokens or limit)),
        min_p=float(config.min_p or 0.0),
        repetition_penalty=float(config.repetition_penalty or 1.0),
    )
