"""Frames out: every stream's new text to every web node that shows it, gathered into one message per node.

The first text of an answer leaves at once; later text waits for company, for `frame_ms` or longer (`gathering_s`).
Text that could not be sent because the broker is away is sent when it is back, from where each node was. Only the one
task in `run` sends frames, so they arrive in order.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from shared.broker.base import Broker
from shared.chat import GenerationState, TokenLogprob
from shared.errors import BrokerUnavailable
from shared.messages import Frame, FrameToken, GenerationChanged, TokensGenerated
from shared.telemetry import fields

log = logging.getLogger(__name__)

_RETRY_S = 0.2
_SEND_TIMEOUT_S = 5.0
_FLUSH_TIMEOUT_S = 2.0
_PER_STREAM_S = 0.0015  # what a piece costs a web node, its broker and its browser, a few times over
_LONGEST_S = 0.1  # ten pieces a second still flow


class AnswerStream:
    """One answer on its way out. Once there is new text, `text` only grows."""

    def __init__(
        self,
        generation_id: str,
        attempt: int,
        text: str,
        listeners: Iterable[str],
        logprobs: Sequence[TokenLogprob],
        publisher: Publisher,
    ) -> None:
        self.generation_id = generation_id
        self.attempt = attempt
        self.text = text
        self._sent = {node_id: len(text) for node_id in listeners}  # code points each node has
        self._logprobs = logprobs
        self._asked: set[str] = set()  # nodes that get a frame even if nothing is new
        self._publisher = publisher
        self._is_begun = False

    @property
    def listeners(self) -> tuple[str, ...]:
        return tuple(self._sent)

    def append(self, text: str) -> None:
        """New text of the answer; it is sent by the publisher's task."""
        if text:
            self.text += text
            self._publisher.wake(at_once=not self._is_begun)
            self._is_begun = True

    def hold_back(self, length: int) -> None:
        """The text beyond may still change, for the answer goes on after its end: it is sent again."""
        self.text = self.text[:length]
        self._sent = {node_id: min(sent, length) for node_id, sent in self._sent.items()}

    def watch(self, node_id: str, offset: int) -> None:
        """This node has `offset` code points of this attempt and wants the rest, now and from now on."""
        self._sent[node_id] = min(offset, len(self.text))
        self._asked.add(node_id)
        self._publisher.wake(at_once=True)

    def take_frames(self) -> dict[str, Frame]:
        """What each node lacks."""
        return {
            node_id: Frame(
                generation_id=self.generation_id,
                attempt=self.attempt,
                offset=sent,
                text=self.text[sent:],
                tokens=self._tokens_from(sent),
            )
            for node_id, sent in self._sent.items()
            if sent < len(self.text) or node_id in self._asked
        }

    def _tokens_from(self, offset: int) -> tuple[FrameToken, ...]:
        """Those that begin in the text from there on."""
        begins = [bisect_left(self._logprobs, at, key=lambda token: token.start) for at in (offset, len(self.text))]
        return tuple(
            FrameToken(
                start=token.start,
                spelled=token.bytes,
                logprob=token.logprob,
                top=tuple((other.bytes, other.logprob) for other in token.top),
            )
            for token in self._logprobs[begins[0] : begins[1]]
        )

    def mark_sent(self, node_id: str, frame: Frame) -> None:
        if self._sent.get(node_id) == frame.offset:  # else it asked again meanwhile
            self._sent[node_id] = frame.offset + len(frame.text)
            self._asked.discard(node_id)


def gathering_s(frame_s: float, streams: int) -> float:
    """Seconds for which later text of so many answers is gathered: what is sent a second stays bounded."""
    return max(frame_s, min(_PER_STREAM_S * streams, _LONGEST_S))


class Publisher:
    """`run` must run as a task while streams are open."""

    def __init__(self, broker: Broker, worker_id: str, frame_s: float) -> None:
        """`frame_s`: seconds for which later text is gathered at least."""
        self._broker = broker
        self._worker_id = worker_id
        self._frame_s = frame_s
        self._streams: set[AnswerStream] = set()
        self._has_news = asyncio.Event()
        self._is_urgent = asyncio.Event()
        self._sent_some = asyncio.Condition()

    def open(
        self,
        generation_id: str,
        attempt: int,
        text: str,
        listeners: Iterable[str],
        logprobs: Sequence[TokenLogprob] = (),
    ) -> AnswerStream:
        """A stream whose listeners are taken to have `text` already (a checkpoint they can read in the store).
        `logprobs`, which the caller adds to before it appends text, travel with the text they belong to."""
        stream = AnswerStream(generation_id, attempt, text, listeners, logprobs, self)
        self._streams.add(stream)
        return stream

    def close(self, stream: AnswerStream) -> None:
        self._streams.discard(stream)

    def wake(self, *, at_once: bool) -> None:
        self._has_news.set()
        if at_once:
            self._is_urgent.set()

    async def flush(self, stream: AnswerStream) -> None:
        """Return when all of the stream's text was sent, or when that was tried in vain for 2 s."""
        try:
            async with asyncio.timeout(_FLUSH_TIMEOUT_S), self._sent_some:
                while stream.take_frames():
                    self.wake(at_once=True)
                    await self._sent_some.wait()
        except TimeoutError:
            log.warning("frames_not_flushed")

    async def announce(self, stream: AnswerStream, state: GenerationState, also_to: Iterable[str] = ()) -> None:
        """Tell everybody who watches that the state changed. Lost if the broker is away: web then looks again."""
        changed = GenerationChanged(generation_id=stream.generation_id, attempt=stream.attempt, state=state.value)
        for node_id in {*stream.listeners, *also_to}:
            try:
                async with asyncio.timeout(_SEND_TIMEOUT_S):
                    await self._broker.publish_to_node(node_id, changed)
            except (BrokerUnavailable, TimeoutError) as error:
                log.info("change_not_announced", extra=fields(reason=type(error).__name__))

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._has_news.wait()
            if not self._is_urgent.is_set():
                try:
                    async with asyncio.timeout(gathering_s(self._frame_s, len(self._streams))):
                        await self._is_urgent.wait()
                except TimeoutError:
                    pass
            self._has_news.clear()
            self._is_urgent.clear()
            if await self._send_frames():
                async with self._sent_some:
                    self._sent_some.notify_all()
            else:
                await asyncio.sleep(_RETRY_S)
                self._has_news.set()

    async def _send_frames(self) -> bool:
        """One message per node. False if the broker is away; what was not sent stays due."""
        due: dict[str, list[tuple[AnswerStream, Frame]]] = {}
        for stream in self._streams:
            for node_id, frame in stream.take_frames().items():
                due.setdefault(node_id, []).append((stream, frame))
        for node_id, pieces in due.items():
            message = TokensGenerated(worker_id=self._worker_id, frames=tuple(frame for _, frame in pieces))
            try:
                async with asyncio.timeout(_SEND_TIMEOUT_S):
                    await self._broker.publish_to_node(node_id, message)
            except (BrokerUnavailable, TimeoutError) as error:
                log.info("frames_wait", extra=fields(reason=type(error).__name__))
                return False
            for stream, frame in pieces:
                stream.mark_sent(node_id, frame)
        return True
