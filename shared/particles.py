"""Korean particles: which of two forms follows a word, by its final consonant.

`{food:을/를}` in a template names both forms, the one after a consonant first. Numbers are read in
Korean (3 is 삼), Latin letters by how their name ends (L, M, N, R have a final consonant). This is a
rule for templates, not a reading of all of Korean: foreign words are judged by their last letter.
"""

from __future__ import annotations

# Final sound of the last digit as it is read: 영 일 이 삼 사 오 육 칠 팔 구
_DIGIT_FINALS = {
    "0": "ㅇ",
    "1": "ㄹ",
    "2": "",
    "3": "ㅁ",
    "4": "",
    "5": "",
    "6": "ㄱ",
    "7": "ㄹ",
    "8": "ㄹ",
    "9": "",
}
_LATIN_FINALS = {"l": "ㄹ", "m": "ㅁ", "n": "ㄴ", "r": "ㄹ"}
_RIEUL = 8  # index of ㄹ among the 28 finals of Unicode Hangul


def final_sound(word: str) -> str:
    """ "" after a vowel, "ㄹ" after rieul, another consonant otherwise (its name is not exact).

    Quotation marks, brackets and full stops at the end are not read."""
    read = word.rstrip("\"'”’)]}.,!?~ ")
    if not read:
        return ""
    last = read[-1].lower()
    if "가" <= last <= "힣":
        index = (ord(last) - ord("가")) % 28
        return "" if index == 0 else "ㄹ" if index == _RIEUL else "ㄱ"
    if last in _DIGIT_FINALS:
        return _DIGIT_FINALS[last]
    return _LATIN_FINALS.get(last, "")


def particle(word: str, forms: str) -> str:
    """Choose from `forms`, written "after consonant/after vowel", for this word.

    으로/로 and its kin take the second form after ㄹ too (서울로).
    Raises: ValueError: `forms` does not hold exactly one slash."""
    parts = forms.split("/")
    if len(parts) != 2:
        raise ValueError(f"particle {forms!r} must name two forms, like 을/를")
    after_consonant, after_vowel = parts
    final = final_sound(word)
    if final == "ㄹ" and after_consonant.startswith("으로"):
        return after_vowel
    return after_consonant if final else after_vowel
