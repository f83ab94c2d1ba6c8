"""What the model of the settings writes from KorQuAD's passages: found, asked, answered by a worker, and looked up."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from shared.broker.memory import MemoryBroker
from shared.chat import Generation
from shared.documents import Source
from shared.messages import GenerateReply
from shared.settings import load_settings
from shared.store import Store
from shared.text.analyser import Analyser
from shared.topology import CHAT_JOBS, lane
from tests.bench.documents.korquad import Question
from tests.bench.documents.retrieval import Prepared
from tests.bench.model_house import model_house
from tests.waiting import until
from web.documents.answering import FoundPassage
from web.documents.citing import Citing
from web.documents.prompting import NOTHING, that_fit
from web.documents.writing import draft_of, room_for
from web.named_model import ServedModel

_ALL_S = 3600.0
_SAMPLES = 20
_FOUND = 5  # passages


async def written(data: Prepared, count: int, seed: int) -> dict[str, Any]:
    """Of `count` questions, each asked of all passages: how many answers have a claim with the right words that a
    passage bears out."""
    chance = random.Random(f"{seed} written")
    asked_places = chance.sample(range(len(data.asked)), count)
    index = data.index()
    settings = load_settings({}, worker={"stale_after_s": 60.0})
    where = lane(CHAT_JOBS, settings.model_name)
    analyser = Analyser()
    async with model_house(settings) as (store, broker):
        (worker,) = await store.workers.alive(timedelta(seconds=60), where)
        most_characters, most_tokens = room_for(worker.context_length)
        asked = []
        for at in asked_places:
            hits = index.search(data.questions[at], _FOUND)
            shown = that_fit([_passage(data, hit.place) for hit in hits], most_characters)
            asked.append((shown, await _asked(store, broker, where, data.asked[at].text, shown, most_tokens)))
        rows = [
            await _row(analyser, data.asked[at], await _answered(store, turn), shown)
            for at, (shown, turn) in zip(asked_places, asked, strict=True)
        ]
    await analyser.close()
    claims = [claim for row in rows for claim in row["claims"]]
    return {
        "model": settings.model_name,
        "questions": count,
        "written_right": sum(row["is_right"] for row in rows) / count,
        "written_nothing": sum(row["is_nothing"] for row in rows) / count,
        "claims": len(claims),
        "claims_borne_out": sum(bool(claim["sources"]) for claim in claims) / max(1, len(claims)),
        "samples": rows[:_SAMPLES],
    }


def _passage(data: Prepared, place: int) -> FoundPassage:
    text = data.passages[place]
    return FoundPassage(Source("korquad", "위키백과", place + 1, 0, len(text)), text)


async def _asked(
    store: Store, broker: MemoryBroker, where: str, question: str, shown: list[FoundPassage], most_tokens: int
) -> Generation:
    turn = draft_of("bench", question, shown, ServedModel(where, None), most_tokens)
    await store.generations.add(turn)
    await broker.publish_permit(where, GenerateReply(generation_id=turn.id))
    return turn


async def _answered(store: Store, turn: Generation) -> Generation:
    async def over() -> Generation | None:
        found = await store.generations.get(turn.id)
        return found if found and found.state.is_final else None

    found = await until(over, _ALL_S)
    assert found is not None, "nobody answers"
    return found


async def _row(analyser: Analyser, question: Question, turn: Generation, shown: list[FoundPassage]) -> dict[str, Any]:
    citing = Citing(analyser, question.text, turn.sources, [each.text for each in shown])
    bare = citing.bare(turn.answer)
    claims = [
        {"text": bare[claim.start : claim.end], "sources": list(sources)}
        for claim, sources in await citing.claims(turn.answer)
    ]
    return {
        "question": question.text,
        "right_answer": question.answer,
        "state": str(turn.state),
        "answer": turn.answer,
        "claims": claims,
        "is_right": any(claim["sources"] and question.answer in str(claim["text"]) for claim in claims),
        "is_nothing": bare.strip() == NOTHING,
    }
