"""A small OpenAI-compatible server with real HTTP on loopback, and no model: the next token is a function of the tokens
before it, and of the seed where it is asked to draw. It can be any of the kinds that workers/engine/upstream_dialect.py
knows, keeps to what that kind documents, and can misbehave when told to.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import uvicorn

from tests.tiny_models import END, VOCABULARY, tiny_tokenizer, tiny_vocabulary
from workers.detokenizer import Detokenizer

OWNERS = {
    "vllm": "vllm",
    "sglang": "sglang",
    "llama.cpp": "llamacpp",
    "transformers": "someone",
    "chat": "someone",
    "other": "someone",
}

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]


class OpenAIServer:
    """An ASGI application. Everything a test may change is a plain attribute."""

    def __init__(self, kind: str = "vllm", *, context_length: int = 64, key: str = "") -> None:
        self.kind = kind
        self.context_length = context_length
        self.key = key
        self.asked: list[dict[str, Any]] = []  # bodies of completions, in order
        self.open = 0  # completions being written
        self.changed = asyncio.Event()  # `asked` or `open` has
        self.go = asyncio.Event()  # cleared, the next token waits
        self.go.set()
        self.script: list[int] | None = None  # these tokens instead of the rule's, then the end
        self.refusals: list[tuple[int, dict[str, str]]] = []  # statuses and headers of the next completions
        self.breaks_after: int | None = None  # tokens; then the connection closes in mid-answer
        self.fails_after: int | None = None  # tokens; then an error in the stream
        self.finish_reason = "stop"
        self.is_deaf = False  # nothing is answered any more
        self.holds_after: int | None = None  # tokens; then nothing comes
        self.spoken: Any = tiny_tokenizer()  # what its tokens are decoded with
        self.planted_ids: Any = None  # instead of the tokens' own

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        body = b""
        while (message := await receive()).get("more_body"):
            body += message["body"]
        body += message.get("body", b"")
        if self.is_deaf:
            await asyncio.Event().wait()
        if self.key and (b"authorization", f"Bearer {self.key}".encode()) not in scope["headers"]:
            await _answer(send, 401, {"error": {"message": "no"}})
            return
        if scope["path"] == "/v1/models":
            card = {"id": "tiny", "object": "model", "owned_by": OWNERS[self.kind]}
            await _answer(send, 200, {"data": [card | {"max_model_len": self.context_length}]})
            return
        if scope["path"] != "/v1/completions" or self.kind == "chat":
            await _answer(send, 404, {"detail": "Not Found"})
            return
        asked = json.loads(body)
        self.asked.append(asked)
        self.changed.set()
        if self.refusals:
            status, headers = self.refusals.pop(0)
            await _answer(send, status, {"error": {"message": "no"}}, headers)
            return
        if problem := self._problem(asked):
            await _answer(send, 422, {"detail": problem})
            return
        writing = asyncio.ensure_future(self._stream(asked, send))
        leaving = asyncio.ensure_future(receive())  # the next message is that the client is gone
        self.open += 1
        try:
            await asyncio.wait({writing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (writing, leaving):
                task.cancel()
            self.open -= 1
            self.changed.set()
        if writing.done() and not writing.cancelled() and writing.exception():
            raise ConnectionAbortedError  # uvicorn closes the connection

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    def _problem(self, asked: dict[str, Any]) -> str:
        if self.kind != "transformers":
            return ""
        known = {"model", "prompt", "stream", "seed", "temperature", "max_tokens", "generation_config"}
        if not isinstance(asked["prompt"], str):
            return "prompt must be a string."
        return f"Unexpected fields in the request: {asked.keys() - known}" if asked.keys() - known else ""

    async def _stream(self, asked: dict[str, Any], send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        tokens = list(self._tokens(asked))
        detokenizer = Detokenizer(self.spoken)
        for number, token in enumerate(tokens):
            await self.go.wait()
            if number == self.holds_after:
                await asyncio.Event().wait()
            if number == self.breaks_after:
                raise ConnectionAbortedError
            if number == self.fails_after:
                await _event(send, {"error": {"message": "CUDA out of memory", "code": 500}}, more=False)
                return
            text = detokenizer.push(token)
            is_last = number == len(tokens) - 1
            choice: dict[str, Any] = {"index": 0, "text": text + (detokenizer.finish() if is_last else "")}
            choice["finish_reason"] = self._finish(asked, tokens) if is_last else None
            if asked.get("return_token_ids"):
                choice["token_ids"] = self.planted_ids or [token]
            if asked.get("logprobs") is not None:
                name = f"token_id:{token}"
                top = {name: -0.5, **{f"token_id:{30 + n}": -1.0 - n for n in range(asked["logprobs"])}}
                choice["logprobs"] = {"tokens": [name], "token_logprobs": [-0.5], "top_logprobs": [top]}
            await _event(send, {"choices": [choice]})
        await _event(send, {"choices": [], "usage": {"completion_tokens": len(tokens)}})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})

    def _finish(self, asked: dict[str, Any], tokens: list[int]) -> str:
        return "length" if len(tokens) >= _limit(asked) and self.finish_reason == "stop" else self.finish_reason

    def _tokens(self, asked: dict[str, Any]) -> Iterator[int]:
        prompt = asked["prompt"]
        before = list(tiny_tokenizer().encode(prompt) if isinstance(prompt, str) else prompt)
        if self.script is not None:
            yield from self.script[: _limit(asked)]
            return
        noise = random.Random(asked.get("seed")) if _is_drawn(asked) else None
        format_ = asked.get("response_format")
        schema = json.dumps(format_["json_schema"]["schema"]) if format_ else None
        grammar = tiny_vocabulary().json_grammar(schema).begin(()) if schema else None
        counts: Counter[int] = Counter()
        for _ in range(_limit(asked)):
            token = 5 + (sum(before) * 7 + len(before)) % 90 + (noise.randrange(100) if noise else 0)
            penalty = counts[token] * asked.get("frequency_penalty", 0) + asked.get("presence_penalty", 0)
            if penalty > 0 and counts[token]:
                token = 5 + (token + counts[token]) % 200
            if grammar:
                allowed = grammar.allowed()
                allowed[END] = False
                token = token if allowed[token] else int(allowed.argmax())
                grammar.accept([token])
            counts[token] += 1
            before.append(token % VOCABULARY)
            yield before[-1]
            if grammar and grammar.is_complete:
                return


def _is_drawn(asked: dict[str, Any]) -> bool:
    """More than one token may come next."""
    config = {"do_sample": True, **asked, **json.loads(asked.get("generation_config", "{}"))}
    is_open = config.get("top_k", 0) != 1 and config.get("top_p", 1.0) > 0.01 and config.get("min_p", 0.0) < 1
    return bool(config["do_sample"] and config.get("temperature", 1.0) and is_open)


def _limit(asked: dict[str, Any]) -> int:
    config = json.loads(asked.get("generation_config", "{}"))
    return int(config.get("max_new_tokens", asked.get("max_tokens", 16)))


async def _event(send: Send, data: Any, *, more: bool = True) -> None:
    body = f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
    await send({"type": "http.response.body", "body": body, "more_body": more})
    await asyncio.sleep(0)


async def _answer(send: Send, status: int, data: Any, headers: dict[str, str] | None = None) -> None:
    sent = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": json.dumps(data).encode()})


@contextlib.asynccontextmanager
async def serving(server: OpenAIServer, port: int = 0) -> AsyncIterator[str]:
    """Its address, `/v1` included."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen()
        config = uvicorn.Config(server, log_config=None, lifespan="off", timeout_graceful_shutdown=0)
        http = _Server(config)
        running = asyncio.create_task(http.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        finally:
            http.should_exit = True
            await running


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """They are pytest's."""
        yield
