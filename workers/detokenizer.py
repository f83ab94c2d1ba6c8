"""Token ids to text, one token at a time, whole characters only.

What has been released is never taken back and never holds U+FFFD: bytes that do not complete a character are held, and
dropped if they never do. The end of the text is also held while the next token may change how it looks (an open
emoji sequence, conjoining jamo) or may complete a stop text. Nothing is normalised.

The state is a function of the token ids alone: feeding the same ids again gives the same text, which is how another
worker continues an answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from workers.graphemes import open_cluster_length

_REPLACEMENT = "\ufffd"
_WINDOW = 16  # tokens decoded again for each new one
_LONGEST_CHARACTER = 4  # bytes, so tokens


class Decoder(Protocol):
    """What we need of a Hugging Face tokenizer."""

    def decode(self, token_ids: list[int], **options: bool) -> str: ...


class Detokenizer:
    """`push` tokens as they come, then `finish`. `text` is all that was released so far."""

    def __init__(
        self,
        tokenizer: Decoder,
        token_ids: Iterable[int] = (),
        stop_text: str | None = None,
        stop: Iterable[str] = (),
    ) -> None:
        """`token_ids`: of an earlier attempt. The answer ends before the model's own `stop_text`, or before one of
        `stop`, whichever is complete first; of those complete at once, before the longest."""
        self._tokenizer = tokenizer
        self._stops = tuple(text for text in (stop_text, *stop) if text)
        self._ids: list[int] = []
        self._start = 0  # the window: tokens from here are decoded together
        self._boundary = 0  # the last place where a token ended with a whole character
        self._seen = ""  # what the window's tokens gave so far
        self._held = ""
        self.text = ""
        self.is_stopped = False  # a stop text was met: the rest is dropped
        for token_id in token_ids:
            self.push(token_id)

    @property
    def length(self) -> int:
        """Of the answer so far in code points, with what is still held back: where the next token's text begins."""
        return len(self.text) + len(self._held)

    def push(self, token_id: int) -> str:
        """The text that this token releases, often none."""
        if self.is_stopped:
            return ""
        self._ids.append(token_id)
        return self._release(self._held + self._new_characters(), is_last=False)

    def finish(self) -> str:
        """The text still held back. Whole characters only, also now."""
        return self._release(self._held, is_last=True)

    def _release(self, pending: str, *, is_last: bool) -> str:
        if self._stops and (end := self._end_of_answer(pending)) is not None:
            pending, self.is_stopped, is_last = pending[:end], True, True
        held = 0 if is_last else max(open_cluster_length(pending), self._length_of_begun_stop_text(pending))
        released = pending[: len(pending) - held]
        self._held = pending[len(pending) - held :]
        self.text += released
        return released

    def _end_of_answer(self, pending: str) -> int | None:
        """Where the first complete stop text begins, however the text was cut into tokens."""
        found = [(start + len(stop), start) for stop in self._stops if (start := pending.find(stop)) >= 0]
        return min(found)[1] if found else None

    def _length_of_begun_stop_text(self, pending: str) -> int:
        return max((_overlap(pending, stop) for stop in self._stops), default=0)

    def _new_characters(self) -> str:
        decoded = self._decode(self._start)
        text = decoded.replace(_REPLACEMENT, "")
        if not text.startswith(self._seen):
            # Byte-fallback decoders give up on a whole run of bytes while its last character is incomplete.
            if decoded.endswith(_REPLACEMENT) and len(self._ids) - self._boundary < _LONGEST_CHARACTER:
                return ""
            self._start, self._seen = self._boundary, ""
            decoded = self._decode(self._start)
            text = decoded.replace(_REPLACEMENT, "")
        new, self._seen = text[len(self._seen) :], text
        self._slide(ends_whole=not decoded.endswith(_REPLACEMENT))
        return new

    def _slide(self, *, ends_whole: bool) -> None:
        """Keep the window short. It begins at a whole character and is never empty: decoders strip a first space."""
        length = len(self._ids) - self._start
        if ends_whole:
            if length >= _WINDOW and (seen := self._decode(self._boundary).replace(_REPLACEMENT, "")):
                self._start, self._seen = self._boundary, seen
            self._boundary = len(self._ids)
        elif length >= 4 * _WINDOW:
            self._start = len(self._ids) - _WINDOW
            self._seen = self._decode(self._start).replace(_REPLACEMENT, "")

    def _decode(self, start: int) -> str:
        return self._tokenizer.decode(self._ids[start:], skip_special_tokens=True, clean_up_tokenization_spaces=False)


def _overlap(text: str, stop: str) -> int:
    """How much of the end of `text` may be the beginning of `stop`."""
    longest = min(len(stop) - 1, len(text))
    return next((length for length in range(longest, 0, -1) if text.endswith(stop[:length])), 0)
