"""Read a model: bits per byte on held-out text, and its unselected answers to the fixed prompts.

Answers are written to training/prompts/answers/NAME.json with the nearest training question beside each.
Whether an answer is good is for a person to say: a verdict in training/prompts/verdicts.yaml counts only for
the very words it was given for, so a new model starts unread.

How to run:
    python -m training.evaluate training/recipes/reference_sft.yaml            # the last checkpoint
    python -m training.evaluate training/recipes/reference_sft.yaml --published
    python -m training.evaluate chunking                       # not a model: see training/chunking.py
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerFast

from shared.settings import load_settings
from training import chunking, loop
from training.config import PretrainRecipe, Sampling, SftRecipe, load_recipe
from training.conversations import BOS, END, PAD, ConversationEncoder, token_id
from training.data.corpus import documents, is_held_out
from training.data.decontaminate import (
    PROMPT_DIR,
    Decontaminator,
    dice,
    load_prompts,
    prompt_files,
    prompts_of,
)
from training.data.mixture import epoch_rows, load_chats
from training.data.rows import Document
from training.export import round_weights
from training.generate import answer
from vision.decoder import has_eyes, open_language_model

CHUNKING = "chunking"  # said in place of a recipe
EPOCHS_SEARCHED = 3  # epochs whose rows are searched for the nearest question
CONTEXT = 1024  # tokens of a held-out document that are read at once
TEXT, SEEING = "fine-tuned", "with eyes"  # the model before pictures, and after
BITS, PASSED = "bits_per_byte", "passed"  # of evaluation.json
FAIL_ABOVE = 0.6  # an answer whose nearest training question is closer than this does not count


@dataclass
class Measured:
    """How many nats the tokens of some texts cost, and how many bytes of UTF-8 they are."""

    nats: float = 0.0
    size_bytes: int = 0

    @property
    def bits_per_byte(self) -> float:
        return self.nats / math.log(2) / max(1, self.size_bytes)

    def __add__(self, other: Measured) -> Measured:
        return Measured(self.nats + other.nats, self.size_bytes + other.size_bytes)


@torch.inference_mode()
def measure(model: PreTrainedModel, encoder: ConversationEncoder, texts: list[str]) -> Measured:
    """Read every text once, its first CONTEXT tokens."""
    found = Measured()
    for text in texts:
        ids = encoder.document(text)[:CONTEXT]
        read = encoder.decode(ids[1:]) if len(ids) == CONTEXT else text
        logits = model(input_ids=torch.tensor([ids[:-1]])).logits[0].float()
        nats = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="sum")
        found += Measured(float(nats), len(read.encode()))
    return found


def bits_per_byte(
    model: PreTrainedModel, encoder: ConversationEncoder, texts: dict[str, list[str]]
) -> dict[str, float]:
    """Of each source, and of all together."""
    parts = {name: measure(model, encoder, some) for name, some in texts.items()}
    parts["all"] = sum(parts.values(), Measured())
    return {name: round(part.bits_per_byte, 3) for name, part in parts.items()}


def held_out_texts(recipe: PretrainRecipe, data_dir: Path) -> dict[str, list[str]]:
    """Held-out prose of each source of the pretraining recipe."""
    found: dict[str, list[str]] = {}
    for name in recipe.sources:
        texts = [d.text for d in documents(name, data_dir) if isinstance(d, Document)]
        if kept := [text for text in texts if is_held_out(text)]:
            found[name] = kept
    return found


def nearest_questions(prompts: list[str], recipe: SftRecipe, data_dir: Path) -> dict[str, tuple[str, float]]:
    """For each prompt the training question with the highest Dice, over all that any weights could have let in."""
    everything = {"sources": dict.fromkeys(recipe.sources, 1.0), "label_weights": {}, "template_weights": {}}
    recipe = recipe.model_copy(update=everything)
    chats = load_chats(recipe, data_dir)
    decontaminator = Decontaminator(load_prompts())
    questions: Counter[str] = Counter()
    for epoch in range(EPOCHS_SEARCHED):
        for row in epoch_rows(recipe, epoch, chats, decontaminator):
            questions.update(text for role, text in row.turns if role == "user")
    best = dict.fromkeys(prompts, ("", 0.0))
    for question in questions:
        for prompt in prompts:
            score = dice(prompt, question)
            if score > best[prompt][1]:
                best[prompt] = (question, score)
    return best


def load_verdicts(path: Path = PROMPT_DIR / "verdicts.yaml") -> dict[tuple[str, str], dict[str, Any]]:
    """Verdicts of a person, by prompt and exact answer."""
    if not path.exists():
        return {}
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))["verdicts"]
    return {(row["prompt"], row["answer"]): row for row in rows}


def verdict_of(row: dict[str, Any], verdicts: dict[tuple[str, str], dict[str, Any]]) -> tuple[str, str]:
    """("pass" | "fail" | "unread", reason) of one answer."""
    if row["nearest_dice"] > FAIL_ABOVE:
        return "fail", "a training question is too close"
    if not row["ended"]:
        return "fail", "did not end by itself"
    found = verdicts.get((row["prompt"], row["answer"]))
    if found is None:
        return "unread", ""
    return ("pass" if found["pass"] else "fail"), found.get("reason", "")


def load_model(recipe: SftRecipe, base: PretrainRecipe, published: bool) -> tuple[Any, Any, str]:
    """The published model, or the last checkpoint of the run (in bfloat16, as it would be published). Returns: model,
    tokenizer, and what it is called in the tables."""
    if published:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(recipe.publish_dir)
        name = SEEING if has_eyes(AutoConfig.from_pretrained(recipe.publish_dir)) else TEXT
        return open_language_model(recipe.publish_dir), tokenizer, name
    tokenizer = PreTrainedTokenizerFast.from_pretrained(recipe.tokenizer_dir)
    special = [token_id(tokenizer, t) for t in (PAD, BOS, END)]
    model = loop.build_model(base.model, *special)
    loop.load_checkpoint(recipe.run_dir / "checkpoint.pt", model)
    round_weights(model, torch.bfloat16)
    return model.float(), tokenizer, TEXT  # type: ignore[no-untyped-call]  # transformers


def answers_of(
    prompt_file: Path, model: Any, tokenizer: Any, sampling: Sampling, nearest: dict[str, tuple[str, float]]
) -> list[dict[str, Any]]:
    """The model's answer to every prompt of a file, with the nearest training question and what a person said of it."""
    rows, verdicts = [], load_verdicts()
    for prompt in prompts_of(prompt_file):
        said = answer(model, tokenizer, prompt, sampling)
        question, score = nearest.get(prompt, ("", 0.0))
        row: dict[str, Any] = {
            "prompt": prompt,
            "answer": said.text,
            "tokens": said.tokens,
            "ended": said.ended,
            "nearest": question,
            "nearest_dice": round(score, 3),
        }
        row["verdict"], row["reason"] = verdict_of(row, verdicts)
        rows.append(row)
        print(f"{row['verdict']:6} {row['nearest_dice']:.2f} {prompt} -> {said.text}", flush=True)
    print(f"{prompt_file.stem}: {Counter(row['verdict'] for row in rows)}")
    return rows


