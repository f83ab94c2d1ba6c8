"""Write the generated parts of the model card (facts, bits per byte, the answers as they came) and NOTICE.

Only what stands between `<!-- generated:NAME -->` and `<!-- /generated:NAME -->` is replaced; the rest of
workers/reference/MODEL_CARD.md is written by hand.

How to run: `python -m training.card training/recipes/reference_sft.yaml`
"""

from __future__ import annotations

import json
import re
from typing import Any

from training.arguments import parse
from training.config import PretrainRecipe, SftRecipe, load_recipe
from training.data.decontaminate import PROMPT_DIR
from training.data.sources import SOURCES
from training.evaluate import BITS, PASSED, SEEING, TEXT, load_verdicts, renew, verdict_of
from vision.evaluate import WAYS


def replace_part(card: str, name: str, text: str) -> str:
    """The card with one generated part renewed. Raises: ValueError: the card lacks its markers."""
    pattern = re.compile(rf"(<!-- generated:{name} -->\n).*?(<!-- /generated:{name} -->)", re.DOTALL)
    if not pattern.search(card):
        raise ValueError(f"the card has no part {name!r}; add its two markers")
    return pattern.sub(lambda match: f"{match[1]}{text}\n{match[2]}", card)


def facts_table(facts: dict[str, Any]) -> str:
    """Sizes and origin, from the manifest."""
    text = facts.get("language_model", facts)
    rows = {"Digest": f"`{facts['digest'][:16]}`", **(_eyes(facts) if text is not facts else {}), **_text(text)}
    lines = ["| | |", "|---|---|"] + [f"| {k} | {v} |" for k, v in rows.items() if v]
    return "\n".join(lines)


def _eyes(facts: dict[str, Any]) -> dict[str, str]:
    """Rows about a model with eyes beside those of its language model."""
    encoder = facts["recipes"]["parser"]["encoder"]
    grid = encoder["image_size"] // encoder["patch_size"]
    tokens, minutes = facts["tokens_seen"], facts["minutes"]
    trained = (f"{each} {tokens[each]:,} tokens, {minutes[each]:.0f} minutes" for each in tokens if each != "parser")
    return {
        "Eyes": f"SigLIP, {encoder['num_hidden_layers']} layers, {encoder['hidden_size']} wide, pictures of "
        f"{encoder['image_size']} px, {grid * grid} patches",
        "Parameters in all": f"{facts['parameters']:,}",
        "Parser": f"{tokens['parser'] // grid**2:,} pictures, {minutes['parser']:.0f} minutes",
        "Alignment": "; ".join(trained),
        "Language model before": f"`{facts['language_model']['digest'][:16]}`",
    }


def _text(facts: dict[str, Any]) -> dict[str, str]:
    shape = facts["recipes"]["pretrain"]["model"]
    return {
        "Shape": f"Llama, {shape['num_hidden_layers']} layers, {shape['hidden_size']} wide, "
        f"{shape['num_attention_heads']} heads, {shape['vocab_size']} tokens, tied embeddings",
        "Parameters": f"{facts['parameters']:,}" if "parameters" in facts else "",
        "Seed": str(facts["seed"]),
        "Pretraining": f"{facts['tokens_seen']['pretrain']:,} tokens, {facts['minutes']['pretrain']:.0f} minutes",
        "Fine-tuning": f"{facts['tokens_seen']['sft']:,} tokens, {facts['minutes']['sft']:.0f} minutes",
        "Data digest": f"`{facts['data_sha256'][:16]}`",
    }


def bits_table(scores: dict[str, dict[str, float]]) -> str:
    """Bits per byte of each held-out source, for each model measured."""
    models = list(scores)
    lines = ["| held-out text | " + " | ".join(models) + " |", "|---" * (len(models) + 1) + "|"]
    for name in scores[models[0]]:
        lines.append(f"| {name} | " + " | ".join(f"{scores[m][name]:.3f}" for m in models) + " |")
    return "\n".join(lines)


def passed_table(passed: dict[str, dict[str, int]]) -> str:
    """How many of the forty prompts of each set pass, for each model measured."""
    models = list(passed)
    lines = ["| prompts | " + " | ".join(models) + " |", "|---" * (len(models) + 1) + "|"]
    for name in passed[models[0]]:
        lines.append(f"| {name} | " + " | ".join(f"{passed[m][name]} of 40" for m in models) + " |")
    return "\n".join(lines)


