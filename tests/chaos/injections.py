"""The faults: each strikes something that carries answers, and tells which answers it struck."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

import aio_pika

from shared.broker.rabbitmq import RabbitBroker
from shared.messages import GenerateReply
from tests.chaos.checker import Answer, gap_s
from tests.chaos.client import Browser
from tests.chaos.planted import POISON
from tests.chaos.system import Service, System
from tests.rabbitmq_node import clear_policy, close_all_connections, restart, set_policy
from tests.waiting import until

LONG_TOKENS = 200  # at least one struck answer is that far when it is struck

_FEWEST_STRUCK = 3
_STRIKE_WITHIN_S = 30.0
_FROZEN_S = 8.5
_POLICY = "chaos"
_PERMITS = 4  # that may wait while the queue is being filled
_FLOODERS = 3
_FLOOD = 20  # questions of each of them
_GIVEN_UP_WITHIN_S = 90.0


@dataclass(frozen=True, slots=True)
class Injection:
    kind: str
    target: str
    at: float  # time.monotonic
    struck: list[Answer]

    def gaps(self) -> list[float]:
        """Seconds to the next visible character of each struck answer that had one to come."""
        gaps = (gap_s(self.at, answer.transcript.grown_at) for answer in self.struck)
        return [gap for gap in gaps if gap is not None]


class Missed(Exception):
    """There was nothing worth striking for too long."""


class Injector:
    """`extra` owns the browsers that an injection brings along; their answers are judged too."""

    def __init__(
        self, system: System, browsers: Sequence[Browser], choice: random.Random, extra: Callable[[str], Browser]
    ) -> None:
        self._system = system
        self._browsers = browsers
        self._choice = choice
        self._extra = extra

    async def perform(self, kind: str) -> Injection:
        """Raises Missed."""
        return await KINDS[kind](self)

    async def sigkill_worker(self) -> Injection:
        worker, struck = await self._busy_worker()
        at = time.monotonic()
        worker.signal(signal.SIGKILL)
        return Injection("sigkill_worker", worker.name, at, struck)

    async def sigkill_engine(self) -> Injection:
        worker, struck = await self._busy_worker()
        at = time.monotonic()
        worker.kill_engine()
        return Injection("sigkill_engine", worker.name, at, struck)

    async def sigstop_worker(self) -> Injection:
        worker, struck = await self._busy_worker()
        at = time.monotonic()
        worker.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(_FROZEN_S)
        finally:
            worker.signal(signal.SIGCONT)
        return Injection("sigstop_worker", worker.name, at, struck)

    async def sigterm_worker(self) -> Injection:
        worker, struck = await self._busy_worker()
        at = time.monotonic()
        worker.signal(signal.SIGTERM)
        return Injection("sigterm_worker", worker.name, at, struck)

    async def sigkill_web(self) -> Injection:
        address = self._choice.choice(list(self._system.webs))
        struck = await self._carried(lambda answer, _: answer.node == address)
        at = time.monotonic()
        self._system.webs[address].signal(signal.SIGKILL)
        return Injection("sigkill_web", self._system.webs[address].name, at, struck)

    async def restart_broker(self) -> Injection:
        kill = self._choice.random() < 0.5
        struck = await self._carried()
        async with self._disconnection() as disconnected:
            await asyncio.to_thread(restart, self._system.broker, kill=kill)
            at = await disconnected
        return Injection("restart_broker", "SIGKILL" if kill else "in order", at, struck)

    async def restart_store(self) -> Injection:
        struck = await self._carried()
        at = time.monotonic()
        self._system.store.signal(signal.SIGKILL)
        return Injection("restart_store", "SIGKILL", at, struck)

    async def cut_client(self) -> Injection:
        """The sockets of a quarter of the browsers that read."""
        struck = await self._carried()
        struck = self._choice.sample(struck, max(_FEWEST_STRUCK, len(struck) // 4))
        at = time.monotonic()
        for browser in self._browsers:
            if browser.answer in struck:
                browser.cut()
        return Injection("cut_client", f"{len(struck)} browsers", at, struck)

    async def close_amqp(self) -> Injection:
        struck = await self._carried()
        async with self._disconnection() as disconnected:
            await asyncio.to_thread(close_all_connections, self._system.broker)
            at = await disconnected
        return Injection("close_amqp", "all connections", at, struck)

    async def fill_queue(self) -> Injection:
        """More questions than slots and queue can take: some are refused, and all others answered."""
        flooders = [self._extra(f"flood {number}") for number in range(_FLOODERS)]
        for flooder in flooders:
            await flooder.sign_up()
        await asyncio.to_thread(set_policy, self._system.broker, _POLICY, r"^chat\.req\.chat\.", max_length=_PERMITS)
        try:
            struck = await self._carried()
            at = time.monotonic()
            flood = [(flooder, self._choice.choice(struck).prompt) for flooder in flooders for _ in range(_FLOOD)]
            asking = [asyncio.create_task(flooder.ask(prompt, is_patient=False)) for flooder, prompt in flood]
            answers = await asyncio.gather(*asking)
            refused = sum(answer.is_refused for answer in answers)
            # Lifted while it refuses, RabbitMQ would refuse for ever (rabbitmq-server #12206): first the line must end.
            accepted = [(person, answer) for person in flooders for answer in person.answers if not answer.is_refused]
            await asyncio.gather(*(person.read(answer) for person, answer in accepted))
        finally:
            await asyncio.to_thread(clear_policy, self._system.broker, _POLICY)
        if not refused:
            raise Missed("nobody was refused")
        return Injection("fill_queue", f"{refused} of {len(answers)} refused", at, struck)

    async def poison(self) -> Injection:
        """A question that kills every worker it meets, until it is given up."""
        person = self._extra("poison")
        await person.sign_up()
        carried = await self._carried()
        running = await self._system.running()
        workers = {worker.worker_id: worker for worker in self._system.workers}
        asked_at = time.monotonic()
        with contextlib.suppress(TimeoutError):  # what is missing will be judged
            async with asyncio.timeout(_GIVEN_UP_WITHIN_S):
                await person.read(await person.ask(f"{POISON} 이 질문은 위험해요.", is_poison=True))
        ends = sorted(
            (at, worker_id) for worker_id, worker in workers.items() for at in worker.ended_at if at > asked_at
        )
        if not ends:
            raise Missed("no worker died of it")
        at, first_id = ends[0]
        struck = [answer for answer in carried if running.get(answer.generation_id, ("", 0))[0] == first_id]
        return Injection("poison", f"killed {len(ends)}", at, struck)

    async def duplicate_publish(self) -> Injection:
        """Permits of running and of finished answers again, twice each, and forms that are sent again."""
        struck = await self._carried()
        over = [answer for browser in self._browsers for answer in browser.answers if answer.transcript.is_over]
        some_over = self._choice.sample(over, min(5, len(over)))
        at = time.monotonic()
        async with RabbitBroker(self._system.broker.url) as broker:
            for answer in [*struck, *some_over] * 2:
                await broker.publish_permit(self._system.lane, GenerateReply(generation_id=answer.generation_id))
        for browser in self._choice.sample(list(self._browsers), 8):
            if browser.answer:
                await browser.ask_again(browser.answer)
        return Injection("duplicate_publish", f"{len(struck) + len(some_over)} permits", at, struck)

    async def _busy_worker(self) -> tuple[Service, list[Answer]]:
        worker = self._choice.choice(self._system.workers)
        return worker, await self._carried(lambda _, worker_id: worker_id == worker.worker_id)

    async def _carried(self, belongs: Callable[[Answer, str], bool] = lambda answer, worker_id: True) -> list[Answer]:
        """Answers in mid-writing, with browsers that read them, as soon as there are enough and one is long.

        `belongs`: which of them, by answer and worker. Raises Missed.
        """

        async def worth_striking() -> list[Answer]:
            running = await self._system.running()
            reading = (browser.answer for browser in self._browsers)
            found = [
                answer
                for answer in reading
                if answer and answer.is_in_midst and answer.node and answer.generation_id in running
                if belongs(answer, running[answer.generation_id][0])
            ]
            longest = max((running[answer.generation_id][1] for answer in found), default=0)
            return found if len(found) >= _FEWEST_STRUCK and longest >= LONG_TOKENS else []

        found = await until(worth_striking, _STRIKE_WITHIN_S)
        if found is None:
            raise Missed("too few answers in mid-writing")
        return found

    @contextlib.asynccontextmanager
    async def _disconnection(self) -> AsyncIterator[asyncio.Future[float]]:
        """The moment at which the broker lets go of a connection of our own."""
        lost: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        connection = await aio_pika.connect(self._system.broker.url)
        connection.close_callbacks.add(lambda *_: None if lost.done() else lost.set_result(time.monotonic()))
        try:
            yield lost
        finally:
            await connection.close()


KINDS: dict[str, Callable[[Injector], Awaitable[Injection]]] = {
    each.__name__: each
    for each in (
        Injector.sigkill_worker,
        Injector.sigkill_engine,
        Injector.sigstop_worker,
        Injector.sigterm_worker,
        Injector.sigkill_web,
        Injector.restart_broker,
        Injector.restart_store,
        Injector.cut_client,
        Injector.close_amqp,
        Injector.fill_queue,
        Injector.poison,
        Injector.duplicate_publish,
    )
}
