"""Another server generates: what the worker finds out about it, what it makes of its words, and what happens when it
fails. Real HTTP on loopback; real servers: tests/upstream/."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from shared.chat import GenerationState, SamplingParams
from shared.errors import EngineLost, GenerationCrashed, ModelError, UpstreamCannot, UpstreamRefused
from shared.settings import WorkerSettings
from tests.contract.test_engine import request, tokens
from tests.contract.test_upstream_engine import DOORS, upstream_engine
from tests.engine_runs import events_of
from tests.openai_server import OpenAIServer, serving
from tests.tiny_models import tiny_tokenizer
from tests.unit.workers.tokenizers_for_tests import byte_fallback, byte_level
from tests.worker_house import House, expected_text, served
from workers.detokenizer import Detokenizer
from workers.engine.base import Engine, JsonSchema, TokenEvent
from workers.engine.upstream_engine import UpstreamEngine
from workers.engine.upstream_files import UpstreamFiles, read_files
from workers.engine.upstream_reading import Spelling
from workers.engine.vocabulary import Vocabulary
from workers.open_upstream import with_files
from workers.served_model import ServedModel

PERSON = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"], "additionalProperties": False}
KOREAN = tiny_tokenizer().encode("안녕하세요 😀 그렇군요 👨‍👩‍👧 끝", add_special_tokens=False)


@pytest.fixture(scope="session")
def tokenizer_files(tmp_path_factory: pytest.TempPathFactory) -> UpstreamFiles:
    """Of a directory without weights and without configuration."""
    return read_saved(tiny_tokenizer(), tmp_path_factory.mktemp("tiny"))


def read_saved(tokenizer: Any, directory: Path) -> UpstreamFiles:
    tokenizer.save_pretrained(directory)
    file = directory / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model_max_length": 128}))
    return read_files(str(directory), 1024)


@contextlib.asynccontextmanager
async def running(server: OpenAIServer, look_every_s: float = 5.0) -> AsyncIterator[UpstreamEngine]:
    async with serving(server) as url:
        engine = upstream_engine(url, DOORS[server.kind], look_every_s=look_every_s)
        yield engine
        await engine.close()


def text_of(events: list[TokenEvent]) -> str:
    detokenizer = Detokenizer(tiny_tokenizer(), tokens(events))
    detokenizer.finish()
    return detokenizer.text


async def error_of(engine: Engine, **changes: object) -> Exception | None:
    return (await events_of(engine, request("other", **changes)))[-1].error


class TestOpening:
    """What is found out before the first answer."""

    async def open(self, url: str, files: UpstreamFiles, patience_s: float = 0.0, **changes: object) -> ServedModel:
        settings = WorkerSettings(upstream_url=url, slots=2, **changes)  # type: ignore[arg-type]  # names
        return await asyncio.to_thread(with_files, files, "tiny", settings, patience_s)

    @pytest.mark.parametrize(
        ("kind", "found"),
        [
            ("vllm", "(vllm), token ids in, token ids out"),
            ("llama.cpp", "(llama.cpp), token ids in, text out"),
            ("transformers", "(transformers), text in, text out"),
            ("other", "(unknown), token ids in, text out"),
        ],
    )
    async def test_every_kind_of_server_is_asked_in_its_own_way(
        self, kind: str, found: str, tokenizer_files: UpstreamFiles
    ) -> None:
        server = OpenAIServer(kind)
        async with serving(server) as url:
            model = await self.open(url, tokenizer_files)
            events = await events_of(model.engine, request())
            await model.engine.close()

        assert model.description.endswith(found)
        assert (model.engine.context_length, model.sampling.temperature) == (64, 0.0)
        assert text_of(events)
        assert events[-1].finish_reason == "length"
        assert server.asked[-1]["model"] == "tiny"

    async def test_a_server_that_takes_chat_messages_only_is_refused(self, tokenizer_files: UpstreamFiles) -> None:
        async with serving(OpenAIServer("chat")) as url:
            with pytest.raises(ModelError, match="chat messages only, with which an answer cannot be continued"):
                await self.open(url, tokenizer_files)

    async def test_a_wrong_key_is_named_by_its_setting_and_a_right_one_is_used(
        self, tokenizer_files: UpstreamFiles
    ) -> None:
        async with serving(OpenAIServer(key="planted-key")) as url:
            with pytest.raises(ModelError, match="NUNMAL_WORKER__UPSTREAM_KEY") as refused:
                await self.open(url, tokenizer_files, upstream_key=SecretStr("wrong-key"))
            model = await self.open(url, tokenizer_files, upstream_key=SecretStr("planted-key"))
            events = await events_of(model.engine, request())
            await model.engine.close()

        assert "wrong-key" not in str(refused.value)
        assert len(tokens(events)) == 8

    async def test_a_server_with_another_tokenizer_is_refused(self, tokenizer_files: UpstreamFiles) -> None:
        server = OpenAIServer()
        server.spoken = byte_level()
        async with serving(server) as url:
            with pytest.raises(ModelError, match="another tokenizer than NUNMAL_MODEL"):
                await self.open(url, tokenizer_files)

    async def test_a_server_that_still_starts_is_awaited(self, tokenizer_files: UpstreamFiles) -> None:
        async with serving(OpenAIServer()) as url:
            pass
        port = int(re.search(r":(\d+)/", url)[1])  # type: ignore[index]  # it is there
        with pytest.raises(ModelError, match="is away"):
            await self.open(url, tokenizer_files)

        opening = asyncio.create_task(self.open(url, tokenizer_files, 30.0))
        async with serving(OpenAIServer(), port):
            model = await opening
            await model.engine.close()

    async def test_the_digest_covers_the_tokenizer_and_the_name_of_the_model_there(
        self, tokenizer_files: UpstreamFiles, tmp_path: Path
    ) -> None:
        other = await asyncio.to_thread(read_saved, byte_level(), tmp_path)
        async with serving(OpenAIServer("llama.cpp")) as url:
            models = [
                await self.open(url, tokenizer_files),
                await self.open(url, tokenizer_files),
                await self.open(url, tokenizer_files, upstream_model="large"),
                await self.open(url, other),
            ]
            for model in models:
                await model.engine.close()

        first, same, large, other_files = (model.engine.model_digest for model in models)
        assert first == same
        assert len({first, large, other_files}) == 3

    def test_a_directory_without_a_tokenizer_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="its tokenizer cannot be opened"):
            read_files(str(tmp_path), 1024)


class TestText:
    """Of a server that sends text, every character arrives, and the answer goes on after any token."""

    @pytest.mark.parametrize("kind", ["vllm", "llama.cpp", "transformers"])
    async def test_the_text_is_exact_also_where_characters_are_cut_between_tokens(self, kind: str) -> None:
        server = OpenAIServer(kind)
        server.script = KOREAN
        async with running(server) as engine:
            events = await events_of(engine, request(max_new_tokens=50))

        assert text_of(events) == "안녕하세요 😀 그렇군요 👨‍👩‍👧 끝"
        assert events[-1].finish_reason == "stop"

    @pytest.mark.parametrize("kind", ["llama.cpp", "transformers"])
    async def test_an_answer_goes_on_with_the_same_text_from_any_token(self, kind: str) -> None:
        async with running(OpenAIServer(kind)) as engine:
            whole = await events_of(engine, request(max_new_tokens=12))
            for cut in range(1, len(tokens(whole))):
                begun = tuple(tokens(whole)[:cut])
                rest = await events_of(engine, request(max_new_tokens=12, generated=begun))
                joined = Detokenizer(tiny_tokenizer(), [*begun, *tokens(rest)])
                joined.finish()
                assert joined.text.startswith(text_of(whole)[:cut])

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.text(max_size=8), max_size=6))
    def test_tokens_spell_any_text_however_it_is_cut(self, pieces: list[str]) -> None:
        for tokenizer in (byte_level(), byte_fallback()):
            spelling = Spelling(Vocabulary(tokenizer, len(tokenizer), frozenset()).open())
            ids = [token_id for piece in pieces for token_id in spelling.ids_of(piece.replace("\x00", ""))]

            assert spelling.text_of(ids) == "".join(pieces).replace("\x00", "")

    async def test_names_of_control_tokens_in_an_answer_stay_text(self) -> None:
        spelling = Spelling(Vocabulary(tiny_tokenizer(), 320, frozenset()).open())

        ids = spelling.ids_of("<|end|>")

        assert text_of([TokenEvent(token_id) for token_id in ids]) == "<|end|>"


class TestParameters:
    async def test_what_was_asked_arrives_under_the_names_of_the_server(self) -> None:
        server = OpenAIServer()
        asked = request(
            temperature=0.7, top_p=0.9, top_k=11, seed=2**40 + 5, min_p=0.05, repetition_penalty=1.1,
            frequency_penalty=0.5, presence_penalty=0.25, logprobs=3,
        )  # fmt: skip
        async with running(server) as engine:
            await events_of(engine, asked)

        (body,) = server.asked
        expected = {
            "model": "tiny", "prompt": [5, 6, 7], "stream": True, "max_tokens": 8, "temperature": 0.7, "top_p": 0.9,
            "top_k": 11, "min_p": 0.05, "repetition_penalty": 1.1, "frequency_penalty": 0.5, "presence_penalty": 0.25,
            "seed": 5 + 2**40 % 2**31, "logprobs": 3, "return_tokens_as_token_ids": True, "return_token_ids": True,
        }  # fmt: skip
        assert body == expected

    async def test_transformers_gets_all_of_it_as_one_configuration(self) -> None:
        server = OpenAIServer("transformers")
        async with running(server) as engine:
            await events_of(engine, request(temperature=0.7, top_k=11, min_p=0.05, repetition_penalty=1.1))

        (body,) = server.asked
        assert json.loads(body.pop("generation_config")) == {
            "max_new_tokens": 8, "repetition_penalty": 1.1, "eos_token_id": None, "do_sample": True, "temperature": 0.7,
            "top_p": 1.0, "top_k": 11, "min_p": 0.05,
        }  # fmt: skip
        assert body == {"model": "tiny", "prompt": tiny_tokenizer().decode([5, 6, 7]), "stream": True, "seed": 1}

    @pytest.mark.parametrize(
        ("kind", "asked", "param"),
        [
            ("other", {"top_k": 5, "temperature": 1.0}, "top_k"),
            ("other", {"repetition_penalty": 1.1}, "repetition_penalty"),
            ("llama.cpp", {"frequency_penalty": 1.0}, "frequency_penalty"),
            ("llama.cpp", {"logprobs": 0}, "logprobs"),
            ("transformers", {"presence_penalty": 1.0}, "presence_penalty"),
        ],
    )
    async def test_what_a_server_cannot_be_asked_is_refused_by_name(
        self, kind: str, asked: dict[str, object], param: str
    ) -> None:
        server = OpenAIServer(kind)
        async with running(server) as engine:
            error = await error_of(engine, **asked)

        assert isinstance(error, UpstreamCannot)
        assert error.facts == {"param": param}
        assert not server.asked

    async def test_a_schema_is_kept_by_the_server_and_goes_on_where_it_stood(self) -> None:
        asked = request(max_new_tokens=30, grammar=JsonSchema(json.dumps(PERSON)))
        async with running(OpenAIServer()) as engine:
            whole = await events_of(engine, asked)
            rests = [
                await events_of(engine, replace(asked, generated=tuple(tokens(whole)[:cut])))
                for cut in range(1, len(tokens(whole)))
            ]

        jsonschema.validate(json.loads(text_of(whole)), PERSON)
        assert [tokens(rest) for rest in rests] == [tokens(whole)[cut:] for cut in range(1, len(tokens(whole)))]
        assert {rest[-1].finish_reason for rest in rests} == {"stop"}

    @pytest.mark.parametrize("kind", ["vllm", "sglang"])
    async def test_an_answer_that_does_not_come_again_fails_and_does_not_turn_into_another(self, kind: str) -> None:
        asked = request(generated=(9, 9, 9), frequency_penalty=0.5)
        async with running(OpenAIServer(kind)) as engine:
            (event,) = await events_of(engine, asked)

        assert isinstance(event.error, GenerationCrashed)


class TestFailures:
    async def test_a_refused_request_fails_alone_with_the_status(self) -> None:
        server = OpenAIServer()
        server.refusals = [(400, {})]
        async with running(server) as engine:
            error = await error_of(engine)
            after = await events_of(engine, request())

        assert isinstance(error, UpstreamRefused)
        assert error.facts == {"status": 400}
        assert len(tokens(after)) == 8
        assert not engine.lost.is_set()

    @pytest.mark.parametrize("status", [429, 503])
    async def test_a_busy_server_is_asked_again_when_it_wants(self, status: int) -> None:
        server = OpenAIServer()
        server.refusals = [(status, {"Retry-After": "0"}), (status, {"Retry-After": "0.01"})]
        async with running(server) as engine:
            events = await events_of(engine, request())

        assert len(tokens(events)) == 8
        assert len(server.asked) == 3

    async def test_whoever_waits_for_a_busy_server_can_be_cancelled(self) -> None:
        server = OpenAIServer()
        server.refusals = [(503, {"Retry-After": "3600"})]
        async with running(server) as engine, asyncio.timeout(20), aclosing(engine.submit(request())) as events:
            await server.until(lambda: bool(server.asked))
            engine.cancel("a")

            assert [event async for event in events] == [TokenEvent(None, "cancelled")]

    @pytest.mark.parametrize("change", [{"refusals": [(500, {})]}, {"fails_after": 3}, {"breaks_after": 3}])
    async def test_a_server_that_lives_on_loses_only_the_answer_it_dropped(self, change: dict[str, object]) -> None:
        server = OpenAIServer()
        for name, value in change.items():
            setattr(server, name, value)
        async with running(server) as engine:
            dropped = await events_of(engine, request("dropped"))
            server.fails_after = server.breaks_after = None
            after = await events_of(engine, request("after", generated=tuple(tokens(dropped))))

        assert isinstance(dropped[-1].error, EngineLost)
        assert not engine.lost.is_set()
        assert len(tokens(dropped) + tokens(after)) == 8

    async def test_an_aborted_answer_is_given_back(self) -> None:
        server = OpenAIServer()
        server.script, server.finish_reason = [9, 10], "abort"
        async with running(server) as engine:
            events = await events_of(engine, request())

        assert tokens(events) == [9, 10]
        assert isinstance(events[-1].error, EngineLost)

    async def test_a_server_that_is_gone_loses_the_engine_and_all_its_answers(self) -> None:
        server = OpenAIServer()
        async with running(server) as engine:
            pass
        async with serving(server) as url:
            engine = upstream_engine(url, DOORS["vllm"])
            server.go.clear()
            answers = [asyncio.create_task(events_of(engine, request(name))) for name in "abc"]
            await server.until(lambda: server.open == 3)

        ended = await asyncio.gather(*answers)

        assert all(isinstance(events[-1].error, EngineLost) for events in ended)
        assert engine.lost.is_set()
        assert isinstance(await error_of(engine), EngineLost)
        await engine.close()

    async def test_a_server_that_falls_silent_loses_the_engine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("workers.engine.upstream_engine._LOOK_WITHIN_S", 0.05)
        server = OpenAIServer()
        server.go.clear()
        async with running(server, look_every_s=0.05) as engine:
            answer = asyncio.create_task(events_of(engine, request()))
            await server.until(lambda: server.open == 1)
            server.is_deaf = True

            assert isinstance((await answer)[-1].error, EngineLost)
            assert engine.lost.is_set()

    async def test_a_key_that_is_no_longer_taken_loses_the_engine_and_no_answer(self) -> None:
        server = OpenAIServer()
        async with running(server) as engine:
            server.key = "another"
            error = await error_of(engine)

        assert isinstance(error, EngineLost)
        assert engine.lost.is_set()

    @pytest.mark.parametrize("bad", [[400], [-1], ["a"], 7])
    async def test_token_ids_that_the_model_does_not_have_fail_the_answer(self, bad: Any) -> None:
        server = OpenAIServer()
        server.planted_ids = bad
        async with running(server) as engine:
            error = await error_of(engine)

        assert isinstance(error, GenerationCrashed)

    async def test_a_cancelled_answer_ends_on_the_server_too(self) -> None:
        server = OpenAIServer()
        server.go.clear()
        async with running(server) as engine, aclosing(engine.submit(request())) as events:
            await server.until(lambda: server.open == 1)
            engine.cancel("a")

            assert [event async for event in events] == [TokenEvent(None, "cancelled")]
            await server.until(lambda: server.open == 0)


class TestWorker:
    async def test_an_answer_goes_on_through_another_server_when_its_own_dies(self, house: House) -> None:
        first, second = OpenAIServer(), OpenAIServer()
        for server in (first, second):
            server.context_length = 512
        door = replace(DOORS["vllm"], context_length=512)
        sampling = SamplingParams(temperature=0.0, max_new_tokens=40)
        async with contextlib.AsyncExitStack() as stack, serving(second) as other_url:
            url = await stack.enter_async_context(serving(first))
            model = served(upstream_engine(url, door, context_length=512))
            with pytest.raises(EngineLost):
                async with house.worker(lambda: model):
                    first.holds_after = 10
                    asked = await house.ask(sampling=sampling)
                    await house.node.until(lambda: bool(house.node.texts.get(asked.id)))
                    await stack.aclose()
                    await house.node.until(lambda: (asked.id, "queued") in house.node.changes)
            left = await house.get(asked)
            other = served(upstream_engine(other_url, door, context_length=512))
            async with house.worker(lambda: other):
                assert await house.node.final(asked) == "done"

        found = await house.get(asked)
        assert (left.state, found.state, found.attempt) == (GenerationState.QUEUED, GenerationState.DONE, 2)
        assert found.token_ids[: len(left.token_ids)] == left.token_ids != ()
        assert len(found.token_ids) == 40
        assert found.answer == house.node.texts[asked.id] == expected_text(found.token_ids)
        assert second.asked[1]["prompt"][-len(left.token_ids) :] == list(left.token_ids)
