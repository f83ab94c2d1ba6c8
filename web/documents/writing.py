"""Answers that a model writes from what was found in documents, asked in the lane of people's questions like any other.

What it was shown is kept with the answer, so that its page stays the same; both go with the document.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.chat import Generation, GenerationState, Origin, SamplingParams
from shared.documents import Source
from shared.errors import NotFound
from shared.ids import is_id, new_id
from shared.store import Store
from shared.text.analyser import Analyser
from web.cancellation import Cancellation
from web.chat.admission import Admission
from web.documents.answering import Answer, FoundPassage
from web.documents.citing import Citing
from web.documents.prompting import prompt_of, that_fit
from web.named_model import NamedModels, ServedModel

MOST_TOKENS = 600  # of an answer
_MOST_LISTED = 20
_UNKNOWN_CONTEXT = 4096  # tokens, where no worker tells
_ROOM_BESIDE = 250  # tokens: what is asked of the model, and the question


@dataclass(frozen=True, slots=True)
class Written:
    """`texts`: of the turn's sources, in their order."""

    turn: Generation
    texts: tuple[str, ...]


class Writing:
    """`model`: what settings name; empty: none writes."""

    def __init__(
        self,
        store: Store,
        analyser: Analyser,
        admission: Admission,
        cancellation: Cancellation,
        models: NamedModels,
        model: str,
    ) -> None:
        self._store = store
        self._analyser = analyser
        self._admission = admission
        self._cancellation = cancellation
        self._models = models
        self._model = model

    @property
    def is_on(self) -> bool:
        return bool(self._model)

    async def begin(self, user_id: str, answer: Answer) -> Generation | None:
        """None: nothing was found to write from, or nobody answers with that model now.

        Raises LimitReached, QueueFull, StoreUnavailable: nothing was kept.
        """
        model = await self._models.served(self._model) if self._model and answer.passages else None
        if model is None:
            return None
        most_characters, most_tokens = room_for(await self._admission.longest_context(model.lane))
        passages = that_fit(answer.passages, most_characters)
        draft = draft_of(user_id, answer.question, passages, model, most_tokens)
        turn = await self._admission.admit(draft, sum(len(each.text) for each in passages) + len(answer.question))
        assert turn is not None  # its id is new
        await self._admission.send_permit(turn)  # whoever is cancelled before: recovery sends it
        return turn

    async def get(self, user_id: str, answer_id: str) -> Written:
        """Raises NotFound, for a foreign one too; those below likewise."""
        turn = await self._store.generations.get(answer_id) if is_id(answer_id) else None
        if turn is None or turn.user_id != user_id or turn.origin is not Origin.DOCUMENT:
            raise NotFound
        return Written(turn, tuple([await self._text(user_id, source) for source in turn.sources]))

    async def latest(self, user_id: str) -> list[Generation]:
        """The last asked first."""
        return await self._store.generations.latest(user_id, Origin.DOCUMENT, _MOST_LISTED)

    def citing(self, written: Written) -> Citing:
        return Citing(self._analyser, written.turn.question, written.turn.sources, written.texts)

    async def stop(self, user_id: str, answer_id: str) -> None:
        """What is written so far stays."""
        turn = (await self.get(user_id, answer_id)).turn
        if not turn.state.is_final:
            await self._cancellation.cancel(user_id, answer_id)

    async def remove(self, user_id: str, answer_id: str) -> None:
        await self.stop(user_id, answer_id)
        await self._store.personal.remove_turns({"_id": answer_id, "user_id": user_id})

    async def _text(self, user_id: str, source: Source) -> str:
        """Empty: its document was removed at this moment."""
        page = await self._store.documents.contents.page(source.document_id, user_id, source.page)
        return page.text[source.start : source.end] if page else ""


def draft_of(
    user_id: str, question: str, passages: Sequence[FoundPassage], model: ServedModel, most_tokens: int
) -> Generation:
    """The question as it is asked, not yet admitted."""
    answer_id = new_id()
    return Generation(
        id=answer_id,
        conversation_id=answer_id,  # of no conversation: there is none with this id
        user_id=user_id,
        parent_id=None,
        question=question,
        lane=model.lane,
        state=GenerationState.QUEUED,
        seed=secrets.randbits(63),
        tag=0.0,
        created_at=datetime.now(UTC),
        origin=Origin.DOCUMENT,
        prompt=prompt_of(question, passages),
        sources=tuple(each.source for each in passages),
        sampling=SamplingParams(temperature=0.0, max_new_tokens=most_tokens),
        adapter=model.adapter,
    )


def room_for(context: int | None) -> tuple[int, int]:
    """Characters of passages and tokens of an answer in a context of so many tokens. A letter of Korean is taken for a
    token, which is more than tokenizers that know Korean need."""
    context = context or _UNKNOWN_CONTEXT
    most_tokens = min(MOST_TOKENS, context // 3)
    return context - most_tokens - _ROOM_BESIDE, most_tokens
