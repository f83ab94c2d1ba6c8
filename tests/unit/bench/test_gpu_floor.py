"""The floor of a decode step on a GPU: bytes that must be read, over bandwidth."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.bench.gpu import SHAPES, Shape, row, step_bytes, step_s

SMALL = Shape(hidden=64, wide=96, layers=3, heads=4, shared_heads=2, vocabulary=320, is_tied=True)


@pytest.mark.parametrize("is_tied", [True, False])
def test_a_step_reads_all_weights_but_an_embedding_of_its_own(is_tied: bool) -> None:
    shape = Shape(64, 96, 3, 4, 2, 320, is_tied)
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(**shape.config()))
    parameters = sum(weights.numel() for weights in model.parameters())

    assert shape.read_parameters == parameters - (0 if is_tied else 320 * 64)


def test_the_shapes_are_those_of_llama_3() -> None:
    assert SHAPES["1b"].read_parameters == pytest.approx(1.236e9, rel=1e-3)
    assert SHAPES["8b"].read_parameters + 4096 * 128_256 == pytest.approx(8.030e9, rel=1e-3)


def test_keys_and_values_are_read_once_for_each_answer() -> None:
    one, two = (step_bytes(SMALL, batch, 100) for batch in (1, 2))

    # layers x (keys, values) x heads of them x width of a head x tokens x bytes
    assert two - one == 3 * 2 * 2 * 16 * 100 * 2
    assert step_bytes(SMALL, 0, 100) == 2 * SMALL.read_parameters


def test_a_step_is_measured_while_all_answers_are_written() -> None:
    early = [0.0, 5.0, 6.0, 7.0, 8.0]  # waited for the other's prompt
    late = [5.0, 6.0, 7.0, 8.0, 20.0]

    assert step_s([early, late]) == pytest.approx(1.0)


def test_answers_one_after_the_other_have_no_common_step() -> None:
    with pytest.raises(ValueError, match="same time"):
        step_s([[0.0, 1.0], [2.0, 3.0]])


def test_a_row_tells_the_floor_over_the_step() -> None:
    bytes_per_s = step_bytes(SMALL, 8, 100) * 1000  # a floor of 1 ms

    told = row(SMALL, bytes_per_s, 8, [(0.002, 100), (0.004, 100), (0.001, 100)], [100.0, 300.0, 200.0], [100.0])

    assert told["over_floor"] == pytest.approx(0.5)
    assert told["tokens_per_s"] == 200.0
    assert told["over_transformers_cb"] == 2.0
    assert row(SMALL, bytes_per_s, 8, [(0.002, 100)], [100.0], None)["over_transformers_cb"] is None
