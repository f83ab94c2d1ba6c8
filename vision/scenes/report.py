"""How many scenes and questions there are, and whether any family could be answered by always saying the same."""

from __future__ import annotations

from collections import Counter, defaultdict

from vision.scenes.dataset import Example

MAX_MAJORITY = 0.6
FEWEST_JUDGED = 50  # questions of a family; below, its majority says nothing


class Report:
    """Counts that grow by example."""

    def __init__(self) -> None:
        self.scenes = 0
        self.objects: Counter[int] = Counter()  # objects in a scene -> scenes
        self.answers: defaultdict[str, Counter[str]] = defaultdict(Counter)  # family -> answer -> questions
        self.hops: defaultdict[str, Counter[int]] = defaultdict(Counter)

    def add(self, example: Example) -> None:
        """Count one scene and its questions."""
        self.scenes += 1
        self.objects[len(example.scene.objects)] += 1
        for question in example.questions:
            self.answers[question.family][question.answer] += 1
            self.hops[question.family][question.hops] += 1

    def majorities(self) -> dict[str, float]:
        """Family -> share of its most frequent answer."""
        return {family: max(counts.values()) / counts.total() for family, counts in self.answers.items()}

    def is_balanced(self) -> bool:
        """Whether no family with enough questions has a majority above MAX_MAJORITY."""
        shares = self.majorities()
        return all(
            shares[family] <= MAX_MAJORITY for family, counts in self.answers.items() if counts.total() >= FEWEST_JUDGED
        )

    def text(self) -> str:
        """The report for people."""
        lines = [
            f"scenes: {self.scenes}; objects in a scene: {_counted(sorted(self.objects.items()))}",
            f"questions: {sum(counts.total() for counts in self.answers.values())}",
        ]
        for family, share in self.majorities().items():
            counts = self.answers[family]
            warning = "" if share <= MAX_MAJORITY else f"  ABOVE {MAX_MAJORITY:.0%}"
            lines.append(
                f"  {family:12} {counts.total():6}  majority {share:.0%}{warning}"
                f"  hops {_counted(sorted(self.hops[family].items()))}"
            )
            lines.append(f"      {_counted(counts.most_common())}")
        return "\n".join(lines)


def _counted(pairs: list[tuple[int, int]] | list[tuple[str, int]]) -> str:
    return ", ".join(f"{what}: {number}" for what, number in pairs)
