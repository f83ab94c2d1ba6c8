"""Pictures in the batch engine: what `generate` says of prompt and pictures alone, beside others with and without."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shared.errors import GenerationCrashed, GenerationError, ModelError, PicturesUnsupported
from tests.engine_runs import events_of, serving, tokens_of
from tests.greedy import assert_greedy, greedy
from tests.tiny_adapters import BASE_DIGEST, merge, save_tiny_adapter
from tests.tiny_models import (
    CONTEXT_LENGTH,
    END,
    FAMILIES_WITH_EYES,
    PICTURE_SIZE,
    PLACEHOLDER,
    VOCABULARY,
    tiny_model,
    tiny_model_with_eyes,
)
from vision.decoder import EYES_ADAPTER, decoder_linears
from workers.engine.adapters.own_adapter import OwnAdapter
from workers.engine.adapters.served_adapters import ServedAdapters
from workers.engine.base import Picture, Request
from workers.engine.eyes import glimpse, verified
from workers.engine.facts import ModelFacts
from workers.engine.faster_modules import replace_modules
from workers.engine.model_runner import ModelRunner
from workers.engine.transformers_engine import TransformersEngine

TOKENS = 16  # of a picture
SYSTEM = list(range(40, 80))


def picture(number: int) -> Picture:
    pixels = np.random.default_rng(number).normal(size=(3, PICTURE_SIZE, PICTURE_SIZE)).astype(np.float32)
    return Picture(f"picture {number}", pixels)


def pixels_of(pictures: Sequence[Picture]) -> torch.Tensor | None:
    return torch.from_numpy(np.stack([each.pixels for each in pictures])) if pictures else None


def ask(name: str, prompt: Sequence[int], *pictures: Picture, length: int = 24, adapter: str | None = None) -> Request:
    return Request(name, tuple(prompt), (), 0, 0.0, 1.0, 0, length, pictures=pictures, adapter=adapter)


def shown(count: int, question: int) -> list[int]:
    """A prompt of so many pictures, each before some words."""
    return [9, *[token for number in range(count) for token in (*[PLACEHOLDER] * TOKENS, 60 + number)], question]


def engine_for(
    model: Any, blocks: int = 128, own_adapter: OwnAdapter | None = None
) -> AbstractAsyncContextManager[TransformersEngine]:
    seen = glimpse(model)
    runner = ModelRunner(model, blocks)
    replace_modules(runner)
    length = min(CONTEXT_LENGTH, 32 * blocks)
    facts = ModelFacts(BASE_DIGEST, VOCABULARY, length, frozenset({END}), pictures=verified(seen, runner, 1e-4))
    return serving(runner, facts, slots=4, prefill_chunk=11, own_adapter=own_adapter)


@pytest.mark.parametrize("family", FAMILIES_WITH_EYES)
@pytest.mark.parametrize("blocks", [128, 9], ids=["room", "too little memory"])
async def test_with_and_without_pictures_in_one_batch(family: str, blocks: int) -> None:
    oracle = tiny_model_with_eyes(family)
    shows = [(), (1,), (2,), (1, 2), (), (2, 1), (3,), (1,)]  # some twice, some in another order
    asked = [ask(str(number), shown(len(some), 100 + number), *map(picture, some)) for number, some in enumerate(shows)]

    async with engine_for(tiny_model_with_eyes(family), blocks) as engine:
        answers = await asyncio.gather(*(events_of(engine, each) for each in asked))

    for each, events in zip(asked, answers, strict=True):
        assert_greedy(oracle, list(each.prompt), tokens_of(events), pictures=pixels_of(each.pictures))
    assert len({tuple(tokens_of(events)) for events in answers[1:4]}) == 3  # or nothing would be proven


async def test_a_later_turn_shares_what_was_computed_of_its_picture_and_no_other() -> None:
    oracle = tiny_model_with_eyes()
    first = [*SYSTEM, *[PLACEHOLDER] * TOKENS, 90, 91, 92]

    async with engine_for(tiny_model_with_eyes()) as engine:
        answer = tokens_of(await events_of(engine, ask("first", first, picture(1))))
        next_turn = [*first, *answer, 7, 8]
        again = tokens_of(await events_of(engine, ask("next", next_turn, picture(1))))
        shared = engine.stats().shared_tokens
        other = tokens_of(await events_of(engine, ask("other", first, picture(2))))
        shared_by_other = engine.stats().shared_tokens - shared

    assert shared >= 64  # system prompt and picture
    assert shared_by_other == 32  # the block before the picture
    assert_greedy(oracle, next_turn, again, pictures=pixels_of([picture(1)]))
    assert_greedy(oracle, first, other, pictures=pixels_of([picture(2)]))


@pytest.mark.parametrize("named", [None, "lora"])
async def test_a_model_with_an_adapter_of_its_own_sees_with_it_and_talks_without(
    tmp_path: Path, named: str | None
) -> None:
    """In one batch; an adapter that somebody chose is used instead. Its tokens are said with it alone."""
    base = tiny_model_with_eyes()
    targets = list(decoder_linears(base))
    own_tokens = 200  # the others are a third of the vocabulary, so answers of random weights would have some
    own = OwnAdapter(
        save_tiny_adapter(tmp_path / EYES_ADAPTER, base, targets, seed=1, base_digest="files"), "files", own_tokens
    )
    lora = save_tiny_adapter(tmp_path / "lora", base, targets, seed=2)
    oracles = {"own": merge(tiny_model_with_eyes(), own.directory), "lora": merge(tiny_model_with_eyes(), lora)}
    asked = [ask(str(n), shown(n % 2, 100 + n), *map(picture, range(n % 2)), adapter=named) for n in range(4)]

    async with engine_for(tiny_model_with_eyes(), own_adapter=own) as engine:
        await engine.load_adapter("lora", lora)
        answers = await asyncio.gather(*(events_of(engine, each) for each in asked))

    for each, events in zip(asked, answers, strict=True):
        oracle = oracles[named] if named else oracles["own"] if each.pictures else base
        is_own = oracle is oracles["own"]
        oracle.generation_config.suppress_tokens = None if is_own else list(range(own_tokens, VOCABULARY))
        assert_greedy(oracle, list(each.prompt), tokens_of(events), pictures=pixels_of(each.pictures))


def test_an_adapter_of_its_own_that_does_not_fit_keeps_the_model_from_being_served(tmp_path: Path) -> None:
    base = tiny_model_with_eyes()
    own = OwnAdapter(
        save_tiny_adapter(tmp_path / EYES_ADAPTER, base, list(decoder_linears(base))), "other files", VOCABULARY
    )

    with pytest.raises(ModelError, match=f"its {EYES_ADAPTER}: .*base"):
        own.prepare(ServedAdapters(base, BASE_DIGEST, "nf4"))


async def test_adapters_and_pictures_in_one_batch(tmp_path: Path) -> None:
    base = tiny_model_with_eyes()
    targets = [  # the eyes have projections of these names, too
        name for name, _ in base.named_modules() if "language" in name and name.endswith(("q_proj", "down_proj"))
    ]
    lora = save_tiny_adapter(tmp_path / "lora", base, targets, seed=1)
    dora = save_tiny_adapter(tmp_path / "dora", base, targets, seed=2, use_dora=True)
    oracles = {None: base, "lora": merge(tiny_model_with_eyes(), lora), "dora": merge(tiny_model_with_eyes(), dora)}
    pairs = [(name, some) for name in oracles for some in ((), (1,))]

    async with engine_for(tiny_model_with_eyes()) as engine:
        for directory in (lora, dora):
            await engine.load_adapter(directory.name, directory)
        asked = [
            ask(str(number), shown(len(some), 100), *map(picture, some), adapter=name)
            for number, (name, some) in enumerate(pairs)
        ]
        answers = await asyncio.gather(*(events_of(engine, each) for each in asked))

    expected = [
        greedy(oracles[each.adapter], list(each.prompt), 24, pictures=pixels_of(each.pictures)) for each in asked
    ]
    assert [tokens_of(events) for events in answers] == expected
    assert len(set(map(tuple, expected))) == len(expected)


PROJECTOR = ["model.multi_modal_projector.linear_1", "model.multi_modal_projector.linear_2"]


@pytest.mark.parametrize("family", FAMILIES_WITH_EYES)
async def test_an_adapter_of_the_projector_sees_otherwise_and_nobody_else_does(family: str, tmp_path: Path) -> None:
    base = tiny_model_with_eyes(family)
    words = [name for name in decoder_linears(base) if ".0." in name][:1]
    adapters = {
        "eyes": save_tiny_adapter(tmp_path / "eyes", base, PROJECTOR, seed=3),
        "dora": save_tiny_adapter(tmp_path / "dora", base, PROJECTOR[1:], seed=4, use_dora=True),
        "both": save_tiny_adapter(tmp_path / "both", base, [*PROJECTOR, *words], seed=5),
        "words": save_tiny_adapter(tmp_path / "words", base, words, seed=6),
    }
    oracles = {None: base} | {name: merge(tiny_model_with_eyes(family), folder) for name, folder in adapters.items()}
    prompt = shown(1, 100)

    async with engine_for(tiny_model_with_eyes(family)) as engine:
        for folder in adapters.values():
            await engine.load_adapter(folder.name, folder)
        together = [ask(str(name), prompt, picture(1), adapter=name) for name in oracles]
        answers = await asyncio.gather(*(events_of(engine, each) for each in together))
        await engine.unload_adapter("eyes")
        later = await events_of(engine, ask("later", prompt, picture(1)))

    for name, events in zip(oracles, answers, strict=True):
        assert_greedy(oracles[name], prompt, tokens_of(events), pictures=pixels_of([picture(1)]))
    assert len({tuple(tokens_of(events)) for events in answers}) == len(oracles)
    assert tokens_of(later) == tokens_of(answers[0])


async def test_another_version_of_a_projectors_adapter_looks_again(tmp_path: Path) -> None:
    base = tiny_model_with_eyes()
    versions = [save_tiny_adapter(tmp_path / f"{seed}", base, PROJECTOR, seed=seed) for seed in (7, 8)]

    async with engine_for(tiny_model_with_eyes()) as engine:
        answers = []
        for number, folder in enumerate(versions):
            await engine.load_adapter("eyes", folder)
            answers.append(
                tokens_of(await events_of(engine, ask(f"{number}", shown(1, 100), picture(1), adapter="eyes")))
            )

    for folder, answer in zip(versions, answers, strict=True):
        merged = merge(tiny_model_with_eyes(), folder)
        assert_greedy(merged, shown(1, 100), answer, pictures=pixels_of([picture(1)]))
    assert answers[0] != answers[1]


@pytest.mark.parametrize(
    ("prompt", "pictures"),
    [
        (shown(1, 100), []),
        (shown(1, 100), [picture(1), picture(2)]),
        (shown(2, 100), [picture(1)]),
        ([9, 10], [picture(1)]),
        (shown(1, 100), [Picture("small", np.zeros((3, 8, 8), np.float32))]),
        (shown(1, 100), [Picture("nan", np.full((3, PICTURE_SIZE, PICTURE_SIZE), np.nan, np.float32))]),
        ([9, VOCABULARY], []),  # the first id that a picture could have
    ],
    ids=["none", "too many", "too few", "no place", "another size", "no numbers", "a slot's id"],
)
async def test_what_does_not_fit_fails_alone(prompt: list[int], pictures: list[Picture]) -> None:
    async with engine_for(tiny_model_with_eyes()) as engine:
        bad, good = await asyncio.gather(
            events_of(engine, ask("bad", prompt, *pictures)), events_of(engine, ask("good", shown(1, 5), picture(1)))
        )

    assert isinstance(bad[-1].error, GenerationError)
    assert len(tokens_of(good)) == 24


async def test_a_model_without_eyes_says_so() -> None:
    async with engine_for(tiny_model()) as engine:
        events = await events_of(engine, ask("a", [9, 10], picture(1)))

    assert isinstance(events[-1].error, PicturesUnsupported)


async def test_a_picture_that_breaks_its_encoder_fails_alone_and_another_may_leave_while_it_waits() -> None:
    model: Any = tiny_model_with_eyes()
    look = model.get_image_features

    def breaking(pixel_values: torch.Tensor, **options: Any) -> Any:
        if pixel_values.max() > 50:
            raise RuntimeError("no such picture")
        return look(pixel_values=pixel_values, **options)

    model.get_image_features = breaking
    broken = Picture("broken", np.full((3, PICTURE_SIZE, PICTURE_SIZE), 99, np.float32))
    async with engine_for(model) as engine:
        leaving = engine.submit(ask("leaves", shown(2, 5), picture(1), picture(2)))
        engine.cancel("leaves")
        bad, good = await asyncio.gather(
            events_of(engine, ask("bad", shown(2, 5), picture(1), broken)),
            events_of(engine, ask("good", shown(1, 5), picture(1))),
        )
        left = [event.finish_reason async for event in leaving]

    assert isinstance(bad[-1].error, GenerationCrashed)
    assert len(tokens_of(good)) == 24
    assert left[-1] == "cancelled"
