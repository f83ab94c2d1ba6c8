"""What makes each alert fire: things done to a live system, and undone. Every symptom is an async context manager; it
is there inside, and over outside."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

import httpx

from shared.broker.rabbitmq import RabbitBroker
from shared.dead_letters import DeadLetters
from shared.store import Store
from tests.alerts.stand_in import TOLD, StandIn
from tests.chaos.checker import Answer
from tests.chaos.client import Browser
from tests.chaos.planted import POISON
from tests.chaos.system import Service, System
from tests.waiting import until

_WRITTEN_WITHIN_S = 60.0
_FROZEN_S = 13.0  # longer than the alerts' thresholds
_LONG = "뷁" * 7900  # more tokens than the model's context


@dataclass(frozen=True, slots=True)
class Site:
    """A system under a small load, and people who do as they are told."""

    system: System
    people: list[Browser]
    stand_in: StandIn


Symptom = Callable[[Site], contextlib.AbstractAsyncContextManager[None]]


@contextlib.asynccontextmanager
async def again_and_again(act: Callable[[], Awaitable[None]], pause_s: float) -> AsyncIterator[None]:
    """`act` is repeated inside, `pause_s` after it has ended."""

    async def repeat() -> None:
        while True:
            await act()
            await asyncio.sleep(pause_s)

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()):
            raise error


async def frozen(services: list[Service], seconds: float) -> None:
    """Stopped in mid-work, and then awake again."""
    for service in services:
        service.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        for service in services:
            service.signal(signal.SIGCONT)


@contextlib.asynccontextmanager
async def nobody_works(site: Site) -> AsyncIterator[None]:
    """All workers are frozen, and people go on asking until the waiting room refuses them."""
    turns = itertools.cycle(site.people)

    async def ask() -> None:
        await next(turns).ask("거기 누구 있어요?", is_patient=False)

    for worker in site.system.workers:
        worker.signal(signal.SIGSTOP)
    try:
        async with again_and_again(ask, 0.5):
            yield
    finally:
        for worker in site.system.workers:
            worker.signal(signal.SIGCONT)


async def _is_being_written(system: System, answers: Sequence[Answer]) -> None:
    """Until one of these has tokens in the store. Raises TimeoutError."""
    ids = {answer.generation_id for answer in answers}

    async def has_tokens() -> bool:
        return any(tokens for each, (_, tokens) in (await system.running()).items() if each in ids)

    if not await until(has_tokens, _WRITTEN_WITHIN_S):
        raise TimeoutError("none of the answers is being written")


@contextlib.asynccontextmanager
async def workers_are_killed(site: Site) -> AsyncIterator[None]:
    """One after the other, with answers in their hands."""
    victims = itertools.cycle(site.system.workers)

    async def kill() -> None:
        await site.system.whole()
        asked = await asyncio.gather(*(person.ask("길게 이야기해 주세요.") for person in site.people))
        await _is_being_written(site.system, asked)
        next(victims).signal(signal.SIGKILL)

    async with again_and_again(kill, 5.0):
        yield


@contextlib.asynccontextmanager
async def engines_hang(site: Site) -> AsyncIterator[None]:
    """Their processes are frozen for longer than anybody wants to wait; some ask, some press stop."""

    async def hang() -> None:
        engines = [pid for worker in site.system.workers for pid in worker.pids[1:]]
        running = [(person, await person.ask("길게 이야기해 주세요.")) for person in site.people[:4]]
        await _is_being_written(site.system, [answer for _, answer in running])
        for pid in engines:
            os.kill(pid, signal.SIGSTOP)
        try:
            for person, answer in running:
                await person.stop(answer)
            await asyncio.gather(*(person.ask("안녕?") for person in site.people[4:8]))
            await asyncio.sleep(_FROZEN_S)  # the symptom itself, not a wait for anything
        finally:
            for pid in engines:
                os.kill(pid, signal.SIGCONT)

    async with again_and_again(hang, 3.0):
        yield


@contextlib.asynccontextmanager
async def a_web_node_stutters(site: Site) -> AsyncIterator[None]:
    node = next(iter(site.system.webs.values()))
    async with again_and_again(lambda: frozen([node], 1.5), 1.0):
        yield


@contextlib.asynccontextmanager
async def the_store_stutters(site: Site) -> AsyncIterator[None]:
    async with again_and_again(lambda: frozen([site.system.store], 1.5), 1.0):
        yield


@contextlib.asynccontextmanager
async def the_store_is_gone(site: Site) -> AsyncIterator[None]:
    """Killed as soon as it stands, while people open pages."""

    async def kill() -> None:
        await site.system.store.ready.wait()
        site.system.store.signal(signal.SIGKILL)
        async with httpx.AsyncClient(timeout=20) as client:
            for address in site.system.webs:
                with contextlib.suppress(httpx.TransportError):
                    await client.get(f"{address}/chat", cookies={"nunmal_session": "nobody.nothing"})

    async with again_and_again(kill, 0.5):
        yield
    await site.system.store.ready.wait()


@contextlib.asynccontextmanager
async def the_broker_is_gone(site: Site) -> AsyncIterator[None]:
    await asyncio.to_thread(site.system.broker.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(site.system.broker.start)


@contextlib.asynccontextmanager
async def a_question_kills_workers(site: Site) -> AsyncIterator[None]:
    """Three times, until it is given up. Afterwards an operator takes it off."""
    await site.people[0].ask(f"독이 든 질문 {POISON}", is_poison=True)
    yield
    environment = site.system.environment
    async with (
        Store(environment["NUNMAL_STORE_URL"], environment["NUNMAL_STORE_DATABASE"]) as store,
        RabbitBroker(environment["NUNMAL_BROKER_URL"]) as broker,
    ):
        letters = DeadLetters(store, broker)
        for dead in await letters.all():
            await letters.drop(dead.id, "make alerts")


@contextlib.asynccontextmanager
async def questions_are_too_long(site: Site) -> AsyncIterator[None]:
    """For the model's context: each fails with a reason."""
    turns = itertools.cycle(site.people)

    async def ask() -> None:
        await next(turns).ask(_LONG)

    async with again_and_again(ask, 0.5):
        yield