def renew(path: Path, kind: str, name: str, value: Any) -> dict[str, Any]:
    """Put a measure of the model called `name` beside those of the models before it. Mutates the file at `path`, and
    returns all that is in it."""
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    facts.setdefault(kind, {})[name] = value
    path.write_text(json.dumps(facts, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return facts


def main() -> None:
    if sys.argv[1:2] == [CHUNKING]:
        chunking.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data-dir", type=Path, default=None)
    parser.add_argument("--published", action="store_true", help="read the published model")
    parser.add_argument("--answers-only", action="store_true", help="print answers, write nothing")
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.recipe, SftRecipe)
    base = load_recipe(recipe.base_recipe, PretrainRecipe)
    data_dir = arguments.data_dir or load_settings().data_dir
    torch.set_num_threads(1)
    model, tokenizer, name = load_model(recipe, base, arguments.published)
    model.eval()

    nearest = {} if arguments.answers_only else nearest_questions(load_prompts(), recipe, data_dir)
    for prompt_file in prompt_files():
        rows = answers_of(prompt_file, model, tokenizer, recipe.sampling, nearest)
        if not arguments.answers_only:
            path = PROMPT_DIR / "answers" / f"{prompt_file.stem}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    if arguments.answers_only:
        return

    encoder = ConversationEncoder(tokenizer)
    held_out = held_out_texts(base, data_dir)
    path = recipe.publish_dir.parent / "evaluation.json"
    facts = renew(path, BITS, name, bits_per_byte(model, encoder, held_out))
    pretrained = base.run_dir / "checkpoint.pt"
    if name == TEXT and pretrained.exists():
        loop.load_checkpoint(pretrained, model)
        facts = renew(path, BITS, "pretrained", bits_per_byte(model, encoder, held_out))
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
