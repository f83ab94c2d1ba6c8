"""Train the tokenizer: byte-level BPE, so that any text goes in and comes out unchanged.

Digits stand alone, because a small model cannot learn to add with `12` as one sign. There is no
normaliser (NFC happens at the door of the house) and no unknown token (bytes cover everything).

How to run:
    python -m training.tokenizer training/recipes/reference_tokenizer.yaml --data-dir DIR
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from training.arguments import parse
from training.config import TokenizerRecipe, load_recipe
from training.conversations import BOS, CHAT_TEMPLATE, END, PAD, SPECIAL_TOKENS
from training.data.corpus import documents
from training.data.templates import template_conversations


def train_tokenizer(texts: Iterator[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Learn merges from texts and wrap them as a Hugging Face tokenizer with our chat template."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers
        tokenizer_object=core,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=END,
        additional_special_tokens=[t for t in SPECIAL_TOKENS if t not in (PAD, BOS, END)],
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def training_texts(recipe: TokenizerRecipe, data_dir: Path) -> Iterator[str]:
    """Every text of the recipe, as often as its weight says (fractions by chance, by seed)."""
    rng = random.Random(recipe.seed)
    for name, weight in recipe.sources.items():
        for document in documents(name, data_dir):
            for _ in range(int(weight) + (rng.random() < weight % 1)):
                yield document.text
    for row in template_conversations(seed=recipe.seed):
        for _ in range(int(recipe.templates_weight)):
            yield "\n".join(content for _, content in row.turns)


def main() -> None:
    arguments = parse(__doc__)
    recipe = load_recipe(arguments.recipe, TokenizerRecipe)
    tokenizer = train_tokenizer(training_texts(recipe, arguments.data_dir), recipe.vocab_size)
    tokenizer.save_pretrained(recipe.output_dir)
    print(f"{len(tokenizer)} tokens -> {recipe.output_dir}")


if __name__ == "__main__":
    main()