@contextlib.asynccontextmanager
async def too_many_at_once(site: Site) -> AsyncIterator[None]:
    """More answers than the memory for keys and values holds."""

    async def ask() -> None:
        await asyncio.gather(*(person.ask("길게 이야기해 주세요.", is_patient=False) for person in site.people))

    async with again_and_again(ask, 4.0):
        yield


@contextlib.asynccontextmanager
async def somebody_guesses_keys(site: Site) -> AsyncIterator[None]:
    async with httpx.AsyncClient(base_url=next(iter(site.system.webs)), timeout=20) as client:

        async def guess() -> None:
            await client.get("/v1/models", headers={"Authorization": "Bearer nm-guessed"})

        async with again_and_again(guess, 0.1):
            yield


@contextlib.asynccontextmanager
async def a_stand_in_tells(site: Site) -> AsyncIterator[None]:
    """Not the symptom itself, only its numbers: no GPU can be heated here, and workers that keep two versions of an
    adapter for minutes would be a fault that nobody has seen yet."""

    site.stand_in.text = TOLD
    try:
        yield
    finally:
        site.stand_in.text = ""


SYMPTOMS: dict[Symptom, tuple[str, ...]] = {
    a_stand_in_tells: ("NunmalGpuHot", "NunmalAdaptersDiffer"),
    somebody_guesses_keys: ("NunmalLogInsRefused",),
    a_web_node_stutters: ("NunmalEventLoopLags",),
    the_store_stutters: ("NunmalStoreSlow",),
    questions_are_too_long: ("NunmalAnswersFail",),
    too_many_at_once: ("NunmalKvMemoryShort",),
    engines_hang: ("NunmalSlowFirstToken", "NunmalSlowStop"),
    nobody_works: (
        "NunmalNoWorkers",
        "NunmalLongWait",
        "NunmalMoreWorkersWanted",
        "NunmalWaitingRoomFilling",
        "NunmalQuestionsRefused",
        "NunmalTargetDown",
    ),
    workers_are_killed: ("NunmalPermitsComeAgain",),
    the_store_is_gone: ("NunmalStoreAway", "NunmalHttpErrors"),
    the_broker_is_gone: ("NunmalBrokerAway",),
    a_question_kills_workers: ("NunmalDeadLetters",),
}
