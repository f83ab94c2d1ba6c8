"""From the POST to the first text that a reader sees, on an idle system, above the engine's own first token."""

from __future__ import annotations

import time
from typing import Any

from tests.bench.figures import percentile
from tests.bench.site import Site

_TOKENS = 16
_WARM_UP = 5


async def measure(site: Site, *, samples: int) -> dict[str, Any]:
    """One question at a time, first the engine alone, then the whole way; what is added is their difference."""
    alone_ms, asked_ms, path_ms = [], [], []
    async with site.alone(max_new_tokens=_TOKENS) as engine:
        with site.web() as web, site.worker(max_new_tokens=_TOKENS):
            session = await site.session(web.address)
            for number in range(_WARM_UP + samples):
                question = f"{number}번째 질문이에요. 오늘 저녁에는 무엇을 먹으면 좋을까요?"
                alone_ms.append((await engine.answer([question])).first_token_s[0] * 1000)
                begun = time.perf_counter()
                generation_id = await session.ask(question)
                asked = time.perf_counter()
                first = 0.0
                async for event in session.events(generation_id):
                    if event.name == "text" and not first:
                        first = time.perf_counter()
                asked_ms.append((asked - begun) * 1000)
                path_ms.append((first - begun) * 1000)
    alone_ms, asked_ms, path_ms = alone_ms[_WARM_UP:], asked_ms[_WARM_UP:], path_ms[_WARM_UP:]
    added_ms = [path - alone for path, alone in zip(path_ms, alone_ms, strict=True)]
    return {
        "added_ttft_ms": {"p50": percentile(added_ms, 50), "p99": percentile(added_ms, 99)},
        "added_ms": added_ms,
        "path_ms": path_ms,
        "of_it_post_ms": asked_ms,
        "alone_ms": alone_ms,
    }
