"""Korean noun phrases for attributes: 작은 빨간 금속 공, 고무로 된 보라색 상자, 네모난 것.

Two rules keep them natural. A noun that modifies (금속, 보라색) may not stand right before 것: 보라색 것, 금속 것 are
not said, 보라색 물체 is. And a material in its noun form stands last (빨간 금속 공), in its longer form first (금속으로
된 빨간 공).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from vision.scenes.vocabulary import Where

T = TypeVar("T")

# (words, may stand right before 것)
_COLOURS: dict[str, tuple[tuple[str, bool], ...]] = {
    "red": (("빨간", True), ("빨간색", False), ("붉은", True)),
    "orange": (("주황색", False), ("주황빛", False)),
    "yellow": (("노란", True), ("노란색", False)),
    "green": (("초록색", False), ("녹색", False)),
    "sky": (("하늘색", False), ("하늘빛", False)),
    "blue": (("파란", True), ("파란색", False)),
    "purple": (("보라색", False), ("보랏빛", False)),
    "grey": (("회색", False), ("잿빛", False)),
}
_SIZES = {"large": ("큰", "커다란", "큼직한"), "small": ("작은", "조그만", "자그마한")}
_MATERIAL_NOUNS = {"metal": "금속", "rubber": "고무"}
_MATERIAL_PHRASES = {
    "metal": ("금속으로 된", "금속 재질의", "반짝이는", "쇠로 된"),
    "rubber": ("고무로 된", "고무 재질의", "광택이 없는"),
}
_SHAPES: dict[str, tuple[str, ...]] = {
    "sphere": ("공", "구", "공", "공 모양 물체", "동그란 공"),
    "cube": ("정육면체", "상자", "큐브", "네모난 것", "주사위 모양 물체"),
    "cylinder": ("원기둥", "원통", "기둥", "원통 모양 물체"),
    "cone": ("원뿔", "고깔", "뾰족한 것", "고깔 모양 물체"),
    "torus": ("도넛", "고리", "도넛 모양 물체", "가운데가 뚫린 것"),
}
_ANYTHING = ("물체", "물체", "물건", "것")
_ADJECTIVAL = frozenset({"동그란 공", "네모난 것", "뾰족한 것", "가운데가 뚫린 것"})  # sizes join them: 크고 네모난 것
NOUN_FORMS: dict[str, tuple[str, ...]] = {  # before 이거나, 이면서, 이 아닌
    **{colour: (f"{forms[0][0]}색" if forms[0][1] else forms[0][0],) for colour, forms in _COLOURS.items()},
    "metal": ("금속",),
    "rubber": ("고무",),
    "sphere": ("공", "구"),
    "cube": ("정육면체", "상자"),
    "cylinder": ("원기둥", "원통"),
    "cone": ("원뿔", "고깔"),
    "torus": ("도넛", "고리"),
}
SIZE_STEMS = {"large": "크", "small": "작"}
COUNTS = ("영", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉", "열")  # before 개


class Nouns:
    """Noun phrases for one question, which keeps to the words it chose first: nobody says 회색 공 and then 잿빛 공."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._chosen: dict[str, int] = {}

    def phrase(self, where: Where, after_clause: bool = False) -> str:
        """Name things by their attributes. `after_clause`: a clause such as 왼쪽에 있는 stands before it."""
        head = self._head(where)
        words: list[str] = []
        material = where.get("material")
        long_material = material is not None and (" " in head or head == "것" or self._rng.random() < 0.4)
        if material and long_material:
            words.append(self._choose(material, _MATERIAL_PHRASES[material]))
        if "size" in where:
            size = where["size"]
            words.append(f"{SIZE_STEMS[size]}고" if head in _ADJECTIVAL else self._choose(size, _SIZES[size]))
        before_thing = bool(words) or after_clause
        if "colour" in where:
            word, before_thing = self._choose(where["colour"], _COLOURS[where["colour"]])
            words.append(word)
        if material and not long_material:
            words.append(_MATERIAL_NOUNS[material])
        if head == "것" and not before_thing:
            head = "물체"
        return " ".join((*words, head))

    def name(self, value: str) -> str:
        """A value that stands by itself: 모두 금속인가요. What has no such noun is its own name."""
        return self._rng.choice(NOUN_FORMS.get(value, (value,)))

    def _head(self, where: Where) -> str:
        if "shape" not in where:
            return self._choose("thing", _ANYTHING)
        heads = _SHAPES[where["shape"]]
        if len(where) > 2 or "colour" in where:  # 작은 빨간 네모난 것 is too much
            heads = tuple(head for head in heads if head not in _ADJECTIVAL)
        return self._choose(where["shape"], heads)

    def _choose(self, about: str, among: Sequence[T]) -> T:
        draw = self._chosen.setdefault(about, self._rng.randrange(840))
        return among[draw % len(among)]


def words_for(value: str) -> set[str]:
    """Every word that says a colour, material or shape in this package."""
    colours = {word for word, _ in _COLOURS.get(value, ())}
    return {*colours, *_MATERIAL_PHRASES.get(value, ()), *_SHAPES.get(value, ()), *NOUN_FORMS[value]}
