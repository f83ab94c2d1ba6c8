"""A question to a model, or an adapter of it, before people's."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from shared.chat import Message, Role
from shared.errors import ModelError
from shared.prompting import prompt_ids
from workers.engine.base import Request
from workers.served_model import ServedModel

_SELF_TEST_S = 60.0


async def self_test(model: ServedModel, adapter: str | None = None) -> None:
    """One token from a Korean prompt: chat template, model and engine work. Raises ModelError, TimeoutError."""
    name = f"model {model.name}" if adapter is None else f"adapter {adapter}"
    try:
        prompt = prompt_ids([Message(Role.USER, "안녕하세요?")], model.tokenizer)
    except Exception as error:  # a chat template may fail in any way
        raise ModelError(f"{name}: its chat template fails ({error})") from error
    request = Request(
        f"self-test {adapter or ''}",
        tuple(prompt),
        (),
        seed=0,
        temperature=0.0,
        top_p=1.0,
        top_k=0,
        max_new_tokens=1,
        adapter=adapter,
    )
    async with asyncio.timeout(_SELF_TEST_S), aclosing(model.engine.submit(request)) as events:
        async for event in events:
            if event.error is not None:
                raise ModelError(f"{name}: its self-test failed ({event.error})") from event.error
