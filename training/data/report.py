"""Look at fine-tuning data before it is trained on: one HTML page, and the rows that could not be read beside it.

    python -m training.data.report FILES --out build/report.html     # and build/report.quarantine.jsonl
    python -m training.data.report FILES --show 5                    # conversations; what is learnt is green

It reads JSON and JSONL, gzipped or not, in the shapes of training/data/formats.py. Nothing is removed: it counts, and
points to rows. Personal things are shown masked; the quarantine holds rows as they stood, so treat it like the data.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from shared.prompting import defuse
from shared.settings import load_settings
from shared.text.pii import Kind, find_pii
from training.conversations import Encoded, coloured
from training.data.formats import read_conversations
from training.data.known_leaks import known_leaks
from training.data.leakage import EvalText, Leak, find_leaks, load_tests
from training.data.licences import Licence, licence_of, licence_table
from training.data.quarantine import Quarantine
from training.data.rows import Conversation
from training.data.table import Located, row_table

EXAMPLES = 5  # of each kind of find that the page shows
BINS = 24
_TEMPLATE = Path(__file__).parent / "report.html.jinja"


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram: rows from `low` up to `high`; in the last one, and above."""

    low: int
    high: int
    rows: int
    height: float  # share of the highest bar


@dataclass(frozen=True)
class Personal:
    """All finds of one kind."""

    kind: Kind
    count: int
    rows: int
    examples: list[tuple[str, str]]  # (file:row, masked)


def read_files(paths: Sequence[Path], quarantine: Quarantine) -> Iterator[Located]:
    """All good rows of all files. Raises: OSError: a file is not there."""
    for path in paths:
        for number, conversation in read_conversations(path, quarantine):
            yield Located(path, number, conversation)


def render(
    paths: Sequence[Path],
    rows: Sequence[Located],
    quarantine: Quarantine,
    tests: Sequence[EvalText],
    tokenizer: PreTrainedTokenizerBase,
    data_dir: Path,
) -> str:
    """The page, in Korean. It is one file that fetches nothing."""
    table = row_table(rows, tokenizer)
    licences = licence_table(data_dir)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.globals["histogram"] = histogram
    leaks = find_leaks([row.conversation for row in rows], tests)
    letters = table[["hangul", "latin", "other"]].sum()
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        files=[_file_facts(path, table, quarantine, licence_of(path, data_dir, licences)) for path in paths],
        rows=len(table),
        bad=quarantine.counts.total(),
        same=int(table["is_same"].sum()),
        near=int(table["is_near"].sum()),
        asks_again=int(table["asks_again"].sum()),
        lengths={name: table[name] for name in ("characters", "answer_characters", "tokens", "turns")},
        quantiles=_quantiles(table),
        letters={name: (int(count), count / max(1, letters.sum())) for name, count in letters.items()},
        languages=table["language"].value_counts().to_dict(),
        votes=table.loc[table["vote"] != "", "vote"].value_counts().to_dict(),
        personal=personal(rows),
        leaks=_leak_facts(leaks, rows),
        leaking_rows=len({leak.row for leak in leaks}),
        test_sets=len({test.set_name for test in tests}),
        test_texts=len(tests),
        quarantine=sorted(quarantine.counts.items()),
        quarantine_name=quarantine.path.name if quarantine.path else "",
    )


