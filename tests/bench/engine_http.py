"""32 clients at once over HTTP: `nunmal up` through /v1, against `transformers serve` with continuous batching.

Both servers and the clients may use all cores, and both compute a forward pass with one thread. Each client opens one
stream and reads it to its end; the clock runs from the first request to the last byte.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.accounts import make_key, make_user
from tests.bench.engine_models import random_texts
from tests.bench.engine_throughput import Bench
from tests.bench.peers.environments import BUILD, PeerMissing, installed
from tests.bench.peers.transformers_cb import blocks
from tests.bench.processes import cpu_of_process
from tests.service import Process, group_members
from tests.transformers_serve import NotServing, transformers_serve

CLIENTS = 32
_PROMPT = 64
_READY_WITHIN_S = 180
_ANSWERED_WITHIN_S = 300
_EMAIL = "bench@example.com"


@dataclass(frozen=True, slots=True)
class Server:
    """An OpenAI-compatible server that runs. `extra`: what its requests take besides."""

    address: str
    key: str
    model: str
    extra: dict[str, Any]
    group: int  # of its processes


@dataclass(frozen=True, slots=True)
class HttpRound:
    seconds: float
    cpu_s: float  # of all the server's processes
    tokens: int

    @property
    def speed(self) -> float:
        return self.tokens / self.seconds


async def over_serve(bench: Bench, model: Path, *, rounds: int, new: int) -> dict[str, Any]:
    """Tokens a second of ours over theirs, median over rounds in which they take turns."""
    try:
        python = installed("transformers_serve")
    except PeerMissing as error:
        return {"over_transformers_serve_32": None, "why_null": str(error)}
    chance = random.Random(f"{bench.seed} http")
    texts = await asyncio.to_thread(random_texts, model, CLIENTS * (rounds + 1), _PROMPT, chance)
    ours: list[HttpRound] = []
    theirs: list[HttpRound] = []
    async with _ours(model) as our_server, _serve(python, model, new) as their_server:
        for round_ in range(rounds + 1):
            some = texts[round_ * CLIENTS :][:CLIENTS]
            turns = [(our_server, ours), (their_server, theirs)]
            for server, measured in turns if round_ % 2 else reversed(turns):
                measured.append(await _ask_all(server, some, new))
    ours, theirs = ours[1:], theirs[1:]  # the first one warms up
    ratios = [a.speed / b.speed for a, b in zip(ours, theirs, strict=True)]
    cpu_ratios = [(a.tokens / a.cpu_s) / (b.tokens / b.cpu_s) for a, b in zip(ours, theirs, strict=True)]
    return {
        "over_transformers_serve_32": statistics.median(ratios),
        "by_cpu": statistics.median(cpu_ratios),
        "clients": CLIENTS,
        "prompt": _PROMPT,
        "new": new,
        "ours": [asdict(one) for one in ours],
        "theirs": [asdict(one) for one in theirs],
    }


@contextlib.asynccontextmanager
async def _ours(model: Path) -> AsyncIterator[Server]:
    """`nunmal up` with its default settings, but for limits a person has."""
    settings = {
        "NUNMAL_MODEL": str(model),
        "NUNMAL_WORKER__DTYPE": "float32",
        "NUNMAL_WEB__TOKENS_PER_MINUTE": "0",
        "NUNMAL_WEB__TOKENS_PER_DAY": "0",
    }
    with tempfile.TemporaryDirectory() as home, Process("up", "--port", "0", NUNMAL_HOME=home, **settings) as process:
        address = await asyncio.to_thread(process.wait_ready, _READY_WITHIN_S)
        await asyncio.to_thread(make_user, Path(home), _EMAIL, "지우")
        key = await asyncio.to_thread(make_key, Path(home), _EMAIL)
        extra = {"stream_options": {"include_usage": True}}
        name = await _only_model(address, key)
        yield Server(address, key, name, extra, process.pid)


@contextlib.asynccontextmanager
async def _serve(python: Path, model: Path, new: int) -> AsyncIterator[Server]:
    """Raises PeerMissing if it does not start."""
    room = blocks(CLIENTS, _PROMPT + new)  # by default it would take nine tenths of the memory
    options = ("--continuous-batching", "--cb-num-blocks", str(room))
    try:
        async with transformers_serve(python, str(model), BUILD / "transformers_serve.log", *options) as served:
            yield Server(served.address, "", str(model), {}, served.group)
    except NotServing as error:
        raise PeerMissing(str(error)) from error


async def _only_model(address: str, key: str) -> str:
    status, body = await _request(address, key, "GET /v1/models", b"")
    if status != 200:
        raise RuntimeError(f"/v1/models: {status}")
    return str(json.loads(body)["data"][0]["id"])


async def _ask_all(server: Server, texts: list[str], new: int) -> HttpRound:
    pids = group_members(server.group)
    before, begun = sum(map(cpu_of_process, pids)), time.perf_counter()
    await asyncio.gather(*(_ask(server, text, new) for text in texts))
    seconds = time.perf_counter() - begun
    cpu_s = sum(map(cpu_of_process, pids)) - before
    return HttpRound(seconds, cpu_s, len(texts) * new)


async def _ask(server: Server, text: str, new: int) -> None:
    """Raises RuntimeError if the answer has not exactly `new` tokens."""
    said = {"messages": [{"role": "user", "content": text}], "max_tokens": new, "temperature": 0, "stream": True}
    body = json.dumps({"model": server.model, **said, **server.extra}, ensure_ascii=False).encode()
    async with asyncio.timeout(_ANSWERED_WITHIN_S):
        status, stream = await _request(server.address, server.key, "POST /v1/chat/completions", body)
    tokens = completion_tokens(stream) if status == 200 else None
    if tokens != new:
        raise RuntimeError(f"{server.address}: {status}, {tokens} tokens instead of {new}: {stream[-500:]!r}")


def completion_tokens(stream: bytes) -> int | None:
    """What the usage at the end of a stream of events says; None: there is no usage."""
    tokens = None
    for line in stream.split(b"\n"):
        if line.startswith(b"data: {"):
            usage = json.loads(line.removeprefix(b"data: ")).get("usage") or {}
            tokens = usage.get("completion_tokens", tokens)
    return tokens


async def _request(address: str, key: str, what: str, body: bytes) -> tuple[int, bytes]:
    """Status and whole body."""
    url = urlsplit(address)
    reader, writer = await asyncio.open_connection(url.hostname, url.port, limit=1 << 22)
    try:
        head = f"{what} HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n"
        kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write((head + kind).encode() + body)
        status = int((await reader.readline()).split()[1])
        is_chunked = False
        while (line := await reader.readline()) != b"\r\n":
            is_chunked |= line.lower().replace(b" ", b"") == b"transfer-encoding:chunked\r\n"
        whole = await reader.read()
        return status, dechunked(whole) if is_chunked else whole
    finally:
        writer.close()


def dechunked(body: bytes) -> bytes:
    """The content of a chunked body (RFC 9112, 7.1)."""
    content, at = bytearray(), 0
    while size := int(body[at : (end := body.index(b"\r\n", at))], 16):
        content += body[end + 2 : end + 2 + size]
        at = end + 2 + size + 2
    return bytes(content)
