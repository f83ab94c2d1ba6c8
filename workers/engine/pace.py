"""How many tokens of prompts a step may read beside running answers: so many that it takes no more than twice the time
of a step of the batch which they will make together.

Answers under way would otherwise stand still while a long prompt is read; and where many questions come at once, they
would crawl in one by one beside the first. Measured, because the price of a prompt's token beside others depends on
model, machine and batch: on a GPU that waits for its memory it is almost free.
"""

from __future__ import annotations

_LEAST = 16  # tokens; a prompt gets on, whatever the measurements say
_UNMEASURED = 64
_WEIGHT = 0.2  # of the newest measurement
_WEIGHT_IF_LESS = 0.5  # others on the machine make steps longer, nothing makes them shorter


class Pace:
    def __init__(self, most: int) -> None:
        """`most`: tokens of prompts in one step, also when nobody waits for it."""
        self._most = most
        self._step_s: dict[int, float] = {}  # of steps without prompts, by the magnitude of their rows
        self._rest_s: dict[int, float] = {}  # of steps with prompts, less what these cost: a guess
        self._token_s: float | None = None  # of one more token of a prompt

    def budget(self, rows: int, joining: int) -> int:
        """Tokens of prompts for a step with so many running answers, when so many read their prompts or wait to."""
        if rows == 0:
            return self._most
        if self._token_s is None:
            return min(self._most, _UNMEASURED)
        alone_s = self._nearest(rows) or rows * self._token_s  # no shorter than as tokens of a prompt
        together_s = max(alone_s, self._nearest(rows + joining) or 0.0, (rows + joining) * self._token_s)
        left_s = 2 * together_s - alone_s
        return min(self._most, max(_LEAST, int(left_s / max(self._token_s, 1e-9))))

    def shrink(self) -> bool:
        """Memory ran out: half as many from now on. False if that cannot be."""
        self._most, before = max(_LEAST, self._most // 2), self._most
        return self._most < before

    def took(self, seconds: float, rows: int, prompt_tokens: int) -> None:
        """A step with so many running answers and tokens of prompts."""
        magnitude = rows.bit_length()
        if rows and not prompt_tokens:
            self._step_s[magnitude] = _mixed(self._step_s.get(magnitude), seconds)
        elif prompt_tokens < _LEAST:
            return
        elif not rows:
            self._token_s = _mixed(self._token_s, seconds / prompt_tokens)
        elif magnitude in self._step_s:
            more_s = max(0.0, seconds - self._step_s[magnitude])
            self._token_s = _mixed(self._token_s, more_s / prompt_tokens)
        elif self._token_s is not None:
            rest_s = max(seconds - prompt_tokens * self._token_s, rows * self._token_s)
            self._rest_s[magnitude] = _mixed(self._rest_s.get(magnitude), rest_s)

    def _nearest(self, rows: int) -> float | None:
        """Of a step with about so many rows."""
        magnitude = rows.bit_length()
        if magnitude in self._rest_s and magnitude not in self._step_s:
            return self._rest_s[magnitude]
        known = min(self._step_s, key=lambda each: abs(each - magnitude), default=None)
        return None if known is None else self._step_s[known]


def _mixed(old: float | None, new: float) -> float:
    if old is None:
        return new
    return old + (_WEIGHT_IF_LESS if new < old else _WEIGHT) * (new - old)
