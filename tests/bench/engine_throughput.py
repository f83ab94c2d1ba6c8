"""Tokens a second of all ways over the same prompts, in rounds in which the ways take turns."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.engine_models import random_prompts
from tests.bench.engine_report import OURS, Divergence, Equality, Run, Sample, first_difference
from tests.bench.engine_ways import STATIC, DType, PeerWay, Way, our_way, peer_way
from tests.bench.peers.environments import PeerMissing
from tests.bench.processes import Cores

_WARM_UP_TOKENS = 4
_OPENING_S = 120  # until all ways have their model loaded


@dataclass(frozen=True, slots=True)
class Load:
    """So many prompts of so many tokens at once, answered with `new` tokens, `rounds` times by each of `ways`."""

    prompt: int
    new: int
    batch: int
    rounds: int
    ways: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bench:
    """What all measurements need."""

    cores: Cores
    directory: Path  # for models and what else is made
    seed: int
    commit: str
    ends_at: float  # time.monotonic(); no round is begun that would probably end later

    def has_time(self, seconds: float) -> bool:
        return time.monotonic() + seconds < self.ends_at


@dataclass(slots=True)
class Measured:
    runs: list[Run] = field(default_factory=list)
    equality: dict[int, Equality] = field(default_factory=dict)  # ours against static batching, by prompt length
    missing: dict[str, str] = field(default_factory=dict)  # ways that could not take part, and why
    skipped: list[Load] = field(default_factory=list)  # no time was left


async def measure(bench: Bench, model: str, source: Path, dtype: DType, loads: Sequence[Load]) -> Measured:
    """All loads of one model in one precision. A peer that fails is left out from then on."""
    measured, tokens = Measured(), max(load.prompt + load.new for load in loads)
    if not bench.has_time(_OPENING_S):
        measured.skipped += loads
        return measured
    async with contextlib.AsyncExitStack() as stack:
        ways: dict[str, Way] = {
            OURS: await stack.enter_async_context(our_way(source, dtype, bench.cores, tokens)),
        }
        for peer in dict.fromkeys(way for load in loads for way in load.ways if way != OURS):
            try:
                ways[peer] = await stack.enter_async_context(peer_way(peer, source, dtype, bench.cores, tokens))
            except PeerMissing as error:
                measured.missing[peer] = str(error)
        for load in loads:
            if not bench.has_time(0):
                measured.skipped.append(load)
                continue
            await _measure_load(bench, model, dtype, load, ways, measured)
    return measured


async def _measure_load(
    bench: Bench, model: str, dtype: DType, load: Load, ways: dict[str, Way], measured: Measured
) -> None:
    names = [way for way in load.ways if way in ways]
    chance = random.Random(f"{bench.seed} {model} {load.prompt} {load.batch}")
    samples: dict[str, list[Sample]] = {name: [] for name in names}
    answers: dict[str, list[list[int]]] = {name: [] for name in names}
    prompts: list[list[int]] = []
    begun, done = time.monotonic(), 0
    for round_ in range(-1, load.rounds):
        spent = time.monotonic() - begun
        if round_ > 0 and not bench.has_time(spent / (done + 1)):
            break
        some = random_prompts(load.batch, load.prompt, chance)
        for name in [*names[round_ % len(names) :], *names[: round_ % len(names)]]:
            try:
                sample, given = await ways[name].answer(some, load.new if round_ >= 0 else _WARM_UP_TOKENS)
            except (RuntimeError, TimeoutError) as error:
                if name == OURS:
                    raise
                measured.missing[name] = (
                    f"{error} (batch {load.batch}, prompts of {load.prompt} tokens, {model} {dtype})"
                )
                del ways[name]
                names = [other for other in names if other != name]
                continue
            if round_ >= 0:
                samples[name].append(sample)
                answers[name] += given
        if round_ >= 0:
            prompts += some
            done += 1
    for name in names:
        equal = sum(a == b for a, b in zip(answers[name], answers.get(STATIC, []), strict=False))
        measured.runs.append(
            Run(
                model,
                dtype,
                load.prompt,
                load.new,
                load.batch,
                name,
                bench.seed,
                bench.commit,
                samples[name],
                len(answers.get(STATIC, [])),
                equal,
            )
        )
    static = ways.get(STATIC)
    if isinstance(static, PeerWay) and STATIC in names:
        equality = measured.equality.setdefault(load.prompt, Equality())
        await _compare(load, prompts, answers[OURS], answers[STATIC], static, equality)


async def _compare(
    load: Load,
    prompts: list[list[int]],
    ours: list[list[int]],
    static: list[list[int]],
    way: PeerWay,
    equality: Equality,
) -> None:
    """Count what differs, and ask how near the two likeliest tokens were where it first does."""
    places: list[int] = []
    rows: list[list[int]] = []
    for prompt, left, right in zip(prompts, ours, static, strict=True):
        at = first_difference(left, right)
        equality.answers += 1
        equality.tokens += len(left) if at is None else at + 1
        if at is not None:
            places.append(at)
            rows.append(prompt + right[:at])
    gaps = await way.gaps(rows) if rows else []
    equality.divergences += [Divergence(load.prompt, load.batch, at, gap) for at, gap in zip(places, gaps, strict=True)]
