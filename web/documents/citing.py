"""A written answer as HTML: behind each claim chips of the passages that bear it out, or that there is none.

Chips are set by what shared/text/claims.py finds, whatever numbers the model wrote.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from markupsafe import Markup

from shared.documents import Source
from shared.organising_errors import SearchUnavailable
from shared.text.analyser import Analyser
from shared.text.claims import Claim, Claims, Wording, borne_out_by, claims_in
from web.chat.live import rendered
from web.documents.prompting import NOTHING
from web.documents.views import PATH
from web.words import Words

_OPEN, _CLOSE = "\ue000", "\ue001"  # of private use: no text means anything by them
_PLACE = re.compile(f"{_OPEN}(\\d+){_CLOSE}")
_PRIVATE = str.maketrans({_OPEN: None, _CLOSE: None})


class Citing:
    """Of one answer. `texts`: of its sources, in their order."""

    def __init__(self, analyser: Analyser, question: str, sources: Sequence[Source], texts: Sequence[str]) -> None:
        self._analyser = analyser
        self._question = question
        self._sources = sources
        self._texts = texts
        self._known: tuple[Wording, list[Wording]] | None = None

    def bare(self, answer: str) -> str:
        """Without references."""
        return claims_in(answer.translate(_PRIVATE)).text

    async def claims(self, answer: str) -> list[tuple[Claim, tuple[int, ...]]]:
        """Each claim in `bare(answer)` that says something, with the numbers of the passages that bear it out.

        Raises SearchUnavailable."""
        found = claims_in(answer.translate(_PRIVATE))
        return [] if found.text.strip() == NOTHING else await self._looked_up(found)

    async def html(self, answer: str, words: Words) -> Markup:
        """Safe; without chips if nobody can look anything up now."""
        text = self.bare(answer)
        try:
            cited = await self.claims(answer)
        except SearchUnavailable:
            return Markup(await rendered(text))  # noqa: S704  # sanitised by render
        pieces, last = [], 0
        for number, (claim, _) in enumerate(cited):
            pieces += [text[last : claim.end], f" {_OPEN}{number}{_CLOSE}"]
            last = claim.end
        html = await rendered("".join([*pieces, text[last:]]))
        return Markup(_PLACE.sub(lambda match: str(self._chips(cited[int(match[1])][1], words)), html))  # noqa: S704

    async def _looked_up(self, found: Claims) -> list[tuple[Claim, tuple[int, ...]]]:
        if self._known is None:
            question, *passages = await self._wordings([self._question, *self._texts])
            self._known = question, passages
        question, passages = self._known
        wordings = await self._wordings(found.texts)
        return [
            (claim, borne_out_by(wording, claim.said, question, passages))
            for claim, wording in zip(found.claims, wordings, strict=True)
            if wording.says_something
        ]

    async def _wordings(self, texts: Sequence[str]) -> list[Wording]:
        found = await self._analyser.morphemes(texts)
        return [Wording.of(text, morphemes) for text, morphemes in zip(texts, found, strict=True)]

    def _chips(self, numbers: Sequence[int], words: Words) -> Markup:
        if not numbers:
            return Markup('<span class="uncited" title="{}">{}</span>').format(
                words("documents.uncited_lead"), words("documents.uncited")
            )
        return Markup("").join(self._chip(number, words) for number in numbers)

    def _chip(self, number: int, words: Words) -> Markup:
        source = self._sources[number - 1]
        where = f"{source.name} · {words('documents.page', page=source.page)}"
        return Markup('<a class="cite" href="{}" title="{}" aria-label="{}">{}</a>').format(
            link_of(source), where, words("documents.cited", number=number, where=where), number
        )


def link_of(source: Source) -> str:
    """The page, with the passage boxed."""
    return f"{PATH}/{source.document_id}/pages/{source.page}?from={source.start}&to={source.end}"
