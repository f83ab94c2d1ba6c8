"""Korean as it is written: particles fit, no slot is left open, and training never sees what is held out."""

from __future__ import annotations

import random
import re
from itertools import chain as joined

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.scenes.dataset import Example, Split
from vision.scenes.drafts import FAMILIES
from vision.scenes.nouns import NOUN_FORMS, Nouns
from vision.scenes.programs import Program
from vision.scenes.vocabulary import ATTRIBUTES, CANNOT_TELL, HELD_OUT_PAIRS, VALUES
from vision.scenes.wording import Wording, answering, asking, fill, likeness, openings, ways, wordings

LEAST_WAYS_TO_ASK = 15
CONSONANT = "은이을과"  # after a final consonant
VOWEL = "는가를와"
HANGUL = st.text(st.characters(min_codepoint=ord("가"), max_codepoint=ord("힣")), min_size=1, max_size=5)
GROUPS_OF = {
    "existence": ("existence.",),
    "count": ("count.",),
    "attribute": ("attribute.",),
    "comparison": ("comparison.",),
    "spatial": ("spatial.",),
    "chain": ("attribute.", "existence.", "count.", "link."),
    "logic": ("logic.", "existence.", "count."),
    "unanswerable": ("attribute.", "spatial.", "unseen."),
}

ASKED = [way for pools in asking().values() for pool in pools.values() for text in pool for way in ways(text)]
TEMPLATES = ASKED + [text for cases in answering().values() for pool in cases.values() for text in pool]


def texts(by_split: dict[Split, list[Example]]) -> list[str]:
    questions = [q for made in by_split.values() for example in made for q in example.questions]
    return [q.question for q in questions] + [q.sentence for q in questions]


def told_by(program: Program, number: int) -> dict[str, str]:
    """All attributes that filters in a row ask for."""
    step = program[number]
    return {**told_by(program, step.of[0]), **step.args} if step.op == "filter" else {}


def has_final(word: str) -> bool:
    return (ord(word[-1]) - ord("가")) % 28 != 0


def nouns() -> set[str]:
    """Words that can end a noun phrase or stand before a particle."""
    rng = random.Random(0)
    phrases = {Nouns(rng).phrase({"shape": shape}) for shape in VALUES["shape"] for _ in range(60)}
    words = {phrase.split()[-1] for phrase in phrases} | {word for forms in NOUN_FORMS.values() for word in forms}
    return words | {"물체", "물건", "것", "색", "색깔", "모양", "크기", "재질"}


@given(st.sampled_from(TEMPLATES), HANGUL)
def test_particles_fit_whatever_word_stands_in_a_slot(template: str, word: str) -> None:
    filled = fill(template, dict.fromkeys(re.findall(r"\{(\w+)", template), f"({word})"))

    wrong = VOWEL if has_final(word) else CONSONANT
    assert "{" not in filled and "}" not in filled
    assert not re.search(rf"\)[{wrong}](?=[ .,?])", filled), filled
    if has_final(word):
        assert not re.search(r"\)(예요|랑)", filled), filled
    else:
        assert not re.search(r"\)(이에요|이랑|으로)", filled), filled


def test_templates_leave_particles_to_the_rule() -> None:
    for template in TEMPLATES:
        assert not re.search(r"\}(은|는|이|가|을|를|과|와|으로|로|랑|이랑|예요|이에요)(?=[ .,?]|$)", template), template
        assert template == template.strip() and "  " not in template, template


def test_no_text_has_a_broken_particle(by_split: dict[Split, list[Example]]) -> None:
    words = nouns()
    broken = "|".join(f"{word}[{VOWEL if has_final(word) else CONSONANT}]" for word in sorted(words))
    pattern = re.compile(rf"(?:^| )(?:{broken})(?=[ .,?])")

    for text in texts(by_split):
        assert not pattern.search(text), text


def test_texts_are_whole_sentences(by_split: dict[Split, list[Example]]) -> None:
    for text in texts(by_split):
        assert re.fullmatch(r"[가-힣0-9 ,.?]+[.?]", text), text
        assert "  " not in text, text


def test_nobody_says_a_noun_right_before_thing(by_split: dict[Split, list[Example]]) -> None:
    nouns_before = re.compile(r"(색|빛|금속|고무|구|공|상자) 것")

    assert not [text for text in texts(by_split) if nouns_before.search(text)]


def test_answers_are_polite(by_split: dict[Split, list[Example]]) -> None:
    for made in by_split.values():
        for question in joined.from_iterable(e.questions for e in made):
            assert re.search(r"(니다|요)\.$", question.sentence), question.sentence


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_family_is_asked_in_many_ways(family: str) -> None:
    starts = GROUPS_OF[family]
    told = {text for g, pools in asking().items() if g.startswith(starts) for pool in pools.values() for text in pool}

    assert len(told) >= LEAST_WAYS_TO_ASK


def test_every_group_has_wordings_for_training_and_held_out_and_answers() -> None:
    for group, pools in asking().items():
        assert set(pools) == {"train", "held_out"} and all(pools.values()), group
        assert len(set(pools["train"])) == len(pools["train"]), group
        assert group.startswith("link.") or group in answering(), group


