"""The test prompts and their near copies stay out of training."""

from __future__ import annotations

from training.data.decontaminate import Decontaminator, dice, load_prompts
from training.data.rows import Conversation, single
from training.data.templates import template_conversations

FAIL_ABOVE = 0.6


def test_dice_ignores_spaces_and_punctuation() -> None:
    assert dice("잠이 안 와.", "잠이안와") == 1.0
    assert dice("잠이 안 와.", "커피를 마셔요") == 0.0


def test_inverted_index_agrees_with_dice() -> None:
    prompts = ["오늘 날씨가 정말 좋네요.", "내일 뭐 할까?"]
    texts = ["오늘 날씨가 좋네요.", "내일 뭐 하지?", "안녕"]

    found = [Decontaminator(prompts).nearest(text) for text in texts]

    assert found == [max(dice(p, t) for p in prompts) for t in texts]


def test_a_prompt_in_a_later_turn_is_found() -> None:
    row = Conversation("x", (("user", "안녕"), ("assistant", "네"), ("user", "밥 먹었니?"), ("assistant", "네")))

    assert not Decontaminator(["밥 먹었니"]).is_clean(row)


def test_an_answer_may_use_the_words_of_a_prompt() -> None:
    assert Decontaminator(["잘 자라고 말해 줘"]).is_clean(single("x", "나 이제 누울게", "잘 자라고 말해 줘"))


def test_no_template_row_is_close_to_a_prompt_after_decontamination() -> None:
    prompts = load_prompts()
    decontaminator = Decontaminator(prompts)
    rows = [row for row in template_conversations(seed=1) if decontaminator.is_clean(row)]

    assert len(prompts) == 80
    assert rows
    for row in rows:
        for role, text in row.turns:
            if role == "user":
                assert decontaminator.nearest(text) <= FAIL_ABOVE
