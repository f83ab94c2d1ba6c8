"""Teach the language model to see, in stages that go on from one another.

| stage | learns | from |
|---|---|---|
| reason | the language model | lists of objects and questions about them, without any picture; plain conversations |
| describe | the projector alone | pictures with their lists and descriptions |
| answer | projector and language model | pictures, questions, plain conversations |

The encoder is frozen throughout, so a picture is looked at once. Runs in pieces; the same command goes on.

How to run:
    python -m training.align training/recipes/reference_eyes.yaml --stage reason --minutes 40 --decay-minutes 10
    python -m training.align training/recipes/reference_eyes.yaml --stage describe --minutes 10 --decay-minutes 4
    python -m training.align training/recipes/reference_eyes.yaml --stage answer --minutes 90 --decay-minutes 20
    python -m training.align training/recipes/reference_eyes.yaml --stage answer --show     # some rows in two colours
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from training import loop
from training.arguments import parse_stage
from training.batches import EpochBatches, bucket
from training.beginnings import begin_after, begin_speaker
from training.config import AlignRecipe, ParserRecipe, SftRecipe, Stage, load_recipe
from training.conversations import ConversationEncoder, coloured, single_token
from training.data.decontaminate import Decontaminator, load_prompts
from training.data.mixture import epoch_rows, load_chats
from training.data.rows import Conversation
from training.data.templates import EXACT
from training.eyes_adapter import add_adapter, learn_adapter_alone, ordinary_tokens
from training.losses import learned_loss
from training.patches import patches_of
from training.scene_rows import Asked, Row, SceneEncoder, pack
from vision.decoder import open_language_model
from vision.llava import freshened_rows
from vision.projector import Projector
from vision.reasoning.tokens import ALL, IMAGE
from vision.scenes.dataset import read_scenes


class AlignBatches(EpochBatches[list[Row]]):
    """Every scene of the stage in turn, and plain conversations among them."""

    def __init__(
        self,
        recipe: AlignRecipe,
        stage: Stage,
        asked: Sequence[Asked],
        encoder: SceneEncoder,
        text: ConversationEncoder,
        chats: dict[str, list[Conversation]],
    ) -> None:
        super().__init__()
        self._recipe, self._stage, self._asked = recipe, stage, asked
        self._encoder, self._text, self._chats = encoder, text, chats
        self._sft = load_recipe(recipe.conversations, SftRecipe)
        self._decontaminator = Decontaminator(load_prompts())

    def _make(self, epoch: int) -> list[list[Row]]:
        """An epoch is a share of the scenes, so that no more rows lie in memory than are soon needed."""
        rng = random.Random(f"{self._recipe.seed}:{self._stage.name}:{epoch}")
        talk = epoch_rows(self._sft, self._recipe.seed % 1000 + epoch, self._chats, self._decontaminator)
        small = [(row.turns[0][1], row.turns[1][1]) for row in talk if len(row.turns) == 2]
        count = self._recipe.scenes_per_epoch
        start = epoch * count % len(self._asked)
        picked = (*self._asked[start:], *self._asked[:start])[:count]
        rows = [self._encoder.row(asked.anew(rng), rng, small) for asked in picked]
        share = self._stage.conversation_share
        rows += self._talk(talk, sum(map(len, rows)) * share / (1 - share), rng)
        rng.shuffle(rows)
        batches = bucket(rows, self._recipe.tokens_per_batch)
        rng.shuffle(batches)
        print(f"epoch {epoch}: {len(rows)} rows in {len(batches)} batches", flush=True)
        return batches

    def _talk(self, talk: Sequence[Conversation], tokens: float, rng: random.Random) -> Iterator[Row]:
        """So many tokens of plain conversations, which begin again where there are too few."""
        left = tokens
        while left > 0:
            before = left
            for row in talk:
                encoded = self._text.encode(list(row.turns), None if row.label == EXACT else rng)
                if len(encoded.ids) <= self._sft.max_tokens:
                    yield Row(encoded)
                    left -= len(encoded.ids)
                if left <= 0:
                    break
            if left == before:
                raise ValueError(f"no conversation of {self._recipe.conversations} fits into a row")


class Speaker(torch.nn.Module):
    """The language model, and the projector that turns patches into what it reads like words."""

    def __init__(self, language: PreTrainedModel, projector: Projector, image_id: int) -> None:
        super().__init__()
        self.language, self.projector = language, projector
        self._image_id = image_id

    def loss(self, rows: list[Row], pad_id: int, patches: NDArray[np.float16] | None) -> torch.Tensor:
        """Mean over the learned tokens. `patches`: (pictures, P, D), needed if a row shows one."""
        packed = pack(rows, pad_id)
        with torch.autocast("cpu", torch.bfloat16):
            inputs = self.language.get_input_embeddings()(packed.ids)
            if packed.pictures:
                if patches is None:
                    raise ValueError("a row shows a picture, and there are no patches")
                seen = torch.from_numpy(patches[packed.pictures].astype(np.float32))
                projected = self.projector(seen).to(inputs.dtype).flatten(0, 1)
                inputs = inputs.masked_scatter((packed.ids == self._image_id)[..., None], projected)
            hidden = self.language.base_model(
                inputs_embeds=inputs,
                attention_mask=packed.allowed,
                position_ids=packed.positions,
                use_cache=False,
            ).last_hidden_state
        head: Any = self.language.get_output_embeddings()  # type: ignore[no-untyped-call]  # transformers
        return learned_loss(hidden, head.weight, packed.ids, packed.counts)


def seeing_tokenizer(recipe: AlignRecipe) -> PreTrainedTokenizerBase:
    """The language model's tokenizer with the control tokens of visual reasoning."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(recipe.language_model)
    tokenizer.add_special_tokens({"additional_special_tokens": list(ALL)}, replace_extra_special_tokens=False)
    return tokenizer


