"""What an OpenAI-compatible server can do, found out once, before it is trusted with answers.

An answer must be continued in its middle, so the prompt must reach the model as it is: as token ids, or as text that
the server cuts into the same ones. That takes `/v1/completions`; `/v1/chat/completions` takes whole messages only.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from shared.errors import ModelError
from shared.telemetry import fields
from workers.engine.upstream_dialect import BY_OWNER, TRANSFORMERS, UNKNOWN, Dialect

log = logging.getLogger(__name__)

KEY_SETTING = "NUNMAL_WORKER__UPSTREAM_KEY"
MODEL_SETTING = "NUNMAL_WORKER__UPSTREAM_MODEL"

_CONNECT_S = 10.0
_FIRST_ANSWER_S = 120.0  # it may load the model when it is first asked
_LOOK_AGAIN_S = 2.0
_TOKENS = 8
# A connection for each request: servers close idle ones just when they are used again, and after an error at once.
NONE_KEPT = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
AWAY = frozenset({502, 503, 504})  # what proxies say of a server behind them
_NOT_SUCH = frozenset({400, 404, 422})


@dataclass(frozen=True, slots=True)
class Door:
    """How one server is asked."""

    model: str  # its name there
    dialect: Dialect
    takes_ids: bool  # prompts may be token ids
    gives_ids: bool  # every chunk has the ids of its tokens
    context_length: int | None  # if it says


@dataclass(slots=True)
class _Tried:
    status: int
    text: str = ""
    ids: list[int] = field(default_factory=list)
    tokens: int | None = None  # by its own count


@dataclass(frozen=True, slots=True)
class Sample:
    """A beginning to try it with, and how its tokenizer reads."""

    text: str
    token_ids: tuple[int, ...]
    decode: Callable[[Sequence[int]], str]


def headers_of(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def open_door(url: str, model: str, key: str | None, sample: Sample, patience_s: float) -> Door:
    """Waits up to `patience_s` for a server that still starts; then a few short completions. Call it in a thread.

    `model`: its name there, "" for the only one. Raises ModelError.
    """
    timeout = httpx2.Timeout(_FIRST_ANSWER_S, connect=_CONNECT_S)
    with httpx2.Client(base_url=url, headers=headers_of(key), timeout=timeout, limits=NONE_KEPT) as client:
        try:
            cards = _cards(client, model, patience_s)
            card = _chosen(cards, model)
            return _tried(client, card, sample)
        except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
            raise _refused(client, f"does not answer as it should ({type(error).__name__})") from error


def _cards(client: httpx2.Client, model: str, patience_s: float) -> list[dict[str, Any]]:
    """What it says of its models: nothing, if it fails at that and a model is named."""
    end = time.monotonic() + patience_s
    while True:
        reason = "connection refused"
        try:
            response = client.get("models")
            if response.status_code not in AWAY:
                break
            reason = f"HTTP {response.status_code}"
        except httpx2.TransportError as error:
            reason = type(error).__name__
        if time.monotonic() >= end:
            raise _refused(client, f"is away ({reason})")
        log.warning("upstream_awaited", extra=fields(host=client.base_url.host, reason=reason))
        time.sleep(min(_LOOK_AGAIN_S, max(0.0, end - time.monotonic())))
    if response.status_code in (401, 403):
        raise _refused(client, f"does not take the key ({KEY_SETTING})")
    if response.status_code == 500 and model:  # transformers without a directory of downloaded models
        return []
    if response.status_code != 200:
        raise _refused(client, f"answers GET models with {response.status_code}; is its address complete (.../v1)?")
    cards: list[dict[str, Any]] = response.json()["data"]
    return [card for card in cards if not card.get("parent")]  # the others are vLLM's adapters


def _chosen(cards: list[dict[str, Any]], model: str) -> dict[str, Any]:
    """A model that is not listed may be there all the same: transformers lists what it has on disk."""
    named = [card for card in cards if not model or card["id"] == model]
    if not model and len(named) != 1:
        names = ", ".join(sorted(str(card["id"]) for card in cards)[:5])
        raise ModelError(f"the upstream serves {len(cards)} models ({names}): name one with {MODEL_SETTING}")
    owner = cards[0].get("owned_by") if cards else None
    return named[0] if named else {"id": model, "owned_by": owner}


def _tried(client: httpx2.Client, card: dict[str, Any], sample: Sample) -> Door:
    model = str(card["id"])
    dialect = BY_OWNER.get(str(card.get("owned_by")), UNKNOWN)
    length = card.get("max_model_len") or (card.get("meta") or {}).get("n_ctx_train")
    asked = {"model": model, "temperature": 0, "max_tokens": _TOKENS, "stream": True}
    wants_ids = {"return_token_ids": True} if dialect.token_ids else {}
    by_ids = _complete(client, asked | wants_ids | {"prompt": list(sample.token_ids)})
    if by_ids.status == 200:
        gives_ids = bool(by_ids.ids) and by_ids.tokens in (None, len(by_ids.ids))
        if gives_ids and _bare(sample.decode(by_ids.ids)) != _bare(by_ids.text):
            raise _refused(client, "has another tokenizer than NUNMAL_MODEL names")
        return Door(model, dialect, True, gives_ids, length)
    by_text = by_ids if by_ids.status not in _NOT_SUCH else _complete(client, asked | {"prompt": sample.text})
    if by_text.status != 200:
        raise _refused(
            client,
            f"answers POST completions with {by_text.status}: there is no model {model!r}, or it takes chat messages "
            "only, with which an answer cannot be continued in its middle",
        )
    if dialect is UNKNOWN and _obeys_generation_config(client, model, sample):
        dialect = TRANSFORMERS
    return Door(model, dialect, False, False, length)


def _obeys_generation_config(client: httpx2.Client, model: str, sample: Sample) -> bool:
    """Only transformers has this field; others refuse it, or write as much as they always do."""
    config = json.dumps({"max_new_tokens": 1, "do_sample": False})
    asked = {"model": model, "prompt": sample.text, "generation_config": config, "stream": True}
    return _complete(client, asked).tokens == 1


def _complete(client: httpx2.Client, asked: dict[str, Any]) -> _Tried:
    with client.stream("POST", "completions", json=asked) as response:
        tried = _Tried(response.status_code)
        if response.status_code != 200:
            return tried
        for event in httpx2.EventSource(response):
            if event.data == "[DONE]":
                break
            chunk: Any = event.json()
            tried.tokens = (chunk.get("usage") or {}).get("completion_tokens", tried.tokens)
            for choice in chunk["choices"]:
                tried.text += choice.get("text") or ""
                tried.ids += choice.get("token_ids") or []
    return tried


def _bare(text: str) -> str:
    """Without what servers leave out: spaces at the beginning, and a character that was cut."""
    return text.replace("\ufffd", "").strip()


def _refused(client: httpx2.Client, reason: str) -> ModelError:
    host = client.base_url.netloc.decode()
    return ModelError(f"upstream {host}: {reason}", model=host, reason=reason)
