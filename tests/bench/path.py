"""Tokens a second through web, broker and worker, beside the same engine in process; and broker messages for them.

The engine has a core to itself in both. What else the worker does (detokenising, frames, checkpoints) runs on the other
cores, which `worker.threads` leaves free by default; `one_core` has the whole worker on the engine's.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from dataclasses import asdict
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from shared import topology
from shared.messages import decode
from tests.bench.client import Session
from tests.bench.processes import busiest, cpu_seconds, spent_by_threads
from tests.bench.site import Site, Web, WorkerPids

CLIENTS = 32
_DISTURBED = 0.05
_QUESTION = "기억에 남는 여행 이야기를 길게 들려줄 수 있나요?"
_QUESTIONS = [f"{number}번 손님이 묻습니다. {_QUESTION}" for number in range(CLIENTS)]


async def measure(site: Site, *, rounds: int, tokens: int) -> dict[str, Any]:
    """Alternates the ways `rounds` times. The path's clock runs from the first POST to the last character."""
    alone, path, one_core = [], [], []
    async with site.alone(max_new_tokens=tokens) as engine:
        for _ in range(rounds):
            measured = await engine.answer(_QUESTIONS)
            alone.append(asdict(measured))
            path.append(await _path(site, tokens, is_engine_apart=True))
            one_core.append(await _path(site, tokens, is_engine_apart=False))
    ratios = [_speed(a) / _speed(b) for a, b in zip(path, alone, strict=True)]
    one_core_ratios = [_speed(a) / _speed(b) for a, b in zip(one_core, alone, strict=True)]
    cpu_ratios = [_engine_cpu(b) / _engine_cpu(a) for a, b in zip(path, alone, strict=True)]
    fair = [
        ratio for ratio, a, b in zip(ratios, path, alone, strict=True) if not (_is_disturbed(a) or _is_disturbed(b))
    ]
    return {
        "path_over_engine_32": statistics.median(fair) if fair else None,  # None: others kept the engine's core busy
        "undisturbed_rounds": len(fair),
        "ratios": ratios,
        "one_core_ratios": one_core_ratios,
        "engine_cpu_ratios": cpu_ratios,  # the same in seconds that the engine's thread computed: others do not count
        "alone": alone,
        "path": path,
        "one_core": one_core,
    }


async def count_messages(site: Site, *, tokens: int) -> dict[str, Any]:
    """Bind a queue of our own to all exchanges of the product and count what 32 answers send through them."""
    connection = await aio_pika.connect(site.broker_url)
    kinds: Counter[str] = Counter()

    async def count(incoming: AbstractIncomingMessage) -> None:
        kinds[decode(incoming.body).kind] += 1

    async with connection:
        with site.web() as web, site.worker(max_new_tokens=tokens):
            sessions = [await site.session(web.address) for _ in _QUESTIONS]
            generation_id, *_ = await _read(site, sessions[0], "안녕?")
            generation = await site.store.generations.get(generation_id)
            assert generation is not None
            queue = await (await connection.channel()).declare_queue(exclusive=True)
            for node_id in generation.listeners:
                await queue.bind(topology.TOKENS_EXCHANGE, node_id)
            await queue.bind(topology.REQUESTS_EXCHANGE, site.lane)
            await queue.bind(topology.CONTROL_EXCHANGE, "#")
            await queue.consume(count, no_ack=True)
            told = await asyncio.gather(
                *(_read(site, session, question) for session, question in zip(sessions, _QUESTIONS, strict=True))
            )
    written = sum(number for _, number, _, _ in told)
    return {
        "broker_messages_per_1000_tokens": 1000 * sum(kinds.values()) / written,
        "messages": dict(kinds),
        "tokens": written,
        "how": "counted by a queue bound beside the product's own to all its exchanges",
    }


async def _path(site: Site, tokens: int, *, is_engine_apart: bool) -> dict[str, Any]:
    with site.web() as web, site.worker(max_new_tokens=tokens, is_engine_apart=is_engine_apart) as pids:
        sessions = [await site.session(web.address) for _ in _QUESTIONS]
        await _read(site, sessions[0], "안녕?")  # every part has worked once
        return await _round(site, sessions, web, pids)


async def _round(site: Site, sessions: list[Session], web: Web, pids: WorkerPids) -> dict[str, Any]:
    web_cpu, worker_cpu, before = cpu_seconds(web.pid), cpu_seconds(pids.worker), spent_by_threads(pids.engine)
    begun = time.perf_counter()
    told = await asyncio.gather(
        *(_read(site, session, question) for session, question in zip(sessions, _QUESTIONS, strict=True))
    )
    spent = {name: now.since(before.get(name)) for name, now in spent_by_threads(pids.engine).items()}
    engine = spent[busiest(spent, but=pids.engine)]
    return {
        "tokens": sum(tokens for _, tokens, _, _ in told),
        "seconds": max(ended for *_, ended in told) - begun,
        "engine_cpu_s": engine.cpu,
        "engine_waited_s": engine.waited,
        "rest_of_engine_process_cpu_s": sum(thread.cpu for thread in spent.values()) - engine.cpu,
        "rest_of_worker_cpu_s": cpu_seconds(pids.worker) - worker_cpu,
        "web_cpu_s": cpu_seconds(web.pid) - web_cpu,
        "first_texts_s": sorted(first - begun for _, _, first, _ in told),
    }


async def _read(site: Site, session: Session, question: str) -> tuple[str, int, float, float]:
    """Ask and read to the end: id and tokens of the answer, when its first text came, and its last. None may lack."""
    text, first, last = "", 0.0, 0.0
    generation_id = await session.ask(question)
    async for event in session.events(generation_id):
        if event.name == "text":
            last = time.perf_counter()
            first = first or last
            text = text[: event.data["offset"]] + event.data["text"]
    generation = await site.store.generations.get(generation_id)
    assert generation is not None
    if text != generation.answer:
        raise RuntimeError(f"a client has {len(text)} characters of {len(generation.answer)}")
    return generation_id, len(generation.token_ids), first, last


def _is_disturbed(measured: dict[str, Any]) -> bool:
    """Others had the engine's core for more than a twentieth of the time."""
    return bool(measured["engine_waited_s"] > _DISTURBED * measured["seconds"])


def _speed(measured: dict[str, Any]) -> float:
    return float(measured["tokens"] / measured["seconds"])


def _engine_cpu(measured: dict[str, Any]) -> float:
    return float(measured["engine_cpu_s"] / measured["tokens"])
