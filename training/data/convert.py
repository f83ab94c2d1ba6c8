"""From the shapes of others to rows that a run of fine-tuning reads: `messages`, and pairs out of votes.

    python -m training.data.convert FILES --out build/rows.jsonl --drop same near personal leaking
    python -m training.data.convert votes.jsonl --out build/rows.jsonl --pairs build/pairs.jsonl

An answer that was voted down is not written as something to learn; with `--pairs`, it is what another answer to the
same turns is preferred to. Of two that were compared there is only a pair: the better one need not be good. Questions
about pictures are left out: the rows have no place for them.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from shared.settings import load_settings
from shared.text.pii import find_pii
from training.data.doubles import find_doubles
from training.data.formats import read_conversations
from training.data.leakage import EvalText, find_leaks, load_tests
from training.data.quarantine import Quarantine
from training.data.rows import Conversation, Turn

DROPS = ("same", "near", "personal", "leaking")
_NEVER = ("personal", "leaking")  # of these not even pairs are made


def unwanted(rows: Sequence[Conversation], drops: Iterable[str], tests: Sequence[EvalText]) -> dict[int, str]:
    """Why rows are left out, by their place: `pictures`, `voted_down`, `compared`, or one of the wanted DROPS."""
    kinds, drops = {"down": "voted_down", "better": "compared"}, set(drops)
    found = {i: kinds[row.vote.value] for i, row in enumerate(rows) if row.vote and row.vote.value in kinds}
    if drops & {"same", "near"}:
        doubles = find_doubles(rows)
        for name, values in (("same", doubles.same), ("near", doubles.near)):
            found |= {place: name for place, is_double in enumerate(values) if is_double and name in drops}
    if "personal" in drops:
        found |= {i: "personal" for i, row in enumerate(rows) if any(map(find_pii, _texts(row)))}
    if "leaking" in drops:
        found |= {leak.row: "leaking" for leak in find_leaks(rows, tests)}
    return found | {i: "pictures" for i, row in enumerate(rows) if row.pictures}


def messages_row(row: Conversation) -> dict[str, Any]:
    """One conversation in the words of chat completions."""
    return {"id": row.id, "source": row.source, "task": row.label, "messages": _messages(row.turns)}


def pairs(rows: Iterable[Conversation]) -> Iterator[dict[str, Any]]:
    """`{prompt, chosen, rejected}` for every two answers to the same turns of which one was liked and one was not, and
    for every two that were compared."""
    answers: dict[tuple[Turn, ...], dict[str, list[str]]] = defaultdict(lambda: {"up": [], "down": []})
    for row in rows:
        said = row.turns[-1][1]
        if row.vote is not None and row.vote.rejected:
            yield {"prompt": _messages(row.turns[:-1]), "chosen": said, "rejected": row.vote.rejected}
        elif row.vote is not None and not row.pictures and said not in answers[row.turns[:-1]][row.vote.value]:
            answers[row.turns[:-1]][row.vote.value].append(said)
    for turns, votes in answers.items():
        for liked in votes["up"]:
            for disliked in votes["down"]:
                if liked != disliked:
                    yield {"prompt": _messages(turns), "chosen": liked, "rejected": disliked}


def _texts(row: Conversation) -> list[str]:
    return [text for _, text in row.turns] + ([row.vote.rejected] if row.vote else [])


def _messages(turns: Iterable[Turn]) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in turns]


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")
    return len(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, default=None)
    parser.add_argument("--drop", nargs="*", choices=DROPS, default=[])
    parser.add_argument("--data-dir", type=Path, default=load_settings().data_dir, help="its eval/ is what may leak")
    found = parser.parse_args(arguments)
    if missing := [str(path) for path in found.files if not path.is_file()]:
        parser.error(f"no such file: {', '.join(missing)}")

    with Quarantine(found.out.with_suffix(".quarantine.jsonl")) as quarantine:
        rows = [row for path in found.files for _, row in read_conversations(path, quarantine)]
    tests = load_tests(found.data_dir / "eval") if "leaking" in found.drop else []
    left_out = unwanted(rows, found.drop, tests)
    written = _write(found.out, (messages_row(row) for i, row in enumerate(rows) if i not in left_out))
    print(f"{written} rows, {quarantine.counts.total()} bad ones, left out: {dict(Counter(left_out.values()))}")
    if found.pairs:
        kept = (row for i, row in enumerate(rows) if left_out.get(i) not in _NEVER)
        print(f"{_write(found.pairs, pairs(kept))} pairs")


if __name__ == "__main__":
    main()
