"""The chat page: a conversation or an empty sheet, its composer, and what was refused beside the field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quart import Response, render_template

from shared.chat import AccountRole, PictureRef, User
from shared.conversation_errors import InstructionsTooLong, SettingInvalid
from shared.errors import NunmalError
from shared.ids import new_id
from shared.votes import MOST_WORDS_CHARACTERS, REASONS, Reason
from web.chat.choice import AdapterChoice
from web.chat.service import ChatService, OpenConversation
from web.chat.settings_form import MOST_INSTRUCTION_CHARACTERS, SettingsFields, fields_of
from web.chat.sight import Sight
from web.chat.titles import MOST_TITLE_CHARACTERS
from web.chat.transcript import Transcripts
from web.chat.voting import Voting
from web.chat.windowing import window_of
from web.errors import page_after
from web.pictures.service import MOST_ALT_CHARACTERS, MOST_PER_MESSAGE, PictureService
from web.pictures.views import view_of
from web.visitor import Visitors

REASON_WORDS = {
    Reason.HELPFUL: "votes.helpful",
    Reason.ACCURATE: "votes.accurate",
    Reason.NATURAL: "votes.natural",
    Reason.WRONG: "votes.wrong",
    Reason.AWKWARD: "votes.awkward",
    Reason.LONG: "votes.long",
    Reason.OFF: "votes.off",
    Reason.HARMFUL: "votes.harmful",
}


@dataclass(frozen=True, slots=True)
class Typed:
    """What stands in the composer. None: as the conversation has it."""

    message: str = ""
    pictures: Sequence[PictureRef] = ()
    adapter: str | None = None
    settings: SettingsFields | None = None


class ChatPage:
    def __init__(
        self,
        service: ChatService,
        transcripts: Transcripts,
        visitors: Visitors,
        pictures: PictureService,
        sight: Sight,
        choice: AdapterChoice,
        voting: Voting,
    ) -> None:
        self._service = service
        self._transcripts = transcripts
        self._visitors = visitors
        self._pictures = pictures
        self._sight = sight
        self._choice = choice
        self._voting = voting

    async def response(
        self,
        user: User,
        opened: OpenConversation | None,
        typed: Typed = Typed(),  # frozen
        error: NunmalError | None = None,
        turn_id: str = "",
    ) -> Response:
        """After a refused message with what was typed and uploaded, and a sentence beside the field.

        `turn_id`: one that is to be shown, however long ago it was.
        """
        words = self._visitors.current().words
        conversation = opened.conversation if opened else None
        branch = opened.turns if opened else []
        window = window_of(branch, turn_id)
        turns = await self._transcripts.of_branch(opened, words, window.start) if opened else []
        chosen = typed.adapter
        if chosen is None:
            chosen = conversation.adapter if conversation else ""
        adapters = await self._choice.offered()
        offered = [adapter.name for adapter in adapters]
        settings = typed.settings or (fields_of(conversation.settings) if conversation else SettingsFields())
        body = await render_template(
            "chat.html",
            adapters=offered if not chosen or chosen in offered else [*offered, chosen],
            adapter=chosen,
            conversation=conversation,
            conversations=await self._service.list(user),
            turns=turns,
            earlier=window,
            trial=adapters[0] if adapters and user.role is not AccountRole.USER else None,
            gauge=await self._transcripts.gauge(opened) if opened else None,
            can_compare=await self._voting.can_compare(),
            votes=await self._voting.of(conversation) if conversation else {},
            reasons_of=REASONS,
            reason_words=REASON_WORDS,
            most_vote_characters=MOST_WORDS_CHARACTERS,
            is_busy=any(not turn.state.is_final for turn in branch),
            generation_id=new_id(),
            draft=typed.message,
            draft_pictures=[view_of(picture) for picture in typed.pictures],
            pictures=bool(await self._sight.is_there()),
            most_pictures=MOST_PER_MESSAGE,
            most_picture_mib=self._pictures.most_mib,
            most_alt_characters=MOST_ALT_CHARACTERS,
            settings=settings,
            open_settings=isinstance(error, SettingInvalid | InstructionsTooLong),
            most_instruction_characters=MOST_INSTRUCTION_CHARACTERS,
            error=words.explain(error) if error else "",
            most_title_characters=MOST_TITLE_CHARACTERS,
        )
        return page_after(body, error)
