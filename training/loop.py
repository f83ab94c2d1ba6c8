"""What pretraining and fine-tuning share: model, optimizers, schedule, checkpoints, and the piecewise loop.

A run is a folder: `checkpoint.pt` (written whole, then renamed), `metrics.jsonl`, `loss.png`. Started again
with the same command it goes on at the exact step, with the same data order. It is not a trainer: the
scripts own model, data and loss, and hand in one function that makes the loss of the next batch.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from training.arguments import Arguments
from training.config import ModelShape, Optimizer

REPORT_EVERY = 20  # steps


@dataclass
class Progress:
    """Where a run stands. The decay of the learning rate begins when someone decides that it ends."""

    step: int = 0
    tokens: int = 0  # seen by the model, padding not counted
    seconds: float = 0.0
    decay_start: int | None = None
    decay_steps: int = 0
    data: dict[str, Any] = field(default_factory=dict)  # the cursor of the data

    @property
    def decay_end(self) -> int | None:
        return None if self.decay_start is None else self.decay_start + self.decay_steps

    @property
    def is_finished(self) -> bool:
        return self.decay_end is not None and self.step >= self.decay_end


class Batches(Protocol):
    """A stream of batches with a cursor that can be put into a checkpoint."""

    def next(self) -> Any: ...

    def cursor(self) -> dict[str, Any]: ...

    def seek(self, cursor: dict[str, Any]) -> None: ...


def build_model(shape: ModelShape, pad_id: int, bos_id: int, eos_id: int) -> LlamaForCausalLM:
    """A Llama with tied embeddings and random weights (fp32)."""
    options: dict[str, Any] = shape.model_dump(exclude={"rope_theta"})
    config = LlamaConfig(
        **options,
        num_key_value_heads=shape.num_attention_heads,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=True,
        pad_token_id=pad_id,
        bos_token_id=bos_id,
        eos_token_id=eos_id,
    )
    return LlamaForCausalLM(config)


def build_optimizers(model: torch.nn.Module, recipe: Optimizer) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024) for matrices inside the blocks, AdamW for embeddings and norms."""
    inside: list[torch.nn.Parameter] = []
    outside: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.ndim == 2 and "embed" not in name and "lm_head" not in name
        (inside if is_matrix else outside).append(parameter)
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(inside, lr=recipe.muon_lr, weight_decay=recipe.weight_decay, momentum=0.95),
        torch.optim.AdamW(outside, lr=recipe.adam_lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return optimizers


def learning_rate_share(progress: Progress, recipe: Optimizer) -> float:
    """Warm-up, then flat, then a straight fall once the decay has begun (WSD, arXiv:2404.06395)."""
    share = min(1.0, (progress.step + 1) / recipe.warmup_steps)
    if progress.decay_start is not None:
        left = 1 - (progress.step - progress.decay_start) / max(1, progress.decay_steps)
        share = min(share, max(recipe.final_lr_share, left))
    return share


def plan_decay(progress: Progress, steps_left: int) -> None:
    """Let the decay end in `steps_left` steps, from where the rate stands now. Mutates `progress`."""
    share = 1.0
    if progress.decay_start is not None:
        share = max(0.01, 1 - (progress.step - progress.decay_start) / progress.decay_steps)
    progress.decay_steps = max(1, round(steps_left / share))
    progress.decay_start = progress.step - round((1 - share) * progress.decay_steps)


def save_checkpoint(
    path: Path, model: torch.nn.Module, optimizers: list[torch.optim.Optimizer], progress: Progress
) -> None:
    """Write everything a run needs to go on; the old file stays until the new one is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(
        {
            "model": model.state_dict(),
            "optimizers": [o.state_dict() for o in optimizers],
            "progress": asdict(progress),
            "rng": torch.get_rng_state(),
        },
        partial,
    )
    partial.replace(path)


def load_checkpoint(
    path: Path, model: torch.nn.Module, optimizers: list[torch.optim.Optimizer] | None = None
) -> Progress:
    """Put a checkpoint into the model (and optimizers, when given). Mutates both and torch's RNG."""
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    if optimizers is not None:
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            fresh = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
            optimizer.load_state_dict(saved)
            for group, wanted in zip(optimizer.param_groups, fresh, strict=True):
                group.update(wanted)  # rates are the recipe's, only the moments are the checkpoint's
        torch.set_rng_state(state["rng"])
    return Progress(**state["progress"])


def train(
    arguments: Arguments,
    *,
    run_dir: Path,
    model: torch.nn.Module,
    recipe: Optimizer,
    batches: Batches,
    loss_of: Callable[[Any], tuple[torch.Tensor, int]],
    checkpoint_minutes: float,
    spent: Progress | None = None,
) -> None:
    """`run` for as long as the person asked, and say where it stopped."""
    progress = run(
        run_dir=run_dir,
        model=model,
        optimizers=build_optimizers(model, recipe),
        recipe=recipe,
        batches=batches,
        loss_of=loss_of,
        minutes=arguments.minutes,
        decay_minutes=arguments.decay_minutes,
        checkpoint_minutes=checkpoint_minutes,
        spent=spent,
    )
    print(f"stopped at step {progress.step}, {progress.tokens:,} tokens", flush=True)


def run(
    *,
    run_dir: Path,
    model: torch.nn.Module,
    optimizers: list[torch.optim.Optimizer],
    recipe: Optimizer,
    batches: Batches,
    loss_of: Callable[[Any], tuple[torch.Tensor, int]],
    minutes: float | None,
    decay_minutes: float | None,
    checkpoint_minutes: float,
    max_steps: int | None = None,
    spent: Progress | None = None,
) -> Progress:
    """Train until the minutes are over, the decay has ended or `max_steps` is reached.

    `loss_of(batch)` returns the loss and how many tokens it read. With `minutes` and `decay_minutes`
    the learning rate falls to its end during the last of the minutes. `spent`: on the weights it begins with."""
    checkpoint = run_dir / "checkpoint.pt"
    progress = spent or Progress()
    if checkpoint.exists():
        progress = load_checkpoint(checkpoint, model, optimizers)
        batches.seek(progress.data)
        print(f"goes on at step {progress.step}, {progress.tokens:,} tokens", flush=True)
    run_dir.mkdir(parents=True, exist_ok=True)
    start = saved = time.monotonic()
    recent: list[float] = []
    planned = False
    mark_time, mark_tokens = start, progress.tokens
    model.train()
    while not progress.is_finished and (max_steps is None or progress.step < max_steps):
        now = time.monotonic()
        elapsed = now - start
        if minutes is not None:
            left = minutes * 60 - elapsed
            if left <= 0 and progress.decay_start is None:
                break
            if decay_minutes and not planned and len(recent) >= 20 and left <= decay_minutes * 60:
                planned = True  # once in a piece: a later piece plans again, for its own minutes
                plan_decay(progress, steps_left=int(left / (elapsed / len(recent))))
                print(f"the rate falls to its end at step {progress.decay_end}", flush=True)
        share = learning_rate_share(progress, recipe)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * share
        loss, tokens = loss_of(batches.next())
        loss.backward()  # type: ignore[no-untyped-call]  # torch
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        progress.step += 1
        progress.tokens += tokens
        progress.data = batches.cursor()
        recent.append(loss.item())
        if progress.step % REPORT_EVERY == 0:
            now = time.monotonic()
            speed = (progress.tokens - mark_tokens) / (now - mark_time)
            progress.seconds += now - mark_time
            mark_time, mark_tokens = now, progress.tokens
            _report(run_dir, progress, recent, float(norm), share, speed, minutes, now - start)
        if time.monotonic() - saved > checkpoint_minutes * 60:
            save_checkpoint(checkpoint, model, optimizers, progress)
            saved = time.monotonic()
    save_checkpoint(checkpoint, model, optimizers, progress)
    plot(run_dir)
    return progress


def plot(run_dir: Path) -> None:
    """Draw loss.png from metrics.jsonl."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    path = run_dir / "metrics.jsonl"
    if not path.exists():
        return
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    figure, axes = pyplot.subplots(figsize=(7, 4))
    axes.plot([r["tokens"] / 1e6 for r in rows], [r["loss"] for r in rows])
    axes.set(xlabel="million tokens", ylabel="loss (nats per token)", title=run_dir.name)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(run_dir / "loss.png", dpi=120)
    pyplot.close(figure)


def _report(
    run_dir: Path,
    progress: Progress,
    recent: list[float],
    norm: float,
    share: float,
    speed: float,
    minutes: float | None,
    elapsed: float,
) -> None:
    loss = sum(recent[-REPORT_EVERY:]) / len(recent[-REPORT_EVERY:])
    row = {
        "step": progress.step,
        "tokens": progress.tokens,
        "loss": round(loss, 4),
        "grad_norm": round(norm, 3),
        "lr_share": round(share, 4),
        "tokens_per_s": round(speed),
    }
    with (run_dir / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    eta = f" eta {minutes - elapsed / 60:.1f} min" if minutes else ""
    print(" ".join(f"{key} {value}" for key, value in row.items()) + eta, flush=True)
