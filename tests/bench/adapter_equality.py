"""What is trained is what is served: greedy answers of our engine beside those of PEFT on the same weights.

Random adapters, large enough to change every answer. QLoRA and LoftQ (4 bits, one turn) differ in how they begin, not
in what is served: both are adapters of the model as nf4 keeps it.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from shared.settings import WorkerSettings
from tests.bench.adapter_training import save, version
from tests.bench.engine_models import random_prompts
from vision.quantised import fit_to_cpu
from workers.engine.base import Request
from workers.engine.engine_messages import Order
from workers.engine.process_engine import ProcessEngine

_TARGETS = ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"]
_PROMPT = 48
_CLOSE = 1e-3  # two likeliest tokens whose logits differ by less may change places with the order of a sum
_METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "lora": ("none", {}),
    "dora": ("none", {"use_dora": True}),
    "qlora": ("nf4", {}),
    "loftq": ("nf4", {}),
}


async def compare(directory: Path, model: Path, *, prompts: int, tokens: int, seed: int) -> dict[str, Any]:
    """For each method whether all answers are equal, token for token, and how many are. A difference where the offline
    logits are as good as equal is told, and counts as equal."""
    told: dict[str, Any] = {}
    chance = random.Random(f"{seed} equality")
    asked = random_prompts(prompts, _PROMPT, chance)
    for numerics in ("none", "nf4"):
        async with _engine(model, numerics) as engine:
            for method, (kept, options) in _METHODS.items():
                if kept != numerics:
                    continue
                made = _random_adapter(directory / f"{method}-peft", model, numerics, seed + len(told), **options)
                served = version(directory / f"{method}-served", made, engine.model_digest, 0, numerics)
                await engine.load_adapter(method, served)
                offline = _Offline(model, numerics, made)
                found = [await _one(engine, method, prompt, tokens) for prompt in asked]
                told[method] = _verdict(offline, asked, found, tokens)
    return {
        "served_equals_offline": {name: each["equal"] for name, each in told.items()} | {"projector": None},
        "why_null": {"projector": "not served yet: only the decoder's linear layers are adapted"},
        "equality": told,
    }


class _Offline:
    """PEFT's own model."""

    def __init__(self, model: Path, numerics: str, adapter: Path) -> None:
        self._model: Any = PeftModel.from_pretrained(_base(model, numerics), adapter)
        self._model.train(False)

    @torch.inference_mode()
    def answer(self, prompt: list[int], tokens: int) -> list[int]:
        output = self._model.generate(
            input_ids=torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            repetition_penalty=1.0,
            pad_token_id=0,
        )
        return [int(token) for token in output[0, len(prompt) :]]

    @torch.inference_mode()
    def margin(self, tokens: list[int]) -> float:
        """Between the two likeliest next tokens."""
        logits = self._model(input_ids=torch.tensor([tokens])).logits[0, -1].float()
        first, second = logits.topk(2).values
        return float(first - second)


def _verdict(offline: _Offline, asked: list[list[int]], found: list[list[int]], tokens: int) -> dict[str, Any]:
    same = close = 0
    for prompt, answer in zip(asked, found, strict=True):
        expected = offline.answer(prompt, tokens)
        if answer == expected:
            same += 1
            continue
        place = next(at for at, pair in enumerate(zip(answer, expected, strict=False)) if pair[0] != pair[1])
        close += offline.margin([*prompt, *expected[:place]]) < _CLOSE
    return {"equal": same + close == len(asked), "answers": len(asked), "same": same, "close_calls": close}


def _base(model: Path, numerics: str) -> Any:
    if numerics == "none":
        return AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    quantised = BitsAndBytesConfig(  # type: ignore[no-untyped-call]  # transformers
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32
    )
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, quantization_config=quantised)
    fit_to_cpu(base)
    return base


def _random_adapter(directory: Path, model: Path, numerics: str, seed: int, **options: Any) -> Path:
    torch.manual_seed(seed)
    config = LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules=_TARGETS, **options)
    adapted: Any = get_peft_model(_base(model, numerics), config)
    with torch.no_grad():
        for name, weights in adapted.named_parameters():
            if "lora_B" in name:
                weights.normal_(std=0.05)
    save(adapted, directory)
    return directory


@asynccontextmanager
async def _engine(model: Path, numerics: str) -> AsyncIterator[ProcessEngine]:
    settings = WorkerSettings(slots=1, dtype="float32" if numerics == "none" else "nf4", device="cpu")
    engine = ProcessEngine.start(Order(str(model), settings, "text", "warning"))
    try:
        yield engine
    finally:
        await engine.close()


async def _one(engine: ProcessEngine, adapter: str, prompt: list[int], tokens: int) -> list[int]:
    request = Request("one", tuple(prompt), (), 0, 0.0, 1.0, 0, tokens, adapter=adapter)
    answer: list[int] = []
    async with aclosing(engine.submit(request)) as events:
        async for event in events:
            if event.error is not None:
                raise event.error
            if event.token_id is not None:
                answer.append(event.token_id)
    return answer
