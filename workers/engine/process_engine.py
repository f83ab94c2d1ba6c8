"""The engine in a process of its own (engine_process.py), as the worker sees it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from dataclasses import replace

from shared.errors import EngineLost, ModelError, NunmalError
from shared.settings import environment_without_settings
from workers.engine.base import EngineStats, Request, TokenEvent
from workers.engine.channel import LENGTH_BYTES, Channel, length_of, packed, unpacked
from workers.engine.engine_messages import Asked, Cancel, Opened, Order, Step
from workers.engine.event_stream import EventStream
from workers.engine.streaming_engine import OnStep, StreamingEngine

MODULE = "workers.engine.engine_process"

_CLOSE_TIMEOUT_S = 10.0


class ProcessEngine(StreamingEngine):
    """`start` it in a thread; everything else belongs to one event loop."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        end: socket.socket,
        opened: Opened,
        slots: int,
        on_step: OnStep,
    ) -> None:
        super().__init__(opened.facts)
        self.base = opened.base
        self.opened = opened
        self._process = process
        self._end = end
        self._stats = EngineStats(0, 0, slots)
        self._on_step = on_step
        self._outgoing: asyncio.Queue[object] = asyncio.Queue()
        self._talking: asyncio.Task[None] | None = None
        self._is_closed = False

    @classmethod
    def start(cls, order: Order, on_step: OnStep = lambda step: None) -> ProcessEngine:
        """Start the process and wait until its model is loaded: seconds to minutes.

        `on_step` is called after every step that ended or continued an answer. Raises ModelError or ConfigError.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", MODULE, str(theirs.fileno())]
            process = subprocess.Popen(  # noqa: S603 - our own module
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=environment_without_settings(),  # its order comes over the socket
            )
        channel = Channel(ours)
        try:
            channel.send(order)
            answer: Opened | NunmalError = channel.receive()
        except (EOFError, OSError) as error:
            ours.close()
            raise ModelError(f"model {order.source}: its engine ended with {process.wait()} while loading") from error
        if isinstance(answer, NunmalError):
            ours.close()
            process.wait()
            raise answer
        return cls(process, ours, answer, order.settings.slots, on_step)

    @property
    def pid(self) -> int:
        return self._process.pid

    def submit(self, request: Request) -> EventStream:
        self._begin_talking()
        return super().submit(request)

    def stats(self) -> EngineStats:
        running = min(len(self._streams), self._stats.slots)
        waiting = len(self._streams) - running
        return replace(self._stats, running=running, waiting=waiting, adapters=frozenset(self._named.values()))

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        if self._talking is not None:
            self._talking.cancel()
            await asyncio.wait([self._talking])
        self._end.close()  # the process sees it and ends
        self._end_all(TokenEvent(None, "cancelled"))
        try:
            await asyncio.to_thread(self._process.wait, _CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    def _send(self, request: Request) -> None:
        if self._is_closed:
            self._receive([(request.id, TokenEvent(None, "cancelled"))])
        elif self.lost.is_set():
            self._receive([(request.id, TokenEvent(None, "error", EngineLost()))])
        else:
            self._outgoing.put_nowait(request)

    def _send_cancel(self, request_id: str) -> None:
        self._outgoing.put_nowait(Cancel(request_id))

    def _send_asked(self, message: Asked) -> None:
        self._begin_talking()
        self._outgoing.put_nowait(message)

    def _begin_talking(self) -> None:
        if self._talking is None and not self._is_closed:
            self._talking = asyncio.get_running_loop().create_task(self._talk())

    async def _talk(self) -> None:
        """Until cancelled or the process ends."""
        reader, writer = await asyncio.open_connection(sock=self._end)
        with contextlib.closing(writer):
            writing = asyncio.create_task(self._write(writer))
            try:
                while True:
                    length = length_of(await reader.readexactly(LENGTH_BYTES))
                    self._take(unpacked(await reader.readexactly(length)))
            except (asyncio.IncompleteReadError, ConnectionError):
                self.lost.set()
                self._end_all(TokenEvent(None, "error", EngineLost()))
            finally:
                writing.cancel()

    async def _write(self, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):  # the reading side says so
            while True:
                writer.write(packed(await self._outgoing.get()))
                await writer.drain()

    def _take(self, step: Step) -> None:
        if step.stats is not None:
            self._stats = replace(step.stats, slots=self._stats.slots)  # the one for self-tests is not told
            self._on_step(step)
        self._receive(step.events)
        for key, answer in step.answers:
            self._receive_answer(key, answer)
