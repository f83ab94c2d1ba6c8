"""The answer as a polite sentence, or why nobody can tell. What is said comes from the executor's outcome alone."""

from __future__ import annotations

from collections.abc import Mapping

from vision.scenes.drafts import Draft
from vision.scenes.nouns import COUNTS
from vision.scenes.programs import Outcome
from vision.scenes.vocabulary import NAMES
from vision.scenes.wording import Wording, answering, fill


def sentence(draft: Draft, outcome: Outcome, spoken: Mapping[str, str], words: Wording) -> str:
    """Say the outcome with the words the question used (`spoken`)."""
    if outcome.reason is not None:
        return _cannot_tell(draft, outcome, spoken, words)
    cases = answering()[draft.group]
    value = outcome.value
    values = dict(spoken)
    if isinstance(value, bool):
        case = "yes" if value else "no"
    elif isinstance(value, int):
        case, values["n"] = ("some" if value else "none"), COUNTS[value]
    elif draft.pair is not None:
        case = "equal" if value == "equal" else "first" if value == draft.pair[0] else "second"
    else:
        case = str(value) if str(value) in cases else "value"
        values["v"] = NAMES[str(value)]
    return fill(words.rng.choice(cases[case]), values)


def _cannot_tell(draft: Draft, outcome: Outcome, spoken: Mapping[str, str], words: Wording) -> str:
    values = dict(spoken)
    if outcome.reason == "unseen":
        return fill(words.rng.choice(answering()[draft.group]["unseen"]), values)
    if outcome.failed_step is None:
        raise ValueError("an outcome with a reason names the step that failed")
    values["x"] = words.called(draft.builder.references[outcome.failed_step])
    values["n"] = COUNTS[len(outcome.found)]
    return fill(words.rng.choice(answering()["unknown"][str(outcome.reason)]), values)
