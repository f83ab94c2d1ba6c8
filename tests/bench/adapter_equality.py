"""What is trained is what is served: greedy answers of our engine beside those of PEFT on the same weights.

Random adapters, large enough to change every answer. QLoRA and LoftQ (4 bits, one turn) differ in how they begin, not
in what is served: both are adapters of the model as nf4 keeps it. That of a projector is asked about pictures of noise.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, BitsAndBytesConfig

from shared.settings import WorkerSettings
from tests.bench.adapter_training import save, version
from tests.bench.engine_models import noise, random_prompts, seeing_model, shown
from vision.decoder import model_kind
from vision.quantised import fit_to_cpu
from workers.engine.base import Picture, Request
from workers.engine.engine_messages import Order
from workers.engine.numerics import choose_numerics
from workers.engine.process_engine import ProcessEngine

_TARGETS = ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"]
_PROMPT = 48
_CLOSE = 1e-3  # two likeliest tokens whose logits differ by less may change places with the order of a sum
_METHODS: dict[str, dict[str, Any]] = {
    "lora": {},
    "dora": {"use_dora": True},
    "qlora": {},
    "loftq": {},
    "projector": {"target_modules": ["linear_1", "linear_2"]},
}


@dataclass(frozen=True, slots=True)
class _Asked:
    prompt: list[int]
    picture: Picture | None = None

    @property
    def shown(self) -> dict[str, torch.Tensor]:
        """The picture, as a model of transformers takes it."""
        return {} if self.picture is None else {"pixel_values": torch.from_numpy(self.picture.pixels)[None]}


async def compare(directory: Path, model: Path, *, prompts: int, tokens: int, seed: int) -> dict[str, Any]:
    """For each method whether all answers are equal, token for token, and how many are. A difference where the offline
    model itself could have said either is told, and counts as equal."""
    told: dict[str, Any] = {}
    chance = random.Random(f"{seed} equality")
    words = [_Asked(prompt) for prompt in random_prompts(prompts, _PROMPT, chance)]
    seeing = seeing_model(directory / "seeing", model, seed)
    looks = [_Asked(shown(each.prompt, seeing), noise(seed + number)) for number, each in enumerate(words)]
    runs = (
        (model, "none", words, ("lora", "dora")),
        (model, "nf4", words, ("qlora", "loftq")),
        (seeing, "none", looks, ("projector",)),
    )
    for model, numerics, asked, methods in runs:
        async with _engine(model, numerics) as engine:
            for method in methods:
                options = _METHODS[method]
                made = _random_adapter(directory / f"{method}-peft", model, numerics, seed + len(told), **options)
                served = version(directory / f"{method}-served", made, engine.model_digest, 0, numerics)
                await engine.load_adapter(method, served)
                offline = _Offline(model, numerics, made)
                found = [await _one(engine, method, each, tokens) for each in asked]
                told[method] = _verdict(offline, asked, found, tokens)
    return {
        "served_equals_offline": {name: each["equal"] for name, each in told.items()},
        "equality": told,
    }


class _Offline:
    """PEFT's own model, its adapter in the model's dtype as it is served; by itself PEFT would keep it in float32."""

    def __init__(self, model: Path, numerics: str, adapter: Path) -> None:
        self._model: Any = PeftModel.from_pretrained(_base(model, numerics), adapter, autocast_adapter_dtype=False)
        self._model.train(False)

    @torch.inference_mode()
    def answer(self, asked: _Asked, tokens: int) -> list[int]:
        output = self._model.generate(
            input_ids=torch.tensor([asked.prompt]),
            attention_mask=torch.ones(1, len(asked.prompt), dtype=torch.long),
            **asked.shown,
            do_sample=False,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            repetition_penalty=1.0,
            pad_token_id=0,
        )
        return [int(token) for token in output[0, len(asked.prompt) :]]

    @torch.inference_mode()
    def is_close(self, asked: _Asked, written: list[int]) -> bool:
        """Whether the two likeliest next tokens are nearer than what its logits differ by from reading all at once to
        reading what was written token by token: 1e-5 in float32, and up to 0.06 in nf4 on a CPU, where bitsandbytes
        computes single rows otherwise."""
        whole = self._model(input_ids=torch.tensor([[*asked.prompt, *written]]), **asked.shown).logits[0, -1].float()
        output = self._model(input_ids=torch.tensor([asked.prompt]), use_cache=True, **asked.shown)
        for token in written:
            output = self._model(
                input_ids=torch.tensor([[token]]), past_key_values=output.past_key_values, use_cache=True
            )
        own = float((whole - output.logits[0, -1].float()).abs().max())
        first, second = whole.topk(2).values
        return float(first - second) < max(_CLOSE, 2 * own)  # either of the two may be off by that


def _verdict(offline: _Offline, asked: list[_Asked], found: list[list[int]], tokens: int) -> dict[str, Any]:
    same = close = 0
    for each, answer in zip(asked, found, strict=True):
        expected = offline.answer(each, tokens)
        if answer == expected:
            same += 1
            continue
        place = next(at for at, pair in enumerate(zip(answer, expected, strict=False)) if pair[0] != pair[1])
        close += offline.is_close(each, expected[:place])
    return {"equal": same + close == len(asked), "answers": len(asked), "same": same, "close_calls": close}


def _base(model: Path, numerics: str) -> Any:
    kind = model_kind(AutoConfig.from_pretrained(model))
    if numerics == "none":
        return kind.from_pretrained(model, dtype=torch.float32)
    dtype = choose_numerics("cpu", numerics).dtype  # bfloat16 where the CPU computes in it
    quantised = BitsAndBytesConfig(  # type: ignore[no-untyped-call]  # transformers
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
    )
    base = kind.from_pretrained(model, dtype=dtype, quantization_config=quantised)
    fit_to_cpu(base)
    return base


def _random_adapter(directory: Path, model: Path, numerics: str, seed: int, **options: Any) -> Path:
    torch.manual_seed(seed)
    config = LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, **({"target_modules": _TARGETS} | options))
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


async def _one(engine: ProcessEngine, adapter: str, asked: _Asked, tokens: int) -> list[int]:
    pictures = () if asked.picture is None else (asked.picture,)
    request = Request("one", tuple(asked.prompt), (), 0, 0.0, 1.0, 0, tokens, adapter=adapter, pictures=pictures)
    answer: list[int] = []
    async with aclosing(engine.submit(request)) as events:
        async for event in events:
            if event.error is not None:
                raise event.error
            if event.token_id is not None:
                answer.append(event.token_id)
    return answer
