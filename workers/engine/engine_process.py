"""The engine's own process: `python -m workers.engine.engine_process FD`, started by a worker (process_engine.py).

A process of its own, because a thread would share the interpreter's lock with everything else the worker does for its
answers, and both would wait for each other at every tensor operation. It ends when the worker's end of the pair does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from shared.errors import GenerationError, NunmalError
from shared.telemetry import configure_logging
from workers.engine.allocator import keep_freed_memory
from workers.engine.base import Grammar, JsonSchema, Request, TokenEvent
from workers.engine.channel import Channel
from workers.engine.engine_messages import Asked, Cancel, LoadAdapter, Look, Opened, Order, Step, UnloadAdapter
from workers.engine.engine_thread import EngineThread
from workers.engine.kv_memory import reserve
from workers.engine.looking import Looker, answer_to
from workers.engine.model_loader import load
from workers.engine.numerics import use_threads
from workers.engine.vocabulary import Vocabulary
from workers.engine.warm_up import warm_up


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # they reach the whole group; the worker drains, then ends us
        signal.signal(number, signal.SIG_IGN)
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    with contextlib.suppress(EOFError, OSError):
        _serve(channel)
    sys.stderr.flush()
    os._exit(0)  # nothing to keep: taking PyTorch apart takes a second


def _serve(channel: Channel) -> None:
    order: Order = channel.receive()
    configure_logging(order.log_format, order.log_level)
    settings = order.settings
    threading.Thread(target=_end_without_worker, args=(channel,), name="worker-watch", daemon=True).start()
    keep_freed_memory()
    try:
        use_threads(settings.threads)
        loaded = load(
            order.source, device=settings.device, dtype=settings.dtype, max_new_tokens=settings.max_new_tokens
        )
        warm_up(loaded.runner)
        facts = reserve(loaded.runner, loaded.facts, slots=settings.slots, mib=settings.kv_memory_mib)
        engine = EngineThread(
            loaded.runner,
            facts,
            slots=settings.slots + 1,  # one for the self-test of an adapter, which cannot wait for an answer to end
            prefill_chunk=settings.prefill_chunk,
            deliver=channel.send,
            died=lambda: os._exit(1),  # the worker sees it, and gives its answers back
            own_adapter=loaded.own_adapter,
        )
    except NunmalError as error:
        channel.send(error)
        return
    vocabulary = Vocabulary(loaded.tokenizer, loaded.facts.vocabulary, loaded.facts.stop_ids)
    channel.send(
        Opened(
            facts,
            loaded.tokenizer,
            loaded.sampling,
            loaded.stop_text,
            loaded.numerics.reason,
            engine.base,
            sees=loaded.looker is not None,
        )
    )
    looking = ThreadPoolExecutor(1, thread_name_prefix="look")  # beside the engine's own thread, not in its way
    while True:
        message: Request | Cancel | Asked = channel.receive()
        match message:
            case Cancel():
                engine.cancel(message.request_id)
            case Look():
                looking.submit(_look, channel, loaded.looker, message)
            case LoadAdapter() | UnloadAdapter():
                engine.ask(message)
            case Request():
                try:
                    engine.submit(replace(message, grammar=_compiled(message.grammar, vocabulary)))
                except GenerationError as error:
                    channel.send(Step(events=[(message.id, TokenEvent(None, "error", error))]))


def _end_without_worker(channel: Channel) -> None:
    """A worker may end while its model still loads, which takes minutes and most of a GPU: nobody needs it then.

    Returns once the worker has sent something, for from then on it is read."""
    if channel.is_over():
        os._exit(0)


def _look(channel: Channel, looker: Looker | None, message: Look) -> None:
    channel.send(Step(answers=[(message.key, answer_to(looker, message))]))


def _compiled(grammar: Grammar | JsonSchema | None, vocabulary: Vocabulary) -> Grammar | None:
    """Raises SchemaUnsupported."""
    return vocabulary.json_grammar(grammar.schema) if isinstance(grammar, JsonSchema) else grammar


if __name__ == "__main__":
    main()