def families_table(measured: dict[str, Any]) -> str:
    """What is seen in unseen pictures, by family and way, from vision.json of `make bench-vision`."""
    whole = {way: measured[way] for way in WAYS} | {"majority": measured["majority"]}
    rows = {"all": whole, **measured["by_family"]}
    rows |= {split: measured[split] for split in ("compositional", "paraphrase")}
    lines = ["| questions | " + " | ".join(whole) + " |", "|---" * (len(whole) + 1) + "|"]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(f"{100 * row[way]:.1f} %" for way in whole) + " |")
    spread = (f"{way} " + ", ".join(f"{100 * share:.1f}" for share in measured["by_seed"][way]) for way in WAYS)
    return "\n".join([*lines, "", f"All families, by evaluation seed (%): {'; '.join(spread)}."])


def answers_table(rows: list[dict[str, Any]]) -> str:
    """Prompts, answers and verdicts, with the count in the first line."""
    passed = sum(row["verdict"] == "pass" for row in rows)
    lines = [
        f"{passed} of {len(rows)} pass.",
        "",
        "| # | prompt | answer | verdict | nearest training question (Dice) |",
        "|---|---|---|---|---|",
    ]
    for number, row in enumerate(rows, 1):
        verdict = row["verdict"] + (f": {row['reason']}" if row["reason"] else "")
        cells = (row["prompt"], row["answer"], verdict, f"{row['nearest']} ({row['nearest_dice']:.2f})")
        lines.append(f"| {number} | " + " | ".join(_cell(c) for c in cells) + " |")
    return "\n".join(lines)


def notice(names: set[str]) -> str:
    """Who is to be named for the data of these sources, ordered by licence."""
    lines = ["The reference model of Nunmal was trained on text of these works. Changes: code, tables, links and"]
    lines += [
        "markup were removed, rows were filtered and deduplicated. No endorsement by anyone named is implied.",
        "",
    ]
    for licence in sorted({SOURCES[name].licence for name in names}):
        lines.append(f"{licence}")
        for name in sorted(names):
            if SOURCES[name].licence == licence:
                lines.append(f"  {SOURCES[name].origin}  ({SOURCES[name].holder})")
        lines.append("")
    lines.append("The templates in training/data/templates/ are part of Nunmal and under its licence.")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")


def main() -> None:
    arguments = parse(__doc__)
    recipe = load_recipe(arguments.recipe, SftRecipe)
    path = recipe.publish_dir.parent / "MODEL_CARD.md"
    facts = json.loads((recipe.publish_dir / "manifest.json").read_text(encoding="utf-8"))
    evaluation = path.parent / "evaluation.json"
    scores = json.loads(evaluation.read_text(encoding="utf-8"))[BITS]
    name = SEEING if "language_model" in facts else TEXT
    passed: dict[str, int] = {}
    card = path.read_text(encoding="utf-8")
    card = replace_part(card, "facts", facts_table(facts))
    verdicts = load_verdicts()
    card = replace_part(card, "bits", bits_table(scores))
    for answers in sorted((PROMPT_DIR / "answers").glob("*.json")):
        rows = json.loads(answers.read_text(encoding="utf-8"))
        for row in rows:  # verdicts may have been given since
            row["verdict"], row["reason"] = verdict_of(row, verdicts)
        answers.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        passed[answers.stem] = sum(row["verdict"] == "pass" for row in rows)
        card = replace_part(card, f"answers-{answers.stem}", answers_table(rows))
    card = replace_part(card, "passed", passed_table(renew(evaluation, PASSED, name, passed)[PASSED]))
    if (seen := path.parent / "vision.json").exists():
        card = replace_part(card, "families", families_table(json.loads(seen.read_text(encoding="utf-8"))))
    path.write_text(card, encoding="utf-8")
    base = load_recipe(recipe.base_recipe, PretrainRecipe)
    path.with_name("NOTICE").write_text(notice({*base.sources, *recipe.sources}), encoding="utf-8")
    print(f"wrote {path} and NOTICE")


if __name__ == "__main__":
    main()
