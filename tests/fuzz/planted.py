"""`python -m tests.fuzz.planted [xss] [idor] [500]`: `nunmal up` as the fuzz needs it, which adds

- a model that says back what it was asked, at once, so that answers are as hostile as questions, and that is shown
  pictures without looking at them;
- planted holes by name: answers that are not made safe, conversations of anybody for everybody, or titles
  that break the code.
"""

from __future__ import annotations

import functools
import sys
from typing import Any
from unittest.mock import patch

import numpy as np

from infra.cli import main
from shared.settings import Settings
from shared.store.connection import Document
from shared.store.conversations import Conversations
from tests.scripted_engine import ScriptedEngine
from tests.tiny_models import END, VOCABULARY, tiny_tokenizer
from web.chat.titles import title_of
from workers.engine.base import Looked, Picture, Request
from workers.engine.facts import PictureFacts
from workers.engine.sampling_defaults import SamplingDefaults
from workers.engine.vocabulary import Vocabulary
from workers.pictures import Eyes
from workers.serve import serve_worker
from workers.served_model import ServedModel

_CONTEXT_LENGTH = 4096
_SLOTS = 64
_EYES = PictureFacts(placeholder=5, tokens=1, height=2, width=2)  # behind the other control tokens
_PICTURE_TOKEN = "<image>"


def _echo(request: Request, index: int) -> int:
    said = _question(request.prompt)
    return said[index] if index < len(said) else END


@functools.lru_cache(maxsize=4 * _SLOTS)
def _question(prompt: tuple[int, ...]) -> tuple[int, ...]:
    """The last question in a prompt; of raw text, all of it."""
    user = _tokenizer().convert_tokens_to_ids("<|user|>")
    begin = len(prompt) - prompt[::-1].index(user) if user in prompt else 0
    end = prompt.index(END, begin) if END in prompt[begin:] else len(prompt)
    return tuple(token_id for token_id in prompt[begin:end] if token_id != _EYES.placeholder)


def _tokenizer() -> Any:
    return tiny_tokenizer(_PICTURE_TOKEN)


async def _look(sha256: str, data: bytes) -> Looked:
    return Looked(Picture(sha256, np.zeros((3, _EYES.height, _EYES.width), np.float32)))


def _load(settings: Settings) -> ServedModel:
    vocabulary = Vocabulary(_tokenizer(), VOCABULARY, frozenset({END}))
    return ServedModel(
        settings.model_name,
        ScriptedEngine(
            _echo,
            slots=_SLOTS,
            vocabulary=VOCABULARY,
            context_length=_CONTEXT_LENGTH,
            stop_ids=frozenset({END}),
            eyes=_EYES,
        ),
        _tokenizer(),
        SamplingDefaults(0.0, 1.0, 0, settings.worker.max_new_tokens),
        None,
        "says back what it was asked",
        vocabulary,
        vocabulary.json_grammar,
        Eyes(_EYES, _PICTURE_TOKEN, _look),
    )


def _plant(hole: str) -> None:
    if hole == "xss":
        for place in ("transcript", "live", "blocks"):
            patch(f"web.chat.{place}.render", lambda text: text).start()
    elif hole == "idor":
        find = Conversations.get

        async def find_anybodys(conversations: Conversations, conversation_id: str, user_id: str) -> Any:
            document: Document | None = await conversations._conversations.find_one({"_id": conversation_id})
            return await find(conversations, conversation_id, document["user_id"] if document else user_id)

        patch.object(Conversations, "get", find_anybodys).start()
    elif hole == "500":

        def title_or_fault(text: str) -> str:
            assert max(text, default="") <= "\uffff", "a letter of more than 16 bits"
            return title_of(text)

        patch("web.chat.service.title_of", title_or_fault).start()
    else:
        raise SystemExit(f"{hole} is no hole that is known here")


if __name__ == "__main__":
    patch("infra.up.serve_worker", functools.partial(serve_worker, load=_load)).start()
    for _hole in sys.argv[1:]:
        _plant(_hole)
    sys.argv[1:] = ["up", "--port", "0"]
    main()
