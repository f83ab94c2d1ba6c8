"""The engine that lets another server generate keeps the contract of all engines, but for what no server offers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.test_engine import CONTEXT_LENGTH, SLOTS, EngineContract
from tests.openai_server import OpenAIServer, serving
from tests.tiny_models import tiny_tokenizer, tiny_vocabulary
from workers.engine.base import Engine
from workers.engine.facts import ModelFacts
from workers.engine.upstream_dialect import LLAMA_CPP, SGLANG, TRANSFORMERS, UNKNOWN, VLLM
from workers.engine.upstream_door import Door
from workers.engine.upstream_engine import UpstreamEngine
from workers.engine.upstream_reading import Spelling
from workers.open_upstream import PromptText

NEVER_STOPS = frozenset[int]()
DOORS = {
    "vllm": Door("tiny", VLLM, takes_ids=True, gives_ids=True, context_length=CONTEXT_LENGTH),
    "sglang": Door("tiny", SGLANG, takes_ids=True, gives_ids=True, context_length=CONTEXT_LENGTH),
    "llama.cpp": Door("tiny", LLAMA_CPP, takes_ids=True, gives_ids=False, context_length=CONTEXT_LENGTH),
    "other": Door("tiny", UNKNOWN, takes_ids=True, gives_ids=False, context_length=CONTEXT_LENGTH),
    "transformers": Door("tiny", TRANSFORMERS, takes_ids=False, gives_ids=False, context_length=None),
}

_A_GRAMMAR_IS_CODE = "a grammar of ours cannot be sent: only a JSON Schema can, which the server compiles"
_ITS_RANDOMNESS = "its random numbers begin anew with every request; greedy answers continue with the same tokens"
CANNOT = {
    "test_an_answer_keeps_to_its_grammar_and_ends_with_it": _A_GRAMMAR_IS_CODE,
    "test_an_answer_is_led_to_the_end_of_its_grammar_where_its_tokens_run_out": _A_GRAMMAR_IS_CODE,
    "test_an_answer_whose_grammar_was_complete_ends_without_a_token": _A_GRAMMAR_IS_CODE,
    "test_the_length_may_cut_a_grammar": _A_GRAMMAR_IS_CODE,
    "test_a_grammar_that_fails_ends_its_own_request": _A_GRAMMAR_IS_CODE,
    "test_a_steered_answer_continues_with_the_same_tokens[asked1]": _A_GRAMMAR_IS_CODE,
    "test_a_steered_answer_continues_with_the_same_tokens[asked2]": _A_GRAMMAR_IS_CODE,
    "test_a_resumed_answer_continues_with_the_same_tokens[1.0]": _ITS_RANDOMNESS,
    "test_a_drawn_answer_continues_with_the_same_tokens": _ITS_RANDOMNESS,
}


class UpstreamContract(EngineContract):
    """What no server offers is in CANNOT, with the reason."""

    kind: str
    cannot = CANNOT

    @pytest.fixture(autouse=True)
    def only_what_a_server_offers(self, request: pytest.FixtureRequest) -> None:
        names = {request.node.name, request.node.originalname}
        if reason := next((self.cannot[name] for name in names & self.cannot.keys()), None):
            pytest.skip(reason)

    @pytest.fixture
    async def server(self) -> AsyncIterator[OpenAIServer]:
        yield OpenAIServer(self.kind)

    @pytest.fixture
    async def engine(self, server: OpenAIServer) -> AsyncIterator[Engine]:
        async with serving(server) as url:
            engine = upstream_engine(url, DOORS[self.kind])
            yield engine
            await engine.close()
        assert server.open == 0


def upstream_engine(
    url: str, door: Door, *, context_length: int = CONTEXT_LENGTH, look_every_s: float = 5.0
) -> UpstreamEngine:
    facts = ModelFacts("tiny", 320, context_length, NEVER_STOPS)
    spelling = Spelling(tiny_vocabulary().open())
    prompt_text = PromptText(tiny_tokenizer())
    return UpstreamEngine(f"{url}/", None, door, facts, spelling, prompt_text, slots=SLOTS, look_every_s=look_every_s)


class TestServerWithTokenIds(UpstreamContract):
    """vLLM and SGLang: what they generate is known token by token, so all the rest of the contract holds."""

    kind = "vllm"


_ITS_COUNT = "it counts its tokens, and ours that spell its text may be more or fewer"
_NO_SUCH_FIELD = "it has no such field (or means something else by it), so the request is refused"


class TestServerWithText(UpstreamContract):
    """llama.cpp takes token ids and gives text; no penalties over the answer alone, no logprobs of ids."""

    kind = "llama.cpp"
    cannot = CANNOT | {
        "test_an_answer_has_as_many_tokens_as_were_asked_for": _ITS_COUNT,
        "test_a_resumed_answer_continues_with_the_same_tokens[0.0]": _ITS_COUNT,
        "test_a_resumed_answer_that_was_complete_ends_without_a_token": _ITS_COUNT,
        "test_an_answer_ends_where_the_context_ends": _ITS_COUNT,
        "test_a_bad_request_fails_alone": _ITS_COUNT,
        "test_an_id_that_is_running_is_refused": _ITS_COUNT,
        "test_logprobs_come_with_every_token_if_they_were_asked_for": _NO_SUCH_FIELD,
        "test_a_steered_answer_continues_with_the_same_tokens": _NO_SUCH_FIELD,
    }
