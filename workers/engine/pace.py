"""How many tokens of prompts a step may read beside running answers: so many that it takes no more than twice the time
of a step of the batch which they will make together, or, if longer, those who wait have their share of 100 ms.

Answers under way would otherwise stand still while a long prompt is read; and where many questions come at once, they
would crawl in one by one beside the first, in pieces that cost twice as much a token as long ones, and find it gone.
Measured, because the price of a prompt's token beside others depends on model, machine and batch: on a GPU that waits
for its memory it is almost free.
"""

from __future__ import annotations

_LEAST = 16  # tokens; a prompt gets on, whatever the measurements say
_UNMEASURED = 64
_PATIENCE_S = 0.1  # for a token, if nearly all wait for their first: faster than one reads, and frames are as far apart
_MEASURE_EVERY = 100  # steps
_WEIGHT = 0.2  # of the newest measurement
_WEIGHT_IF_LESS = 0.5  # others on the machine make steps longer, nothing makes them shorter


class Pace:
    def __init__(self, most: int) -> None:
        """`most`: tokens of prompts in one step, also when nobody waits for it."""
        self._most = most
        self._steps = 0
        self._step_s: dict[int, float] = {}  # of steps without prompts, by the magnitude of their rows
        self._measured: dict[int, int] = {}  # after how many steps, last
        self._token_s: float | None = None  # of one more token of a prompt

    def budget(self, rows: int, joining: int) -> int:
        """Tokens of prompts for a step with so many running answers, when so many read their prompts or wait to. Now
        and then 0, to measure a step without."""
        if rows == 0:
            return self._most
        if self._token_s is None:
            return min(self._most, _UNMEASURED)
        if self._steps >= self._measured.get(rows.bit_length(), -_MEASURE_EVERY) + _MEASURE_EVERY:
            return 0
        alone_s = self._nearest(rows)
        together_s = max(alone_s, self._nearest(rows + joining), (rows + joining) * self._token_s)
        step_s = max(2 * together_s, _PATIENCE_S * joining / (rows + joining))
        return min(self._most, max(_LEAST, int((step_s - alone_s) / max(self._token_s, 1e-9))))

    def shrink(self) -> bool:
        """Memory ran out: half as many from now on. False if that cannot be."""
        self._most, before = max(_LEAST, self._most // 2), self._most
        return self._most < before

    def took(self, seconds: float, rows: int, prompt_tokens: int) -> None:
        """A step with so many running answers and tokens of prompts."""
        self._steps += 1
        magnitude = rows.bit_length()
        if rows and not prompt_tokens:
            self._step_s[magnitude] = _mixed(self._step_s.get(magnitude), seconds)
            self._measured[magnitude] = self._steps
        elif prompt_tokens >= _LEAST and (not rows or self._step_s):
            more_s = max(0.0, seconds - self._nearest(rows)) if rows else seconds
            self._token_s = _mixed(self._token_s, more_s / prompt_tokens)

    def _nearest(self, rows: int) -> float:
        """Of a step with about so many rows; there must be one."""
        magnitude = rows.bit_length()
        return self._step_s[min(self._step_s, key=lambda each: abs(each - magnitude))]


def _mixed(old: float | None, new: float) -> float:
    if old is None:
        return new
    return old + (_WEIGHT_IF_LESS if new < old else _WEIGHT) * (new - old)
