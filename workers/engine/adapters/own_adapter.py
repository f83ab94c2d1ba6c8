"""The adapter in a model's own folder: with it the model answers about pictures, where its weights alone only talk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from shared.errors import AdapterRefused
from shared.model_digest import files_digest
from vision.decoder import EYES_ADAPTER, eyes_tokens_from
from workers.engine.adapters.adapter_files import read_adapter
from workers.engine.adapters.served_adapters import PreparedAdapter, ServedAdapters
from workers.engine.model_files import model_error


@dataclass(frozen=True, slots=True)
class OwnAdapter:
    directory: Path
    base_digest: str  # of the files beside it
    tokens_from: int  # tokens from this id on are its own: without it nobody says them

    @classmethod
    def of(cls, directory: Path) -> OwnAdapter | None:
        """None: the model in this directory has none."""
        tokens_from = eyes_tokens_from(directory)
        return None if tokens_from is None else cls(directory / EYES_ADAPTER, files_digest(directory), tokens_from)

    def prepare(self, served: ServedAdapters) -> PreparedAdapter:
        """It belongs to the model however its weights are kept. In the model's thread. Raises ModelError."""
        base = replace(served.base, digest=self.base_digest, numerics="none")
        try:
            return served.prepare(EYES_ADAPTER, read_adapter(EYES_ADAPTER, self.directory, base))
        except AdapterRefused as error:
            raise model_error(str(self.directory.parent), f"its {EYES_ADAPTER}: {error}") from error
