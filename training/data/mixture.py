"""The rows of one epoch of fine-tuning: sources by weight, templates drawn anew, some chats joined.

Joined rows put unrelated single turns behind one another, so that the model learns to answer the last
message and not the first. Rows near a test prompt, and held-out rows, never appear. It does not batch.

How to run: `epoch_rows(recipe, epoch, chats, decontaminator)` gives the same list for the same arguments.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

from training.config import SftRecipe
from training.data.corpus import conversations, is_held_out
from training.data.decontaminate import Decontaminator
from training.data.rows import Conversation, Turn, single
from training.data.templates import EXACT, template_conversations

MAX_ANSWER_CHARS = 130
DROP_WORD = 0.2  # share of questions that lose a word
DROP_STOP = 0.15  # share of full stops that are lost
ADD_OPENER = 0.15  # share of questions that begin as people begin to speak
OPENERS = ("있잖아,", "저기,", "음,", "그런데", "근데", "아,", "하…", "아니", "저기요,", "혹시", "그냥", "진짜")
# A small model would invent such details: telephone numbers, addresses of web sites, long numbers.
_DETAIL = re.compile(r"www|http|\.kr|\.com|\d{3,}|\d+-\d+|[A-Za-z]{12,}")
# Answers in the chat corpus that are curt, mocking, or pretend to be a person.
_UNKIND = re.compile(
    r"똥차|고쳐쓰|고쳐 쓰|쉽게 죽지|제가 있잖아요|저랑 놀아요|저랑 만나|저도 사|거울을|정신 차|"
    r"호구|바람둥이|헤픈|뻔하|그만 좀|당신 탓|자업자득|술이나|돈이 없|로또"
)


def load_chats(recipe: SftRecipe, data_dir: Path) -> dict[str, list[Conversation]]:
    """The chat sources of the recipe, cleaned for fine-tuning."""
    return {name: [row for row in conversations(name, data_dir) if is_worth_learning(row)] for name in recipe.sources}


def is_worth_learning(row: Conversation) -> bool:
    """Whether the answer is something a small model should try to say."""
    if is_held_out(row.text):
        return False
    answer = row.turns[-1][1]
    if len(answer) > MAX_ANSWER_CHARS or _DETAIL.search(answer) or _UNKIND.search(answer):
        return False
    return row.source != "songys_chatbot" or (answer[-1] in ".?!" and "!" not in answer)


def epoch_rows(
    recipe: SftRecipe,
    epoch: int,
    chats: dict[str, list[Conversation]],
    decontaminator: Decontaminator,
) -> list[Conversation]:
    """Everything that one epoch trains on, in shuffled order."""
    rng = random.Random(f"{recipe.seed}:{epoch}")
    rows: list[Conversation] = []
    for name, weight in recipe.sources.items():
        labels = recipe.label_weights.get(name, {})
        for row in chats[name]:
            wanted = weight * labels.get(row.label, 1.0)
            rows += [row] * (int(wanted) + (rng.random() < wanted % 1))
    rows += template_conversations(recipe.seed + epoch, recipe.template_weights)
    rows = [vary(row, rng) for row in rows]
    rows = [row for row in rows if decontaminator.is_clean(row)]
    rng.shuffle(rows)
    return join_some(rows, recipe.joined_share, rng)


def vary(row: Conversation, rng: random.Random) -> Conversation:
    """Now and then a question without a word, with an opener, or without its full stop, as people type.

    The last word stays: it holds the verb and how polite the question is. Rows that must be read to the
    letter (sums, sentences to change, long chats) stay as they are."""
    if row.label == EXACT or len(row.turns) != 2:
        return row
    question = row.turns[0][1]
    words = question.split(" ")
    if len(words) >= 3 and rng.random() < DROP_WORD:
        del words[rng.randrange(len(words) - 1)]
        question = " ".join(words)
    if rng.random() < ADD_OPENER:
        question = f"{rng.choice(OPENERS)} {question}"
    if question.endswith(".") and rng.random() < DROP_STOP:
        question = question[:-1]
    return single(row.source, question, row.turns[1][1], row.label)


def join_some(rows: list[Conversation], share: float, rng: random.Random) -> list[Conversation]:
    """Use up `share` of the single turns as chats of two or three (now and then up to six) turns."""
    singles = [row for row in rows if len(row.turns) == 2]
    count = int(len(singles) * share)
    parts, rest = singles[:count], singles[count:]
    joined = [row for row in rows if len(row.turns) > 2] + rest
    while parts:
        size = rng.choice((2, 2, 2, 3, 3, 4, 6))
        taken, parts = parts[:size], parts[size:]
        turns: list[Turn] = [turn for row in taken for turn in row.turns]
        joined.append(Conversation("joined", tuple(turns)))
    rng.shuffle(joined)
    return joined
