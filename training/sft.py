"""Fine-tune the pretrained model to chat: loss on the assistant's tokens only, padded batches of like length.

Padding stands on the right, where causal attention never looks back at it, so no mask is needed. Not
covered: adapters (this trains all weights of a small model). Runs in pieces; the same command goes on.

How to run:
    python -m training.sft training/recipes/reference_sft.yaml --minutes 180 --decay-minutes 45
    python -m training.sft training/recipes/reference_sft.yaml --show     # one batch in two colours
"""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from training import loop
from training.arguments import parse
from training.batches import EpochBatches, bucket
from training.config import PretrainRecipe, SftRecipe, load_recipe
from training.conversations import BOS, END, PAD, ConversationEncoder, Encoded, coloured, token_id
from training.data.decontaminate import Decontaminator, load_prompts
from training.data.mixture import epoch_rows, load_chats
from training.data.rows import Conversation
from training.data.templates import EXACT
from training.losses import learned_loss


class SftBatches(EpochBatches[list[Encoded]]):
    """Every conversation of the recipe as often as its weight says."""

    def __init__(
        self,
        recipe: SftRecipe,
        encoder: ConversationEncoder,
        chats: dict[str, list[Conversation]],
        decontaminator: Decontaminator,
    ) -> None:
        super().__init__()
        self._recipe, self._encoder = recipe, encoder
        self._chats, self._decontaminator = chats, decontaminator

    def _make(self, epoch: int) -> list[list[Encoded]]:
        rows = epoch_rows(self._recipe, epoch, self._chats, self._decontaminator)
        _log_epoch(self._recipe.run_dir, epoch, rows)
        rng = random.Random(f"{self._recipe.seed}:{epoch}:cuts")
        encoded = [self._encoder.encode(list(row.turns), None if row.label == EXACT else rng) for row in rows]
        opening, weight = self._recipe.opening_tokens, self._recipe.opening_weight
        encoded = [stress_opening(e, opening, weight) for e in encoded]
        encoded = [e for e in encoded if len(e.ids) <= self._recipe.max_tokens]
        batches = bucket(encoded, self._recipe.tokens_per_batch)
        random.Random(f"{self._recipe.seed}:{epoch}:batches").shuffle(batches)
        print(f"epoch {epoch}: {len(encoded)} rows in {len(batches)} batches", flush=True)
        return batches


def _log_epoch(run_dir: Path, epoch: int, rows: list[Conversation]) -> None:
    """Say in epochs.jsonl what was really read; the manifest of the model repeats it."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(row.text.encode())
    fact = {"epoch": epoch, "rows": len(rows), "sha256": digest.hexdigest()}
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / "epochs.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(fact) + "\n")


def stress_opening(row: Encoded, tokens: int, weight: int) -> Encoded:
    """Count the first tokens of every answer several times.

    The opening decides what an answer is about; the rest follows almost by itself and would drown it."""
    mask, run = [], 0
    for counts in row.mask:
        run = run + 1 if counts else 0
        mask.append(weight if 0 < run <= tokens else counts)
    return Encoded(row.ids, mask)


def collate(batch: list[Encoded], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded ids (B, T) int64 and how often the loss counts at each token (B, T) int64."""
    length = max(len(row.ids) for row in batch)
    ids = torch.full((len(batch), length), pad_id, dtype=torch.int64)
    counts = torch.zeros((len(batch), length), dtype=torch.int64)
    for number, row in enumerate(batch):
        ids[number, : len(row.ids)] = torch.tensor(row.ids)
        counts[number, : len(row.ids)] = torch.tensor(row.mask)
    return ids, counts


def main() -> None:
    arguments = parse(__doc__, can_show=True)
    recipe = load_recipe(arguments.recipe, SftRecipe)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(recipe.seed)

    tokenizer = PreTrainedTokenizerFast.from_pretrained(recipe.tokenizer_dir)
    encoder = ConversationEncoder(tokenizer)
    chats = load_chats(recipe, arguments.data_dir)
    batches = SftBatches(recipe, encoder, chats, Decontaminator(load_prompts()))
    if arguments.show:
        for row in batches.next()[:8]:
            print(coloured(row, tokenizer))
        return

    base = load_recipe(recipe.base_recipe, PretrainRecipe)
    special = [token_id(tokenizer, t) for t in (PAD, BOS, END)]
    model = loop.build_model(base.model, *special)
    loop.load_checkpoint(base.run_dir / "checkpoint.pt", model)

    def loss_of(batch: list[Encoded]) -> tuple[torch.Tensor, int]:
        ids, counts = collate(batch, encoder.pad_id)
        with torch.autocast("cpu", torch.bfloat16):
            hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
        return learned_loss(hidden, model.lm_head.weight, ids, counts), sum(len(row.ids) for row in batch)

    loop.train(
        arguments,
        run_dir=recipe.run_dir,
        model=model,
        recipe=recipe.optimizer,
        batches=batches,
        loss_of=loss_of,
        checkpoint_minutes=recipe.checkpoint_minutes,
    )


if __name__ == "__main__":
    main()
