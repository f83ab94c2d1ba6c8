"""Schedule, loss, and going on after a stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from training import loop
from training.arguments import Arguments
from training.config import ModelShape, Optimizer
from training.losses import SLICE, learned_loss, sliced_cross_entropy, targets

RECIPE = Optimizer(warmup_steps=4)


class Counting:
    """Batches that are a function of their number."""

    def __init__(self) -> None:
        self.place = 0

    def next(self) -> torch.Tensor:
        self.place += 1
        return torch.randint(0, 300, (2, 12), generator=torch.Generator().manual_seed(self.place))

    def cursor(self) -> dict[str, Any]:
        return {"place": self.place}

    def seek(self, cursor: dict[str, Any]) -> None:
        self.place = cursor["place"]


def tiny() -> LlamaForCausalLM:
    torch.manual_seed(0)
    shape = ModelShape(vocab_size=300, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
    return loop.build_model(shape, 0, 1, 5)


def train(run_dir: Path, steps: int) -> dict[str, torch.Tensor]:
    model = tiny()
    loop.run(
        run_dir=run_dir,
        model=model,
        optimizers=loop.build_optimizers(model, RECIPE),
        recipe=RECIPE,
        batches=Counting(),
        loss_of=lambda batch: (model(input_ids=batch, labels=batch).loss, batch.numel()),
        minutes=None,
        decay_minutes=None,
        checkpoint_minutes=1.0,
        max_steps=steps,
    )
    return model.state_dict()


def test_two_pieces_equal_one_run(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", 6)

    train(tmp_path / "pieces", 3)
    pieces = train(tmp_path / "pieces", 6)

    for name, tensor in whole.items():
        assert torch.equal(tensor, pieces[name]), name


def test_a_piece_of_no_time_leaves_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tiny()

    loop.train(
        Arguments(tmp_path, tmp_path, minutes=0.0, decay_minutes=None, threads=1, show=False),
        run_dir=tmp_path,
        model=model,
        recipe=RECIPE,
        batches=Counting(),
        loss_of=lambda batch: (model(input_ids=batch, labels=batch).loss, batch.numel()),
        checkpoint_minutes=1.0,
    )

    assert loop.load_checkpoint(tmp_path / "checkpoint.pt", tiny()).step == 0
    assert "stopped at step 0" in capsys.readouterr().out


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    batch = Counting().next()
    before = tiny()
    after = tiny()
    after.load_state_dict(train(tmp_path, 30))

    assert after(input_ids=batch, labels=batch).loss < before(input_ids=batch, labels=batch).loss
    assert (tmp_path / "metrics.jsonl").exists()
    assert (tmp_path / "loss.png").exists()


@pytest.mark.parametrize(
    ("step", "share"), [(0, 0.25), (3, 1.0), (50, 1.0), (100, 1.0), (150, 0.5), (190, 0.1), (200, 0.1)]
)
def test_rate_warms_up_stays_and_falls(step: int, share: float) -> None:
    progress = loop.Progress(step=step, decay_start=100, decay_steps=100)
    recipe = Optimizer(warmup_steps=4, final_lr_share=0.1)

    assert loop.learning_rate_share(progress, recipe) == pytest.approx(share)


def test_run_is_finished_when_the_decay_has_ended() -> None:
    assert not loop.Progress(step=10**6).is_finished
    assert not loop.Progress(step=9, decay_start=5, decay_steps=5).is_finished
    assert loop.Progress(step=10, decay_start=5, decay_steps=5).is_finished


def test_muon_gets_the_matrices_inside_and_adam_the_rest() -> None:
    model = tiny()
    muon, adam = loop.build_optimizers(model, RECIPE)

    inside = {id(p) for p in muon.param_groups[0]["params"]}

    assert id(model.get_input_embeddings().weight) not in inside
    assert len(inside) == 2 * 7
    assert len(inside) + len(adam.param_groups[0]["params"]) == len(list(model.parameters()))


def test_sliced_loss_and_gradients_equal_the_plain_ones() -> None:
    torch.manual_seed(0)
    count = SLICE + 7
    hidden = torch.randn(count, 8, requires_grad=True)
    weight = torch.randn(20, 8, requires_grad=True)
    targets = torch.randint(0, 20, (count,))

    sliced = sliced_cross_entropy(hidden, weight, targets)
    sliced_gradients = torch.autograd.grad(sliced, (hidden, weight))
    plain = torch.nn.functional.cross_entropy(hidden @ weight.T, targets)
    plain_gradients = torch.autograd.grad(plain, (hidden, weight))

    torch.testing.assert_close(sliced, plain)
    for ours, theirs in zip(sliced_gradients, plain_gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_token_is_learned_as_often_as_it_counts_from_the_state_before_it() -> None:
    ids, counts = torch.tensor([[5, 6, 7], [8, 9, 4]]), torch.tensor([[1, 0, 1], [0, 2, 0]])

    places, learned = targets(ids, counts)

    assert places.tolist() == [1, 3, 3]
    assert learned.tolist() == [7, 9, 9]


def test_loss_of_a_batch_is_the_plain_one_over_what_counts() -> None:
    torch.manual_seed(0)
    ids, counts = torch.randint(0, 20, (3, 6)), torch.randint(0, 3, (3, 6))
    hidden, weight = torch.randn(3, 6, 8).bfloat16(), torch.randn(20, 8).bfloat16().float()

    found = learned_loss(hidden, weight, ids, counts)

    each = torch.nn.functional.cross_entropy(
        (hidden[:, :-1] @ weight.bfloat16().T).float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
    )
    share = counts[:, 1:].flatten()
    torch.testing.assert_close(found, (each * share).sum() / share.sum())


def test_decay_can_be_planned_again_from_where_the_rate_stands() -> None:
    progress = loop.Progress(step=150, decay_start=100, decay_steps=100)
    recipe = Optimizer(warmup_steps=4)

    loop.plan_decay(progress, steps_left=20)

    assert progress.decay_end == 170
    assert loop.learning_rate_share(progress, recipe) == pytest.approx(0.5)


def test_first_decay_starts_at_the_step_it_is_planned() -> None:
    progress = loop.Progress(step=40)

    loop.plan_decay(progress, steps_left=60)

    assert (progress.decay_start, progress.decay_end) == (40, 100)
