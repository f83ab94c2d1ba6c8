"""The shortest way to the end of a JSON answer, so that it is whole when its tokens run out.

A small model may write on and on inside a string or a list. So a token after which the end would be out of reach is
not taken; the next one of the way to the end is taken instead. All this is a function of the grammar's state, so
another worker does the same. Where no way is short enough from the beginning, the limit cuts the JSON.
"""

from __future__ import annotations

from llguidance import LLMatcher, LLTokenizer

_LONGEST = 256  # tokens of a way that is looked for
_LOOKS_AHEAD = 64  # tokens by which what was begun may make the way longer than it was from the beginning

# What ends a JSON soonest comes first.
_OUTSIDE = '}],:123456789"0ntf[{-'
_INSIDE = '"' + "".join(map(chr, range(ord("0"), ord("z") + 1))).replace("\\", "")


class JsonPlace:
    """Inside or outside a string, after the bytes read so far."""

    def __init__(self, is_in_string: bool = False, is_escaped: bool = False) -> None:
        self.is_in_string = is_in_string
        self._is_escaped = is_escaped

    def copy(self) -> JsonPlace:
        return JsonPlace(self.is_in_string, self._is_escaped)

    def read(self, text: bytes) -> None:
        for byte in text:
            if self._is_escaped:
                self._is_escaped = False
            elif byte == ord("\\"):
                self._is_escaped = self.is_in_string
            elif byte == ord('"'):
                self.is_in_string = not self.is_in_string


class Landing:
    """Of one grammar."""

    def __init__(self, tokenizer: LLTokenizer, start: LLMatcher) -> None:
        self._tokenizer = tokenizer
        self._outside = _single_tokens(tokenizer, _OUTSIDE)
        self._inside = _single_tokens(tokenizer, _INSIDE)
        way = self._way(start.deep_copy(), JsonPlace())
        self._looks_from = 0 if way is None else 2 * len(way) + _LOOKS_AHEAD  # tokens left; before, nobody need look

    def settle(self, token_id: int, matcher: LLMatcher, place: JsonPlace, left: int) -> int:
        """This token, or what must come instead. `left`: tokens that may still come, this one included."""
        if left > self._looks_from:
            return token_id
        after, place_after = matcher.deep_copy(), place.copy()
        after.consume_token(token_id)
        place_after.read(self._tokenizer.decode_bytes([token_id]))
        way = self._way(after, place_after)
        if way is not None and len(way) < left:
            return token_id
        way = self._way(matcher.deep_copy(), place.copy())
        return way[0] if way and len(way) <= left else token_id

    def _way(self, matcher: LLMatcher, place: JsonPlace) -> list[int] | None:
        """Tokens to a whole answer; empty where it is whole already. None: no way was found. Moves what it is given."""
        way: list[int] = []
        while not matcher.is_stopped():
            if matcher.is_accepting():
                return [*way, self._tokenizer.eos_token]
            ahead = matcher.compute_ff_tokens() or [self._choice(matcher, place)]
            way += ahead
            if len(way) > _LONGEST or not matcher.consume_tokens(ahead):
                return None
            place.read(self._tokenizer.decode_bytes(ahead))
        return None if matcher.is_error() else way

    def _choice(self, matcher: LLMatcher, place: JsonPlace) -> int:
        allowed = int.from_bytes(matcher.compute_bitmask(), "little")
        preferred = self._inside if place.is_in_string else self._outside
        first = (allowed & -allowed).bit_length() - 1
        return next((token_id for token_id in preferred if allowed >> token_id & 1), max(first, 0))


def _single_tokens(tokenizer: LLTokenizer, letters: str) -> list[int]:
    """The tokens that spell one of these letters each, in this order; letters without one are left out."""
    spelled = (tokenizer.greedy_tokenize(letter) for letter in letters)
    return [token_ids[0] for token_ids in spelled if len(token_ids) == 1]
