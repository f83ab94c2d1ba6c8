"""GPTQ (Frantar et al., 2022): four bits a weight, chosen so that each layer still answers its calibration rows.

    build/gptq/bin/python -m training.gptq.quantise --base workers/reference/model --rows chats.jsonl --out build/four

Runs in the environment that README.md makes, never in ours: llm-compressor pins an older transformers. It writes a
`compressed-tensors` folder, which vLLM serves, and `nunmal-gptq.json` with where it came from and what it cost.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from datasets import Dataset
from llmcompressor import __version__ as compressor_version
from llmcompressor import oneshot
from llmcompressor.modifiers.gptq import GPTQModifier
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

from shared.chat import Message, Role
from shared.prompting import prompt_ids, told_ids

BITS = 4
GROUPS = (128, 64, 32, 16)  # weights that share a scale; the largest that divides every layer's inputs
MANIFEST = "nunmal-gptq.json"


class Row(NamedTuple):
    """`answer`: where the last answer begins in `ids`."""

    ids: list[int]
    answer: int


def rows_of(file: Path, most: int, tokenizer: Any, most_tokens: int) -> list[Row]:
    """The first `most` rows (`messages`, an answer last) of at most `most_tokens`, as they are served."""
    found: list[Row] = []
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if len(found) == most:
                break
            messages = [Message(Role(each["role"]), each["content"]) for each in json.loads(line)["messages"]]
            row = Row(told_ids(messages, tokenizer), len(prompt_ids(messages[:-1], tokenizer)))
            if len(row.ids) <= most_tokens:
                found.append(row)
    return found


def group_size(model: Any) -> int:
    """Raises SystemExit: no group divides the inputs of every layer."""
    inputs = {part.in_features for name, part in model.named_modules() if _is_quantised(name, part)}
    for size in GROUPS:
        if all(width % size == 0 for width in inputs):
            return size
    raise SystemExit(f"no group of {GROUPS} divides layers with {sorted(inputs)} inputs")


def _is_quantised(name: str, part: Any) -> bool:
    return isinstance(part, torch.nn.Linear) and not name.endswith("lm_head")


@torch.inference_mode()
def loss(model: Any, rows: Sequence[Row]) -> float:
    """Nats a token of the answers."""
    total, count = 0.0, 0
    for row in rows:
        ids = torch.tensor([row.ids], device=model.device)
        told = torch.log_softmax(model(ids).logits[0, row.answer - 1 : -1].float(), dim=-1)
        total -= float(told.gather(1, ids[0, row.answer :, None]).sum())
        count += len(row.ids) - row.answer
    return total / count


def quantise(base: Path, rows: Path, out: Path, *, calibration: int, held_out: int, most_tokens: int) -> dict[str, Any]:
    """Returns what the manifest says."""
    set_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    told = rows_of(rows, calibration + held_out, tokenizer, most_tokens)
    if len(told) <= held_out:
        raise SystemExit(f"{rows} has {len(told)} rows; more than {held_out} are needed")
    size, before = group_size(model), loss(model, told[:held_out])
    weights = QuantizationArgs(num_bits=BITS, group_size=size, strategy="group", symmetric=True)
    scheme = QuantizationScheme(targets=["Linear"], weights=weights)
    learnt = [row.ids for row in told[held_out:]]
    oneshot(
        model=model,
        tokenizer=tokenizer,
        dataset=Dataset.from_dict({"input_ids": learnt, "attention_mask": [[1] * len(row) for row in learnt]}),
        recipe=GPTQModifier(config_groups={"all": scheme}, ignore=["lm_head"]),
        max_seq_length=most_tokens,
        num_calibration_samples=len(learnt),
    )
    after = loss(model, told[:held_out])
    model.save_pretrained(out, save_compressed=True)
    tokenizer.save_pretrained(out)
    facts = {
        "base": base.name,
        "base_sha256": _sha256(base / "model.safetensors"),
        "rows_sha256": _sha256(rows),
        "calibration_rows": len(learnt),
        "held_out_rows": held_out,
        "bits": BITS,
        "group_size": size,
        "loss_before": round(before, 4),
        "loss_after": round(after, 4),
        "bytes_before": _weight_bytes(base),
        "bytes_after": _weight_bytes(out),
        "llmcompressor": compressor_version,
        "seed": 0,
    }
    (out / MANIFEST).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return facts


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _weight_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, help="a folder with a model's files")
    parser.add_argument("--rows", type=Path, required=True, help="JSON Lines of `messages`")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--calibration", type=int, default=128, help="rows that the weights are chosen by")
    parser.add_argument("--held-out", type=int, default=64, help="the first rows, of which the loss is told")
    parser.add_argument("--most-tokens", type=int, default=512, help="of a row")
    found = parser.parse_args(arguments)
    facts = quantise(
        *(found.base, found.rows, found.out),
        calibration=found.calibration,
        held_out=found.held_out,
        most_tokens=found.most_tokens,
    )
    print(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()