def test_a_template_stands_for_each_of_its_choices() -> None:
    assert ways("{a:이/가} [있나요|있어]?") == ["{a:이/가} 있나요?", "{a:이/가} 있어?"]
    assert ways("[그림|사진]에 [더 |]") == ["그림에 더 ", "그림에 ", "사진에 더 ", "사진에 "]
    assert ways("{a} 색은?") == ["{a} 색은?"]


def test_training_never_says_a_held_out_wording_with_another_ending() -> None:
    left_out = 0
    for group, pools in asking().items():
        said = [way for of in wordings(group, "train").values() for way in of]
        for held_out in pools["held_out"]:
            assert max(likeness(held_out, way) for way in said) < 0.9, (group, held_out)
        left_out += sum(len(ways(template)) for template in pools["train"]) - len(said)
        assert wordings(group, "held_out") == {n: [text] for n, text in enumerate(pools["held_out"])}
    assert left_out > 0


def test_likeness_looks_past_particles_and_marks() -> None:
    assert likeness("{a:은/는} 몇 개야?", "{a:이/가} 몇 개야.") == 1.0
    assert likeness("가나다", "라마바") == 0.0
    assert likeness("가나다", "가나라") == 0.5


def test_something_is_said_around_some_questions_for_training_and_around_no_held_out_one() -> None:
    rng = random.Random(4)

    opened = {Wording(rng, "train").opened("몇 개예요?") for _ in range(900)}

    assert opened == {"몇 개예요?", *(fill(around, {"q": "몇 개예요?"}) for around in openings())}
    assert {Wording(rng, "held_out").opened("몇 개예요?") for _ in range(200)} == {"몇 개예요?"}


def test_held_out_wordings_are_asked_in_the_paraphrase_split_only(by_split: dict[Split, list[Example]]) -> None:
    used = {
        split: {t for e in made for q in e.questions for t in q.template.split("+")} for split, made in by_split.items()
    }

    assert all(":h" in template for template in used.pop("paraphrase"))
    assert not [template for templates in used.values() for template in templates if ":h" in template]


def test_training_never_shows_or_names_a_held_out_pair(by_split: dict[Split, list[Example]]) -> None:
    for split in ("train", "test", "paraphrase"):
        for example in by_split[split]:
            assert not [o for o in example.scene.objects if (o.colour, o.shape) in HELD_OUT_PAIRS]
            for question in example.questions:
                for number in range(len(question.program)):
                    told = told_by(question.program, number)
                    assert (told.get("colour"), told.get("shape")) not in HELD_OUT_PAIRS, question


def test_every_compositional_question_is_about_a_held_out_pair(by_split: dict[Split, list[Example]]) -> None:
    questions = 0
    for example in by_split["compositional"]:
        special = {o.id for o in example.scene.objects if (o.colour, o.shape) in HELD_OUT_PAIRS}
        assert len(special) >= 2
        for question in example.questions:
            questions += 1
            filters = [step.args for step in question.program if step.op == "filter"]
            named = {(a["colour"], b["shape"]) for a in filters for b in filters if "colour" in a and "shape" in b}
            assert special & set(question.evidence) or named & HELD_OUT_PAIRS, question

    assert questions > 0.9 * len(FAMILIES) * len(by_split["compositional"])


def test_every_colour_and_shape_is_still_learnt_with_others() -> None:
    for colour in VALUES["colour"]:
        assert sum((colour, shape) not in HELD_OUT_PAIRS for shape in VALUES["shape"]) >= 3
    for shape in VALUES["shape"]:
        assert sum((colour, shape) not in HELD_OUT_PAIRS for colour in VALUES["colour"]) >= 5


@given(
    st.fixed_dictionaries({}, optional={a: st.sampled_from(VALUES[a]) for a in ATTRIBUTES}),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_noun_phrases_say_each_attribute_once(where: dict[str, str], after_clause: bool, seed: int) -> None:
    phrase = Nouns(random.Random(seed)).phrase(where, after_clause)

    assert re.fullmatch(r"[가-힣]+( [가-힣]+)*", phrase)
    assert len(phrase.split()) <= 7
    assert not re.search(r"(색|빛|금속|고무) 것$", phrase)
    if not after_clause:
        assert phrase != "것"


def test_a_question_keeps_to_its_words() -> None:
    nouns_of_one = Nouns(random.Random(3))

    assert len({nouns_of_one.phrase({"colour": "grey"}) for _ in range(20)}) == 1


def test_unanswerable_questions_say_why(by_split: dict[Split, list[Example]]) -> None:
    reasons = set()
    for made in by_split.values():
        for question in joined.from_iterable(e.questions for e in made):
            if question.answer != CANNOT_TELL:
                assert "알 수 없" not in question.sentence
                continue
            assert question.family == "unanswerable"
            reason = re.search(r"없어서|보이지 않아|개라서|개 있어서|그림만", question.sentence)
            assert reason, question.sentence
            reasons.add(reason[0])

    assert len(reasons) == 5
