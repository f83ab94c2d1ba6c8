"""What an engine that reads pictures of text takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from shared.documents import WordBox
from workers.ingest.parsing.parsed import Scan


@dataclass(frozen=True, slots=True)
class Reading:
    """`words` say where `text[start:end]` stands; both are empty where no letter was found."""

    text: str  # NFC
    words: tuple[WordBox, ...]


class OcrEngine(Protocol):
    async def read(self, scan: Scan) -> Reading:
        """Raises OcrUnavailable (there is no such program here), OcrFailed (it crashed or took too long)."""
        ...
