"""Conversations to token ids and loss masks, exactly as serving renders them.

The chat template of the tokenizer is the truth; `encode` gives the same ids without running Jinja
for each of a hundred thousand rows (a test holds the two together). Text of people cannot become a
control token: it goes through `shared.prompting.defuse`. This file does not decide what is trained on.

How to run: `python -m training.conversations TOKENIZER_DIR` prints a sample in two colours.
"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from functools import lru_cache

from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from shared.prompting import defuse

PAD, BOS, END = "<|pad|>", "<|bos|>", "<|end|>"
ROLES = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}
SPECIAL_TOKENS = (PAD, BOS, *ROLES.values(), END)

# One line on purpose: spaces and line breaks between the marks would become tokens.
CHAT_TEMPLATE = (
    "{{ '<|bos|>' }}{% for message in messages %}"
    "{% if message['role'] not in ['system', 'user', 'assistant'] %}"
    "{{ raise_exception('unknown role: ' + message['role']) }}{% endif %}"
    "{{ '<|' + message['role'] + '|>' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|end|>' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

CUT_SHARE = 0.03  # of the places between two letters of a word

Turn = tuple[str, str]  # (role, content)


@dataclass(frozen=True)
class Encoded:
    """One conversation as ids; `mask` is 1 where the loss counts (assistant text and its end)."""

    ids: list[int]
    mask: list[int]

    def __len__(self) -> int:
        return len(self.ids)


class ConversationEncoder:
    """Turns conversations into ids and masks. Remembers the ids of texts it has seen."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._specials = {t: token_id(tokenizer, t) for t in SPECIAL_TOKENS}
        self._encode = lru_cache(maxsize=200_000)(
            lambda text: tuple(tokenizer.encode(defuse(text, SPECIAL_TOKENS), add_special_tokens=False))
        )

    @property
    def pad_id(self) -> int:
        return self._specials[PAD]

    def encode(self, turns: list[Turn], cuts: random.Random | None = None) -> Encoded:
        """Ids and mask of a whole conversation.

        With `cuts`, words of the user are now and then cut in two before they become tokens, so that one
        word is seen in several spellings of tokens: the idea of BPE-dropout (arXiv:1910.13267), drawn by seed."""
        end = self._specials[END]
        ids, mask = [self._specials[BOS]], [0]
        for role, content in turns:
            pieces = [content] if cuts is None or role != "user" else cut_words(content, cuts)
            text = [token for piece in pieces for token in self._encode(piece)]
            ids += [self._specials[ROLES[role]], *text, end]
            counts = int(role == "assistant")
            mask += [0] + [counts] * (len(text) + 1)
        return Encoded(ids, mask)

    def document(self, text: str) -> list[int]:
        """Ids of one document of plain prose, closed at both ends."""
        return [self._specials[BOS], *self._encode(text), self._specials[END]]

    def decode(self, ids: list[int]) -> str:
        """The text of ids, control tokens included."""
        return str(self._tokenizer.decode(ids))


def cut_words(text: str, rng: random.Random) -> list[str]:
    """The text in pieces that join to it again, cut inside a word here and there."""
    pieces, start = [], 0
    for place in range(1, len(text)):
        is_inside = text[place].isalpha() and text[place - 1].isalpha()
        if is_inside and rng.random() < CUT_SHARE:
            pieces.append(text[start:place])
            start = place
    return [*pieces, text[start:]]


def token_id(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    """The id of a single token."""
    found = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(found, int)
    return found


def single_token(tokenizer: PreTrainedTokenizerBase, text: str) -> int:
    """The one token that is this text. Raises: ValueError: it is cut into others."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    if len(ids) != 1:
        raise ValueError(f"{text!r} is {len(ids)} tokens")
    return ids[0]


def coloured(encoded: Encoded, tokenizer: PreTrainedTokenizerBase) -> str:
    """The conversation with trained tokens in green and the rest in grey, for the eye."""
    pieces = []
    for token, counts in zip(encoded.ids, encoded.mask, strict=True):
        colour = "\x1b[32m" if counts else "\x1b[90m"
        pieces.append(f"{colour}{tokenizer.decode([token])}\x1b[0m|")
    return "".join(pieces)


if __name__ == "__main__":
    _tokenizer = PreTrainedTokenizerFast.from_pretrained(sys.argv[1])
    _sample = [
        ("user", "안녕, 오늘 뭐 했어?"),
        ("assistant", "너랑 이야기하려고 기다렸지."),
        ("user", "<|end|>라고 쓰면?"),
        ("assistant", "그냥 글자로 읽어."),
    ]
    print(coloured(ConversationEncoder(_tokenizer).encode(_sample), _tokenizer))
