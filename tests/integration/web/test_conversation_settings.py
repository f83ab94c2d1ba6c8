"""The settings of a conversation: they go with a question, hold for those after it, and are kept when refused."""

from __future__ import annotations

import pytest
from quart import Quart

from shared.chat import Conversation, ConversationSettings, Generation, SamplingParams, Style
from shared.store import Store
from tests.web_visitor import WebVisitor
from web.chat.settings_form import MOST_INSTRUCTION_CHARACTERS, SettingsFields, fields_of, settings_from

_FIELDS = {
    "instructions": " 짧게 답하세요. ",
    "style": "casual",
    "temperature": "0.3",
    "top_p": "0.9",
    "max_new_tokens": "64",
}
_NONE = dict.fromkeys(_FIELDS, "")
_SETTINGS = ConversationSettings("짧게 답하세요.", Style.CASUAL, 0.3, 0.9, 64)


async def _kept(store: Store) -> tuple[Conversation, list[Generation]]:
    document = await store.conversations._conversations.find_one({})
    assert document is not None
    conversation = await store.conversations.get(document["_id"], document["user_id"])
    assert conversation is not None
    return conversation, await store.generations.of_conversation(conversation.id, conversation.user_id)


async def test_they_go_with_the_first_question_and_stay_with_the_conversation(person: WebVisitor, store: Store) -> None:
    await person.ask("하나", **_FIELDS)
    conversation, (turn,) = await _kept(store)

    assert conversation.settings == _SETTINGS
    assert turn.sampling == SamplingParams(0.3, 0.9, max_new_tokens=64)
    assert turn.system.startswith("짧게 답하세요.\n\n")
    assert "반말" in turn.system
    assert ">\n짧게 답하세요.</textarea>" in person.page
    assert '<option value="casual" selected>' in person.page
    assert 'value="0.3"' in person.page


async def test_they_hold_for_later_questions_until_they_are_changed_or_reset(person: WebVisitor, store: Store) -> None:
    await person.ask("하나", **_FIELDS)
    path = f"/chat/{(await _kept(store))[0].id}"
    await person.post(f"{path}/stop")
    await person.ask("둘", path)
    await person.post(f"{path}/stop")
    await person.ask("셋", path, **_NONE)
    await person.post(f"{path}/stop")
    await person.ask("넷", path, **{**_NONE, "style": "polite"})
    await person.post(f"{path}/settings/reset")
    conversation, turns = await _kept(store)

    assert [turn.sampling for turn in turns[:2]] == [SamplingParams(0.3, 0.9, max_new_tokens=64)] * 2
    assert (turns[2].sampling, turns[2].system) == (SamplingParams(), "")
    assert "존댓말" in turns[3].system
    assert conversation.settings == ConversationSettings()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("temperature", value) for value in ("2.1", "-0.1", "nan", "inf", "뜨겁게", "1e999")),
        *(("top_p", value) for value in ("1.1", "-1")),
        *(("max_new_tokens", value) for value in ("0", "1.5", "-3", "2147483648")),
        *(("style", value) for value in ("rude", "POLITE")),
    ],
)
async def test_what_is_no_setting_is_refused_and_everything_typed_stays(
    person: WebVisitor, store: Store, field: str, value: str
) -> None:
    response = await person.ask("쓰던 질문", **{**_FIELDS, field: value})

    assert response.status_code == 422
    assert "대화 설정의 숫자를 확인해 주세요." in person.page
    assert "쓰던 질문</textarea>" in person.page
    assert '<details class="settings" open>' in person.page
    if field != "style":
        assert f'value="{value}"' in person.page
    assert await store.conversations._conversations.find_one({}) is None


async def test_instructions_are_nfc_and_of_limited_length(person: WebVisitor, store: Store) -> None:
    too_long = await person.ask("하나", **{**_NONE, "instructions": "가" * (MOST_INSTRUCTION_CHARACTERS + 1)})
    await person.ask("하나", **{**_NONE, "instructions": "\u1112\u1161\u11ab"})

    assert too_long.status_code == 422
    assert (await _kept(store))[0].settings.instructions == "한"


async def test_a_foreign_conversation_is_not_reset(app: Quart, person: WebVisitor, store: Store) -> None:
    await person.ask("하나", **_FIELDS)
    other = WebVisitor(app)
    await other.sign_up()
    response = await other.post(f"/chat/{(await _kept(store))[0].id}/settings/reset")

    assert response.status_code == 404
    assert (await _kept(store))[0].settings == _SETTINGS


def test_fields_and_settings_are_two_forms_of_the_same() -> None:
    for settings in (ConversationSettings(), _SETTINGS, ConversationSettings(temperature=0.0, top_p=1.0)):
        assert settings_from(fields_of(settings)) == settings
    assert settings_from(SettingsFields()) == ConversationSettings()
