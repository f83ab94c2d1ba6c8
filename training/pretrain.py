"""Pretrain a small Llama from nothing: next-token loss on clean prose and on chat-shaped text.

Not covered: anything that needs more than one process. Runs in pieces; the same command goes on.

How to run:
    python -m training.pretrain training/recipes/reference_pretrain.yaml --minutes 60 --decay-minutes 6
"""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from training import loop
from training.arguments import parse
from training.config import PretrainRecipe, load_recipe
from training.conversations import BOS, END, PAD, ConversationEncoder, token_id
from training.data.corpus import documents, is_held_out
from training.data.decontaminate import Decontaminator, load_prompts
from training.data.rows import Conversation, Document
from training.data.templates import template_conversations
from training.losses import sliced_cross_entropy

CHUNK = 1024  # tokens that stay together when the corpus is shuffled


class Stream:
    """The corpus as one array of ids, cut into chunks, shuffled anew in each epoch by seed."""

    def __init__(self, ids: np.ndarray, recipe: PretrainRecipe) -> None:
        self._chunks = ids[: len(ids) // CHUNK * CHUNK].reshape(-1, CHUNK)
        self._recipe = recipe
        self._per_step = recipe.tokens_per_step // CHUNK
        self._step = 0

    def next(self) -> torch.Tensor:
        """(rows, length) int64; the length of the rows is drawn by the recipe's shares."""
        rows = self._recipe.row_lengths
        rng = random.Random(f"{self._recipe.seed}:{self._step}")
        length = rng.choices([r.tokens for r in rows], [r.share for r in rows])[0]
        wanted = range(self._step * self._per_step, (self._step + 1) * self._per_step)
        picked = np.stack([self._chunks[self._order(i)] for i in wanted])
        self._step += 1
        return torch.from_numpy(picked.astype(np.int64)).reshape(-1, length)

    def _order(self, index: int) -> int:
        epoch, place = divmod(index, len(self._chunks))
        if getattr(self, "_epoch", None) != epoch:
            seed = [self._recipe.seed, epoch]
            self._permutation = np.random.default_rng(seed).permutation(len(self._chunks))
            self._epoch = epoch
        return int(self._permutation[place])

    def cursor(self) -> dict[str, Any]:
        return {"step": self._step}

    def seek(self, cursor: dict[str, Any]) -> None:
        self._step = cursor["step"]


def corpus_ids(recipe: PretrainRecipe, encoder: ConversationEncoder, data_dir: Path, prompts: list[str]) -> np.ndarray:
    """Every text of the recipe as often as its weight says, shuffled, as uint16 ids."""
    rng = random.Random(recipe.seed)
    decontaminator = Decontaminator(prompts)
    texts: list[Document | Conversation] = []
    for name, weight in recipe.sources.items():
        for text in documents(name, data_dir):
            if is_held_out(text.text):
                continue
            if isinstance(text, Conversation) and not decontaminator.is_clean(text):
                continue
            texts += [text] * (int(weight) + (rng.random() < weight % 1))
    for repeat in range(int(recipe.templates_weight)):
        rows = template_conversations(seed=recipe.seed + repeat)
        texts += [row for row in rows if decontaminator.is_clean(row)]
    rng.shuffle(texts)
    ids: list[int] = []
    for text in texts:
        if isinstance(text, Conversation):
            ids += encoder.encode(list(text.turns)).ids
        else:
            ids += encoder.document(text.text)
    return np.array(ids, dtype=np.uint16)


def load_or_build_corpus(recipe: PretrainRecipe, encoder: ConversationEncoder, data_dir: Path) -> np.ndarray:
    """The ids of a run are written once, so that every piece of the run reads the same."""
    path = recipe.run_dir / "corpus.npy"
    if not path.exists():
        ids = corpus_ids(recipe, encoder, data_dir, load_prompts())
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, ids)
        facts = {"tokens": len(ids), "sha256": hashlib.sha256(ids.tobytes()).hexdigest()}
        path.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")
    saved: np.ndarray = np.load(path)
    return saved


def main() -> None:
    arguments = parse(__doc__)
    recipe = load_recipe(arguments.recipe, PretrainRecipe)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(recipe.seed)

    tokenizer = PreTrainedTokenizerFast.from_pretrained(recipe.tokenizer_dir)
    encoder = ConversationEncoder(tokenizer)
    ids = load_or_build_corpus(recipe, encoder, arguments.data_dir)
    print(f"corpus: {len(ids):,} tokens", flush=True)

    special = [token_id(tokenizer, t) for t in (PAD, BOS, END)]
    model = loop.build_model(recipe.model, *special)
    print(f"model: {sum(p.numel() for p in model.parameters()):,} parameters", flush=True)

    def loss_of(batch: torch.Tensor) -> tuple[torch.Tensor, int]:
        with torch.autocast("cpu", torch.bfloat16):
            hidden = model.model(input_ids=batch, use_cache=False).last_hidden_state
        hidden = hidden[:, :-1].reshape(-1, hidden.shape[-1]).to(torch.bfloat16)
        targets = batch[:, 1:].reshape(-1)
        return sliced_cross_entropy(hidden, model.lm_head.weight, targets), batch.numel()

    loop.train(
        arguments,
        run_dir=recipe.run_dir,
        model=model,
        recipe=recipe.optimizer,
        batches=Stream(ids, recipe),
        loss_of=loss_of,
        checkpoint_minutes=recipe.checkpoint_minutes,
    )


if __name__ == "__main__":
    main()