def build_speaker(recipe: AlignRecipe, tokenizer: PreTrainedTokenizerBase) -> Speaker:
    """With the published language model's weights (fp32; of one that sees already, what reads and writes) and a fresh
    projector."""
    language = open_language_model(recipe.language_model)
    freshened_rows(language, len(tokenizer))
    if recipe.lora is not None:
        add_adapter(language, recipe.lora)
    parser = load_recipe(recipe.parser, ParserRecipe)
    projector = Projector(parser.encoder.hidden_size, language.config.hidden_size)
    image_id = tokenizer.convert_tokens_to_ids(IMAGE)
    assert isinstance(image_id, int)
    return Speaker(language, projector, image_id)


def begin_stage(recipe: AlignRecipe, stage: Stage, speaker: Speaker) -> loop.Progress | None:
    """Begin where the stage itself was left, or the one before it ended. Returns what was spent on the stage. Mutates
    `speaker`."""
    if stage.begun is not None:
        return begin_speaker(stage.begun, stage.name, speaker.language, speaker.projector)
    if stage.after is not None:
        begin_after(recipe.run_dir / stage.after, speaker)
    return None


def all_asked(recipe: AlignRecipe, stage: Stage) -> list[Asked]:
    """The scenes of all folders, nothing asked yet, their pictures numbered through if they are shown."""
    found = (scene for folder in recipe.scenes for scene in read_scenes(folder))
    return [Asked(scene, picture=number if stage.pictures else None) for number, scene in enumerate(found)]


def main() -> None:
    arguments, name = parse_stage(__doc__, can_show=True)
    recipe = load_recipe(arguments.recipe, AlignRecipe)
    stage = recipe.stage(name)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(recipe.seed)
    tokenizer = seeing_tokenizer(recipe)
    asked = all_asked(recipe, stage)
    encoder = SceneEncoder(tokenizer, load_recipe(recipe.parser, ParserRecipe).encoder.grid ** 2)
    text = ConversationEncoder(tokenizer)
    chats = load_chats(load_recipe(recipe.conversations, SftRecipe), arguments.data_dir)
    batches = AlignBatches(recipe, stage, asked, encoder, text, chats)
    if arguments.show:
        for row in batches.next()[:4]:
            print(*(coloured(part, tokenizer) for part in (row.prefix, *row.branches)), sep="\n  ")
        return

    speaker = build_speaker(recipe, tokenizer)
    spent = begin_stage(recipe, stage, speaker)
    speaker.language.requires_grad_("language" in stage.learns)
    if recipe.lora is not None and "language" in stage.learns:
        untaught = [single_token(tokenizer, text) for text in recipe.lora.tokens]
        learn_adapter_alone(speaker.language, ordinary_tokens(recipe.language_model), untaught)
    speaker.projector.requires_grad_("projector" in stage.learns)
    patches = patches_of(recipe) if stage.pictures else None

    def loss_of(batch: list[Row]) -> tuple[torch.Tensor, int]:
        return speaker.loss(batch, text.pad_id, patches), sum(map(len, batch))

    loop.train(
        arguments,
        run_dir=recipe.run_dir / stage.name,
        model=speaker,
        recipe=stage.optimizer,
        batches=batches,
        loss_of=loss_of,
        checkpoint_minutes=recipe.checkpoint_minutes,
        spent=spent,
    )


if __name__ == "__main__":
    main()
