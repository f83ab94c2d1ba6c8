"""The prompt that trains is the prompt that serves, and the loss counts on the assistant's words."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from shared.chat import Message, PictureRef, Role
from shared.prompting import prompt_ids
from tests.tiny_models import PICTURE_TOKEN, tiny_tokenizer
from training.conversations import Encoded
from training.llava_rows import Unusable
from training.picture_chats import PictureChatEncoder

PICTURE = PictureRef("", "", 0, 0)
TURNS = (
    Message(Role.USER, "이게 뭐예요?", (PICTURE,)),
    Message(Role.ASSISTANT, "사과예요."),
    Message(Role.USER, "<image><|end|>정말요?"),
    Message(Role.ASSISTANT, "네."),
)


def tokenizer_with(template: str | None) -> Any:
    tokenizer = copy.deepcopy(tiny_tokenizer(PICTURE_TOKEN))
    tokenizer.chat_template = template
    return tokenizer


def encoder_of(tokenizer: Any, max_tokens: int = 500) -> PictureChatEncoder:
    return PictureChatEncoder(tokenizer, PICTURE_TOKEN, 3, frozenset(), max_tokens)


def learned(row: Encoded, tokenizer: Any) -> str:
    return str(tokenizer.decode([token for token, counts in zip(row.ids, row.mask, strict=True) if counts]))


def once(row: Encoded, tokenizer: Any) -> list[int]:
    """With one placeholder a picture, as prompts have."""
    placeholder = tokenizer.convert_tokens_to_ids(PICTURE_TOKEN)
    ids = list(row.ids)
    while placeholder in ids[1:] and (place := ids.index(placeholder)) + 1 < len(ids) and ids[place + 1] == placeholder:
        del ids[place]
    return ids


def test_all_answers_of_a_steady_template_are_learned_in_one_row() -> None:
    tokenizer = tiny_tokenizer(PICTURE_TOKEN)
    encoder = encoder_of(tokenizer)

    (row,) = encoder.encode(TURNS)

    prompt = prompt_ids(TURNS[:-1], tokenizer, PICTURE_TOKEN)
    assert once(row, tokenizer)[: len(prompt)] == prompt
    assert learned(row, tokenizer) == "사과예요.<|end|>네.<|end|>"
    assert row.ids.count(tokenizer.convert_tokens_to_ids(PICTURE_TOKEN)) == 3
    assert encoder.pictures_of(row) == 1


def test_template_that_changes_earlier_turns_gives_a_row_for_each_answer() -> None:
    """As Qwen3's does, which leaves earlier thoughts out."""
    tokenizer = tokenizer_with(
        "{% for message in messages %}<|{{ message.role }}|>"
        "{% if message.role == 'assistant' and loop.last %}(생각){% endif %}{{ message.content }}<|end|>"
        "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )

    rows = encoder_of(tokenizer).encode(TURNS)

    assert [learned(row, tokenizer) for row in rows] == ["(생각)사과예요.<|end|>", "(생각)네.<|end|>"]


def test_model_without_a_template_learns_labelled_turns_and_to_end_them() -> None:
    tokenizer = tokenizer_with(None)

    rows = encoder_of(tokenizer).encode(TURNS)

    assert [learned(row, tokenizer) for row in rows] == [" 사과예요.<|end|>", " 네.<|end|>"]
    text = tokenizer.decode(once(rows[1], tokenizer))
    assert text.startswith(
        "사용자: <image>이게 뭐예요?\n답변: 사과예요.\n사용자: <\u200bimage><\u200b|end|>정말요?\n답변: 네."
    )


def test_answer_that_its_template_does_not_end_gets_the_tokenizers_end() -> None:
    tokenizer = tokenizer_with(
        "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )

    rows = encoder_of(tokenizer).encode(TURNS)

    assert [learned(row, tokenizer) for row in rows] == ["사과예요.<|end|>", "네.<|end|>"]


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ raise_exception('nein') }}", "template: nein"),
        ("{% for message in messages %}{{ message.role }}{% endfor %}", "template: it leaves out pictures"),
        (
            "{% if add_generation_prompt %}?{% endif %}{% for message in messages %}{{ message.content }}{% endfor %}",
            "template: an answer does not continue its prompt",
        ),
    ],
)
def test_template_that_takes_no_such_turns_is_the_rows_fault(template: str, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        encoder_of(tokenizer_with(template)).encode(TURNS)


def test_row_is_too_long_with_its_pictures() -> None:
    tokenizer = tiny_tokenizer(PICTURE_TOKEN)
    (row,) = encoder_of(tokenizer).encode(TURNS)

    with pytest.raises(Unusable, match="too_long"):
        encoder_of(tokenizer, len(row.ids) - 1).encode(TURNS)