def histogram(values: pd.Series) -> list[Bar]:
    """Bars of equal width up to the 99th percentile; the last one takes what lies above, so no tail flattens them."""
    if values.empty:
        return []
    low, top = int(values.min()), int(np.ceil(values.quantile(0.99)))
    width = max(1, -(-(top - low + 1) // BINS))
    edges = list(range(low, top + 1, width))
    places = np.minimum((values.to_numpy() - low) // width, len(edges) - 1)
    counts = np.bincount(places.astype(int), minlength=len(edges)).tolist()
    highest = max(counts)
    return [Bar(edge, edge + width - 1, n, n / highest) for edge, n in zip(edges, counts, strict=True)]


def personal(rows: Sequence[Located]) -> list[Personal]:
    """What may point to a person, by kind, with a few masked examples."""
    counts: Counter[Kind] = Counter()
    places: dict[Kind, dict[str, str]] = {kind: {} for kind in Kind}
    for row in rows:
        for find in (find for _, text in row.conversation.turns for find in find_pii(text)):
            counts[find.kind] += 1
            places[find.kind].setdefault(row.place, find.masked)
    return [
        Personal(kind, counts[kind], len(found), list(islice(found.items(), EXAMPLES)))
        for kind, found in places.items()
    ]


def encode(conversation: Conversation, tokenizer: PreTrainedTokenizerBase) -> Encoded:
    """Ids and loss mask of a conversation as the tokenizer's own chat template makes them.

    Raises: ValueError: it has no template, or its template does not mark answers with {% generation %}."""
    if "{% generation" not in (tokenizer.chat_template or ""):
        raise ValueError("the tokenizer's chat template does not mark what is learnt with {% generation %}")
    controls = tokenizer.all_special_tokens
    turns = [{"role": role, "content": defuse(text, controls)} for role, text in conversation.turns]
    found: Any = tokenizer.apply_chat_template(
        turns, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    return Encoded(list(found["input_ids"]), list(found["assistant_masks"]))


def _file_facts(path: Path, table: pd.DataFrame, quarantine: Quarantine, licence: Licence) -> dict[str, Any]:
    of_file = table[table["file"] == str(path)]
    return {
        "name": str(path),
        "rows": len(of_file),
        "bad": quarantine.of_file(path).total(),
        "characters": int(of_file["characters"].sum()),
        "tokens": int(of_file["tokens"].sum()),
        "same": int(of_file["is_same"].sum()),
        "near": int(of_file["is_near"].sum()),
        "sources": sorted(of_file["source"].unique()),
        "licence": licence,
    }


def _quantiles(table: pd.DataFrame) -> dict[str, list[int]]:
    """Least, middle, 90th and 99th of a hundred, most, for each length."""
    names = ["characters", "answer_characters", "tokens", "turns"]
    if table.empty:
        return {}
    found = table[names].quantile([0, 0.5, 0.9, 0.99, 1]).round().astype(int)
    return {name: found[name].tolist() for name in names}


def _leak_facts(leaks: Sequence[Leak], rows: Sequence[Located]) -> list[dict[str, Any]]:
    """Leaks by set and way, with the places of the first ones."""
    grouped: dict[tuple[str, str], list[Leak]] = {}
    for leak in leaks:
        grouped.setdefault((leak.test.set_name, leak.way), []).append(leak)
    facts = []
    for (set_name, way), found in sorted(grouped.items()):
        found_rows = list(dict.fromkeys(leak.row for leak in found))
        places = [rows[row].place for row in found_rows[:EXAMPLES]]
        text = found[0].test.text[:80]
        known = sum(rows[row].conversation.id in known_leaks() for row in found_rows)
        counted = {"rows": len(found_rows), "left_out": known}
        facts.append({"set": set_name, "way": way, "places": places, "text": text, **counted})
    return facts


def main(arguments: Sequence[str] | None = None) -> None:
    settings = load_settings()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("build/data-report.html"))
    parser.add_argument("--data-dir", type=Path, default=settings.data_dir, help="licences and eval/")
    parser.add_argument("--tokenizer", default=settings.model_source, help="a model directory")
    parser.add_argument("--show", type=int, default=0, metavar="ROWS", help="print conversations, write no page")
    found = parser.parse_args(arguments)
    if missing := [str(path) for path in found.files if not path.is_file()]:
        parser.error(f"no such file: {', '.join(missing)}")

    tokenizer = AutoTokenizer.from_pretrained(found.tokenizer)
    out: Path = found.out
    if found.show:
        with Quarantine() as quarantine:
            for row in islice(read_files(found.files, quarantine), found.show):
                print(f"{row.file}:{row.row}\n{coloured(encode(row.conversation, tokenizer), tokenizer)}")
        return
    with Quarantine(out.with_suffix(".quarantine.jsonl")) as quarantine:
        rows = list(read_files(found.files, quarantine))
        page = render(found.files, rows, quarantine, load_tests(found.data_dir / "eval"), tokenizer, found.data_dir)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8")
    print(f"{len(rows)} rows, {quarantine.counts.total()} bad ones: {out}")


if __name__ == "__main__":
    main()
