"""Keep the test prompts out of the training data, and near copies of them too.

Two texts are compared by the trigrams of their characters (NFC, without spaces and punctuation): Dice of the
two sets, 1.0 for the same words and 0.0 for nothing in common. A conversation goes if any of its user
turns is closer than DROP_ABOVE to any prompt. It does not look at meaning: a paraphrase in other
words stays, as it should.

How to run: `Decontaminator(load_prompts()).is_clean(conversation)`.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from functools import lru_cache
from pathlib import Path

import yaml

from training.data.rows import Conversation

PROMPT_DIR = Path(__file__).parent.parent / "prompts"
DROP_ABOVE = 0.5


@lru_cache(maxsize=100_000)
def trigrams(text: str) -> frozenset[str]:
    """Character trigrams of the letters and digits of a text; a shorter text is its own one gram."""
    kept = "".join(c for c in unicodedata.normalize("NFC", text) if c.isalnum())
    if len(kept) < 3:
        return frozenset({kept})
    return frozenset(kept[i : i + 3] for i in range(len(kept) - 2))


def dice(a: str, b: str) -> float:
    """Twice the shared trigrams over all trigrams of both texts."""
    first, second = trigrams(a), trigrams(b)
    return 2 * len(first & second) / (len(first) + len(second))


def prompt_files(directory: Path = PROMPT_DIR) -> list[Path]:
    """The prompt files; verdicts.yaml beside them holds opinions on answers, not prompts."""
    return [path for path in sorted(directory.glob("*.yaml")) if path.stem != "verdicts"]


def prompts_of(path: Path) -> list[str]:
    """The prompts of one file."""
    prompts: list[str] = yaml.safe_load(path.read_text(encoding="utf-8"))["prompts"]
    return prompts


def load_prompts(directory: Path = PROMPT_DIR) -> list[str]:
    """All prompts of all prompt files."""
    prompts: list[str] = []
    for path in prompt_files(directory):
        prompts += prompts_of(path)
    return prompts


class Decontaminator:
    """Finds texts that are too close to a prompt, by an inverted index of trigrams."""

    def __init__(self, prompts: list[str], drop_above: float = DROP_ABOVE) -> None:
        self._sizes = [len(trigrams(p)) for p in prompts]
        self._drop_above = drop_above
        self._index: dict[str, list[int]] = defaultdict(list)
        for number, prompt in enumerate(prompts):
            for gram in trigrams(prompt):
                self._index[gram].append(number)

    def nearest(self, text: str) -> float:
        """Dice of the closest prompt."""
        grams = trigrams(text)
        shared: Counter[int] = Counter()
        for gram in grams:
            shared.update(self._index.get(gram, ()))
        return max((2 * n / (len(grams) + self._sizes[i]) for i, n in shared.items()), default=0.0)

    def is_clean(self, conversation: Conversation) -> bool:
        """Whether no user turn is too close to a prompt."""
        return all(self.nearest(text) <= self._drop_above for role, text in conversation.turns if role == "user")
