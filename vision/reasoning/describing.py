"""What there is in a picture, in Korean: each object's name, and a description of all of them."""

from __future__ import annotations

import random
from collections.abc import Sequence

from shared.particles import particle
from vision.scenes.nouns import COUNTS
from vision.scenes.scene import SceneObject
from vision.scenes.vocabulary import NAMES

_SIZES = {"large": "큰", "small": "작은"}
_ASKED = (
    "이 그림에 무엇이 있나요?",
    "그림에 뭐가 있어?",
    "이 그림을 설명해 주세요.",
    "그림 설명해 줘.",
    "사진에 무엇이 보이나요?",
    "뭐가 보여?",
    "보이는 것을 모두 말해 주세요.",
    "이 사진에는 어떤 물체들이 있나요?",
    "그림 속 물체를 하나씩 알려 줘.",
    "무슨 그림이에요?",
    "이게 뭐야?",
    "어떤 것들이 보이는지 말해 줘.",
)
_BEGUN = ("물체가 모두 {n} 개 있습니다.", "그림에 물체가 {n} 개 보입니다.", "모두 {n} 개의 물체가 있어요.")


def object_name(thing: SceneObject) -> str:
    """큰 빨간색 금속 구."""
    return f"{_SIZES[thing.size]} {NAMES[thing.colour]} {NAMES[thing.material]} {NAMES[thing.shape]}"


def described(from_left: Sequence[SceneObject], rng: random.Random) -> tuple[str, str]:
    """A request to describe a picture, and the description; the objects stand in the order in which they are told."""
    names = [object_name(thing) for thing in from_left]
    begun = rng.choice(_BEGUN).format(n=COUNTS[len(names)])
    closing = "입니다" if rng.random() < 0.5 else particle(names[-1], "이에요/예요")
    return rng.choice(_ASKED), f"{begun} 왼쪽부터 {', '.join(names)}{closing}."
