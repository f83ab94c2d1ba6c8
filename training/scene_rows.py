"""Training rows about scenes: a picture and its list of objects once, then many questions that do not see one another.

A row is a prefix (the picture, its objects, perhaps some turns of history) and branches, each a question with its
thoughts and answer. A branch is positioned right behind the prefix and sees only the prefix and itself, so it is what
a conversation that asks just this would be, at a fraction of the cost. A plain conversation is a prefix alone.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from transformers import PreTrainedTokenizerBase

from training.conversations import BOS, END, ROLES, ConversationEncoder, Encoded, cut_words, token_id
from vision.reasoning.describing import described
from vision.reasoning.listing import from_left, listing, numbered
from vision.reasoning.tokens import ALL, IMAGE
from vision.reasoning.trace import trace
from vision.scenes.questions import Question, ask
from vision.scenes.scene import Scene

MOST_HISTORY = 2  # earlier turns in a prefix
NO_HISTORY_SHARE = 0.6
UNLISTED_SHARE = 0.3  # of rows with a picture: the model writes the list itself, as its first thought
UNLISTED_BRANCHES = 3
SMALL_TALK_SHARE = 0.5  # of rows with a branch that is not about the picture
DESCRIBED_SHARE = 0.3  # of rows with a branch that describes the picture: it is long, and soon learned
UNMARKED_SHARE = 0.1  # of questions that end without a mark
SPOKEN_SHARE = 0.5  # of thoughts that go on to the sentence, which is soon learned too


@dataclass(frozen=True)
class Asked:
    """A scene and what is asked about it; `picture` is its number among the pictures, None if it is not looked at."""

    scene: Scene
    questions: tuple[Question, ...] = ()
    picture: int | None = None

    def anew(self, rng: random.Random) -> Asked:
        """The same scene, asked in training's words otherwise than ever before."""
        return replace(self, questions=tuple(ask(self.scene, rng, "train")))


@dataclass
class Row:
    """Ids with loss masks. `picture`: the number of the one it shows."""

    prefix: Encoded
    branches: list[Encoded] = field(default_factory=list)
    picture: int | None = None

    def __len__(self) -> int:
        return len(self.prefix.ids) + sum(len(b.ids) for b in self.branches)


class SceneEncoder:
    """Makes rows. `image_tokens`: vectors of a picture."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, image_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._image_tokens = image_tokens
        self._text = ConversationEncoder(tokenizer)
        self._control = {t: token_id(tokenizer, t) for t in (BOS, END, *ROLES.values(), *ALL)}

    @property
    def pad_id(self) -> int:
        return self._text.pad_id

    def row(self, asked: Asked, rng: random.Random, small_talk: Sequence[tuple[str, str]]) -> Row:
        """One scene with all its questions, perhaps a description, and perhaps small talk that has no thoughts."""
        things = numbered(from_left(asked.scene.objects))
        list_ids = self._ids(listing(things, asked.scene.size))
        seen = asked.picture is not None
        is_listed = not seen or rng.random() >= UNLISTED_SHARE
        questions = rng.sample(asked.questions, len(asked.questions))
        ids = [self._control[BOS], self._control[ROLES["user"]]]
        if seen:
            ids += [self._control[IMAGE]] * self._image_tokens
        mask = [0] * len(ids)
        if is_listed:
            ids += list_ids
            mask += [int(seen)] * len(list_ids)  # a list that nothing tells of cannot be learned
        history = 0 if rng.random() < NO_HISTORY_SHARE else rng.randint(1, MOST_HISTORY)
        for question in questions[:history]:
            said = self._question(question.question, rng) + self._said(question.sentence)
            ids += [*said, self._control[ROLES["user"]]]
            mask += [0] * (len(said) + 1)
        first = [] if is_listed else list_ids
        branches = []
        for question in questions[history:]:
            thought = self._ids(trace(question.program, things))
            say = question.sentence if rng.random() < SPOKEN_SHARE else None
            branches.append(self._branch(question.question, [*first, *thought], say, rng))
        if rng.random() < DESCRIBED_SHARE:
            ask, say = described(things, rng)
            branches.append(self._branch(ask, [*first, self._control["<|all|>"]], say, rng))
        if small_talk and rng.random() < SMALL_TALK_SHARE:
            ask, say = rng.choice(small_talk)
            branches.append(self._branch(ask, [], say, rng))
        if not is_listed:
            branches = rng.sample(branches, UNLISTED_BRANCHES)
        return Row(Encoded(ids, mask), branches, asked.picture)

    def _branch(self, ask: str, thought: list[int], say: str | None, rng: random.Random) -> Encoded:
        told = self._question(ask, rng)
        answer = [*thought, *(self._said(say)[1:] if say is not None else [])]
        opening = self._control[ROLES["assistant"]]
        return Encoded([*told, opening, *answer], [0] * (len(told) + 1) + [1] * len(answer))

    def _question(self, text: str, rng: random.Random) -> list[int]:
        """A question up to its end, now and then without its last mark or cut otherwise into tokens."""
        if rng.random() < UNMARKED_SHARE:
            text = text.rstrip("?.")
        return [t for piece in cut_words(text, rng) for t in self._plain(piece)] + [self._control[END]]

    def _said(self, text: str) -> list[int]:
        return [self._control[ROLES["assistant"]], *self._plain(text), self._control[END]]

    def _plain(self, text: str) -> list[int]:
        return self._text.document(text)[1:-1]

    def _ids(self, tokens: Sequence[str]) -> list[int]:
        return [self._control[t] for t in tokens]


@dataclass(frozen=True)
class Packed:
    """B rows of T tokens: ids, positions, counts (how often the loss counts a token) (B, T) int64; allowed (B, 1, T, T)
    bool; pictures: of which picture each row's image tokens are, rows without one left out."""

    ids: torch.Tensor
    positions: torch.Tensor
    counts: torch.Tensor
    allowed: torch.Tensor
    pictures: list[int]


def pack(rows: Sequence[Row], pad_id: int) -> Packed:
    """Rows side by side, padded on the right. A branch begins with a token of a person, which never counts: what stands
    before a counted token predicts it."""
    length = max(map(len, rows))
    ids = torch.full((len(rows), length), pad_id)
    positions, counts = torch.zeros_like(ids), torch.zeros_like(ids)
    parts = torch.full_like(ids, -1)  # 0: prefix, then one for each branch; -1: padding
    for number, row in enumerate(rows):
        place, start = 0, 0
        for part, piece in enumerate((row.prefix, *row.branches)):
            end = place + len(piece.ids)
            ids[number, place:end] = torch.tensor(piece.ids)
            counts[number, place:end] = torch.tensor(piece.mask)
            positions[number, place:end] = torch.arange(start, start + len(piece.ids))
            parts[number, place:end] = part
            place, start = end, len(row.prefix.ids)
    same = parts[:, :, None] == parts[:, None, :]
    allowed = (same | (parts[:, None, :] == 0)) & torch.ones(length, length, dtype=torch.bool).tril()
    return Packed(ids, positions, counts, allowed[:, None], [r.picture for r in rows if r.picture is not None])
