"""What one browser has of one answer, by the frame rule alone: cut to `offset`, append."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bs4 import BeautifulSoup


@dataclass(slots=True)
class Transcript:
    """`altered` counts characters that were visible, and came back as others after a cut."""

    text: str = ""
    event_id: str = ""
    state: str = ""
    html: str | None = None  # set when the answer is over
    longest: str = ""  # the furthest that was ever visible
    altered: int = 0
    grown_at: list[float] = field(default_factory=list)  # when characters were seen that had not been seen before
    _is_followed: bool = False  # the stream of this connection tells all text that is still missing

    @property
    def is_over(self) -> bool:
        return self.html is not None

    def connect(self) -> None:
        """A new stream begins."""
        self._is_followed = False

    def apply(self, event: str, event_id: str, data: dict[str, Any], at: float) -> None:
        """What the page's script does with an event that came at `at` (seconds)."""
        self.event_id = event_id or self.event_id
        if event == "text":
            self._show(self.text[: data["offset"]] + data["text"], at)
        elif event == "state":
            self.state = data["state"]
            self._is_followed = True
        elif event == "done":
            self.state, self.html = data["state"], data["html"]
            if not self._is_followed:  # it ended while we were away: the page takes all of it from the HTML
                margin = self.text[: len(self.text) - len(self.text.lstrip())]
                self._show(margin + text_of(data["html"]), at)

    def _show(self, text: str, at: float) -> None:
        self.altered += sum(before != now for before, now in zip(self.longest, text, strict=False))
        if len(text) > len(self.longest):
            self.grown_at.append(at)
        self.longest = text + self.longest[len(text) :]
        self.text = text


def text_of(html: str) -> str:
    """What a person reads."""
    return BeautifulSoup(html, "html.parser").get_text().strip("\n")
