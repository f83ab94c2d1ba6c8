"""The adapters of one model: loaded, replaced and unloaded between steps, and mixed with none in one batch.

Belongs to the model's thread, but for `read` and, of LoRA, `prepare`. Adapted layers keep their place in the model and
their weights (adapted_linear.py). Not here: prefix-cache keys, which must hold the adapter's digest, and rows' order in
a batch. Rows of one adapter that lie beside each other are one span; interleaved rows are right but slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import torch
from transformers import PreTrainedModel

from shared.adapters.base import BaseDescription, LinearShape
from shared.adapters.folder import WEIGHTS
from shared.adapters.refusals import AdapterNotFinite, refusal
from shared.errors import AdapterRefused, AdapterUnknown
from vision.decoder import decoder_linears, projector_linears
from workers.engine.adapters.adapted_linear import AdaptedLinear, LayerWeights, prepare
from workers.engine.adapters.adapter_files import AdapterFiles, read_adapter
from workers.engine.facts import AdapterFacts


@dataclass(frozen=True, slots=True)
class PreparedAdapter:
    """Checked, and in the model's memory; no row of a batch can use it yet."""

    facts: AdapterFacts
    layers: dict[str, LayerWeights]  # by the module's name


class ServedAdapters:
    """`digest`: of the base model. `numerics`: how its weights are kept, "none", "nf4" or "int8".

    Comes after whatever replaces the model's modules: it keeps those it finds.
    """

    def __init__(self, model: PreTrainedModel, digest: str, numerics: str) -> None:
        self._like = model.get_input_embeddings().get_parameter("weight")
        self._projector = projector_linears(model)
        self._linears = decoder_linears(model) | self._projector
        shapes = {name: LinearShape(module.in_features, module.out_features) for name, module in self._linears.items()}
        self.base = BaseDescription(digest, numerics, shapes)
        self._adapted: dict[str, AdaptedLinear] = {}  # by the module's name
        self._facts: dict[str, AdapterFacts] = {}
        self._seeing: set[str] = set()  # of these, which adapt the projector
        self._spans: tuple[tuple[str | None, int], ...] | None = None

    def read(self, name: str, directory: Path) -> AdapterFiles:
        """Check its files against this model. Any thread may. Raises AdapterRefused."""
        return read_adapter(name, directory, self.base)

    @torch.inference_mode()
    def prepare(self, name: str, files: AdapterFiles) -> PreparedAdapter:
        """Fold and move it. LoRA touches nothing, so any thread may; DoRA asks the layers themselves, so it is for the
        model's thread. Raises AdapterRefused.
        """
        if files.manifest.method == "lora":
            return self._prepared(name, files)
        before = self._spans
        self.begin(())  # so that what a layer answers is its own
        try:
            return self._prepared(name, files)
        finally:
            self.begin(before or ())

    def _prepared(self, name: str, files: AdapterFiles) -> PreparedAdapter:
        manifest = files.manifest
        layers: dict[str, LayerWeights] = {}
        try:
            for module, tensors in files.layers.items():
                layers[module] = prepare(self._linears[module], tensors, self._like)
                if not layers[module].is_finite():
                    reason = f"{module} is not finite in {self._like.dtype}"
                    raise refusal(AdapterNotFinite, manifest.name, WEIGHTS, module, reason)
        except torch.OutOfMemoryError as error:
            raise AdapterRefused(adapter=manifest.name, reason="there is no memory for it") from error
        facts = AdapterFacts(
            name,
            manifest.digest,
            manifest.rank,
            manifest.method == "dora",
            self.base.digest,
            self.base.numerics,
            sum(layer.size_bytes for layer in layers.values()),
        )
        return PreparedAdapter(facts, layers)

    def take(self, name: str, prepared: PreparedAdapter) -> None:
        """Serve it under this name; an adapter of this name is replaced. `begin` must follow."""
        for module in prepared.layers.keys() - self._adapted.keys():
            self._adapted[module] = AdaptedLinear(self._linears[module])
        self._put(name, prepared.layers)
        self._facts[name] = prepared.facts
        if prepared.layers.keys() & self._projector.keys():
            self._seeing.add(name)

    def load(self, name: str, directory: Path) -> AdapterFacts:
        """Both at once. Raises AdapterRefused: nothing has changed."""
        prepared = self.prepare(name, self.read(name, directory))
        self.take(name, prepared)
        return prepared.facts

    def unload(self, name: str) -> None:
        """No row may need it any more. `begin` must follow. Raises AdapterUnknown."""
        self._known(name)
        self._put(name, {})
        del self._facts[name]
        self._seeing.discard(name)

    def sees(self, name: str) -> bool:
        """Whether pictures are other vectors under it than under the base. Raises AdapterUnknown."""
        self._known(name)
        return name in self._seeing

    def facts(self) -> tuple[AdapterFacts, ...]:
        return tuple(self._facts.values())

    @torch.inference_mode()
    def begin(self, spans: Sequence[tuple[str | None, int]]) -> None:
        """Before every forward: whose are the rows of the packed (1, T) input, as (adapter, number of tokens); and
        before a picture is looked at, whose its vectors are.

        The spans cover T. Raises AdapterUnknown: the spans before it stay.
        """
        asked = tuple(spans)
        if asked == self._spans:
            return
        for name in {name for name, _ in asked if name is not None}:
            self._known(name)
        names: list[str | None] = []
        lengths: list[int] = []
        for name, group in groupby(asked, key=lambda span: span[0]):
            if length := sum(count for _, count in group):
                names.append(name)
                lengths.append(length)
        for adapted in self._adapted.values():
            adapted.begin(names, lengths)
        self._spans = asked

    def _put(self, name: str, layers: dict[str, LayerWeights]) -> None:
        for module, adapted in self._adapted.items():
            adapted.put(name, layers.get(module))
        self._spans = None

    def _known(self, name: str) -> None:
        if name not in self._facts:
            raise AdapterUnknown(adapter=name)
