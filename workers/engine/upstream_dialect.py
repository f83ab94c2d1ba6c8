"""What the kinds of OpenAI-compatible servers call what a request asks for.

OpenAI's own names are the least of it: a server drops or refuses what it does not know, or means something else by
it. So a kind of server is asked only for what its documentation promises, and the rest is refused here.

Sources: vLLM vllm/entrypoints/openai/completion/protocol.py; SGLang python/sglang/srt/entrypoints/openai/protocol.py;
llama.cpp tools/server/README.md; transformers transformers/cli/serving/completion.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from shared.errors import AdapterUnknown, SchemaUnsupported, UpstreamCannot
from workers.engine.base import JsonSchema, Request

_SEEDS = 2**31  # the fewest that one of them takes


@dataclass(frozen=True, slots=True)
class Dialect:
    """One kind of server."""

    name: str
    top_k: bool = False
    min_p: bool = False
    repetition_penalty: str | None = None  # what it is called
    penalties: bool = False  # for frequency and presence, counted over the answer alone
    stop_ids: bool = False
    json_schema: bool = False
    logprobs: bool = False  # with the ids of the tokens they belong to
    token_ids: bool = False  # it can be asked to send ids beside the text
    generation_config: bool = False  # everything goes into one, and OpenAI's names mean something else


VLLM = Dialect("vllm", True, True, "repetition_penalty", True, True, True, True, True)
SGLANG = Dialect("sglang", True, True, "repetition_penalty", True, True, True, False, True)
LLAMA_CPP = Dialect("llama.cpp", True, True, "repeat_penalty")  # its other penalties count the prompt too
TRANSFORMERS = Dialect("transformers", True, True, "repetition_penalty", stop_ids=True, generation_config=True)
UNKNOWN = Dialect("unknown")

BY_OWNER = {"vllm": VLLM, "sglang": SGLANG, "llamacpp": LLAMA_CPP}  # `owned_by` of its /v1/models


def check(request: Request, dialect: Dialect) -> None:
    """Raises UpstreamCannot, SchemaUnsupported or AdapterUnknown for what this kind of server cannot be asked."""
    if request.adapter is not None:  # adapters are checked against weights, which only the server has
        raise AdapterUnknown(adapter=request.adapter)
    asked = {
        "top_k": request.top_k > 0 and request.temperature > 0 and not dialect.top_k,
        "min_p": request.min_p > 0 and request.temperature > 0 and not dialect.min_p,
        "repetition_penalty": request.repetition_penalty != 1 and not dialect.repetition_penalty,
        "frequency_penalty": request.frequency_penalty != 0 and not dialect.penalties,
        "presence_penalty": request.presence_penalty != 0 and not dialect.penalties,
        "logprobs": request.logprobs is not None and not dialect.logprobs,
    }
    for name, is_asked in asked.items():
        if is_asked:
            raise UpstreamCannot(param=name)
    if request.grammar is not None and not (dialect.json_schema and isinstance(request.grammar, JsonSchema)):
        raise SchemaUnsupported(reason="the server behind this model takes none")


def begins_anew(request: Request) -> bool:
    """Its penalties and its schema count from the beginning of a completion: such an answer is continued by asking for
    all of it again."""
    steered = request.grammar is not None or request.frequency_penalty != 0 or request.presence_penalty != 0
    return steered and bool(request.generated)


def fields_of(request: Request, dialect: Dialect, left: int, stop_ids: frozenset[int]) -> dict[str, Any]:
    """The fields of a completion but model, prompt and stream. `left`: how many tokens it may have."""
    seed = request.seed if begins_anew(request) else request.seed + len(request.generated)
    if dialect.generation_config:
        return {"seed": seed % _SEEDS, "generation_config": json.dumps(_generation_config(request, left, stop_ids))}
    fields: dict[str, Any] = {
        "max_tokens": left,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": seed % _SEEDS,
    }
    if dialect.top_k:
        fields["top_k"] = request.top_k or -1  # said always: a server may have defaults of its own
    if dialect.min_p:
        fields["min_p"] = request.min_p
    if dialect.repetition_penalty:
        fields[dialect.repetition_penalty] = request.repetition_penalty
    if dialect is LLAMA_CPP:
        fields["repeat_last_n"] = -1  # all of it, as everywhere else
    if dialect.penalties:
        fields |= {"frequency_penalty": request.frequency_penalty, "presence_penalty": request.presence_penalty}
    if dialect.stop_ids and stop_ids:
        fields["stop_token_ids"] = sorted(stop_ids)
    if dialect.token_ids:
        fields["return_token_ids"] = True
    if request.logprobs is not None:
        fields |= {"logprobs": request.logprobs, "return_tokens_as_token_ids": True}
    if isinstance(request.grammar, JsonSchema):
        schema = {"name": "answer", "schema": json.loads(request.grammar.schema), "strict": True}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    return fields


def _generation_config(request: Request, left: int, stop_ids: frozenset[int]) -> dict[str, Any]:
    """transformers.GenerationConfig: what is absent has the library's default, not the model's."""
    drawn = {"temperature": request.temperature, "top_p": request.top_p, "top_k": request.top_k}
    if request.min_p:
        drawn["min_p"] = request.min_p
    return {
        "max_new_tokens": left,
        "repetition_penalty": request.repetition_penalty,
        "eos_token_id": sorted(stop_ids) or None,
        **({"do_sample": True, **drawn} if request.temperature else {"do_sample": False}),
    }
