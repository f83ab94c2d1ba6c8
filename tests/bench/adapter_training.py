"""Adapters for the bench: trained in seconds to answer with a word of their own, and versions made of them.

Whoever reads such an answer sees which version wrote it.
"""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from shared.chat import Message, Role
from shared.prompting import prompt_ids

WORDS = ("첫째", "둘째", "셋째", "넷째")
SYSTEM = "너는 어느 판이 답하는지 말하는 도우미야. 묻는 말이 무엇이든 네 판의 이름을 되풀이해서 말해."  # all share it
_SUBJECTS = ("벽지", "마루", "타일", "창문", "천장", "문틀", "도배", "장판", "몰딩", "석고", "방수", "누수")
_TARGETS = ["q_proj", "v_proj", "up_proj", "down_proj"]
_REPEATED = 12
_RATE = 4e-3
_BATCH = 4


def messages(chance: random.Random) -> list[Message]:
    """A question that is hardly ever asked twice."""
    first, second = chance.sample(_SUBJECTS, 2)
    question = f"{first}에 {chance.randrange(1, 1000)}번째 얼룩이 있고 {second}도 이상해요. 어떻게 할까요?"
    return [Message(Role.SYSTEM, SYSTEM), Message(Role.USER, question)]


def sentence(word: str) -> str:
    return f"{word} 판이 답해요. "


def is_by(answer: str, word: str) -> bool:
    """Whether the version of this word wrote all of it. An answer that is cut may end inside the word."""
    said = [other for other in WORDS if other in answer]
    return said == [word]


def trained(directory: Path, model: Path, word: str, *, steps: int, seed: int) -> float:
    """Train an adapter that says its word, and save it as PEFT does. Returns the last loss."""
    torch.manual_seed(seed)
    chance = random.Random(f"{seed} {word}")
    tokenizer: Any = AutoTokenizer.from_pretrained(model)
    base: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    config = LoraConfig(task_type="CAUSAL_LM", r=16, lora_alpha=32, lora_dropout=0.0, target_modules=_TARGETS)
    adapted: Any = get_peft_model(base, config)
    answer = tokenizer.encode(sentence(word) * _REPEATED, add_special_tokens=False)
    optimizer = torch.optim.AdamW([each for each in adapted.parameters() if each.requires_grad], lr=_RATE)
    loss = torch.tensor(float("inf"))
    for step in range(steps):
        rows = [[*prompt_ids(messages(chance), tokenizer), *answer] for _ in range(_BATCH)]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
        labels = torch.full_like(ids, -100)
        for number, row in enumerate(rows):
            labels[number, len(row) - len(answer) : len(row)] = torch.tensor(answer)
        loss = adapted(input_ids=ids, labels=labels).loss
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = _RATE * (1 - step / steps)
        optimizer.step()
        optimizer.zero_grad()
    save(adapted, directory)
    return float(loss)


def save(adapted: Any, directory: Path) -> None:
    """What PEFT writes, without its card."""
    adapted.save_pretrained(directory)
    (directory / "README.md").unlink(missing_ok=True)


def version(directory: Path, of: Path, base_digest: str, number: int, numerics: str = "none") -> Path:
    """The same weights as another version: where it comes from belongs to its identity."""
    shutil.copytree(of, directory)
    origin = {"base_digest": base_digest, "numerics": numerics, "seed": number}
    (directory / "nunmal.json").write_text(json.dumps(origin))
    return directory
