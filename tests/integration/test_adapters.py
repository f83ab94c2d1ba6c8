"""Adapters in one batch give what each gives alone, what PEFT gives, and what a base with them merged in gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel

from shared.errors import AdapterRefused, AdapterUnknown
from tests.tiny_adapters import BASE_DIGEST, merge, save_tiny_adapter, targeted
from tests.tiny_models import VOCABULARY, tiny_model
from workers.engine.adapters.served_adapters import ServedAdapters

Span = tuple[str | None, int]

LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
NEOX = ["query_key_value", "attention.dense", "dense_h_to_4h", "dense_4h_to_h"]
TARGETS = {"Llama": LLAMA, "Qwen2": LLAMA, "GPTNeoX": NEOX}  # Qwen2 and GPTNeoX have biases
ZEROED = "model.layers.2.self_attn.v_proj"
KINDS: dict[str, dict[str, Any]] = {
    "lora": {},
    "lora of few layers": {"few": True, "rank": 8},
    "rslora with patterns": {"rank": 20, "use_rslora": True, "patterns": True},
    "dora": {"use_dora": True, "rank": 16},
    "dora with rslora": {"use_dora": True, "use_rslora": True, "few": True},
}


def base(family: str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """With biases that are not zero, where it has any."""
    model: Any = tiny_model(family)
    random = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("proj.bias") or ("dense" in name and name.endswith("bias")) or "value.bias" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=random) / 2)
    converted: PreTrainedModel = model.to(dtype)
    return converted


def save(directory: Path, family: str, kind: str, seed: int = 1) -> Path:
    options = dict(KINDS[kind])
    targets = TARGETS[family]
    if options.pop("few", False):
        targets = [f"layers.{layer}.{part}" for layer in (0, 2) for part in _attention(family)]
    if options.pop("patterns", False):
        module = next(iter(targeted(base(family), targets[:1])))
        options |= {"alpha_pattern": {module: 30}, "rank_pattern": {targets[-1]: 3}}
    return save_tiny_adapter(directory, base(family), targets, seed=seed, **options)


def _attention(family: str) -> list[str]:
    return ["attention.query_key_value"] if family == "GPTNeoX" else ["self_attn.q_proj", "self_attn.v_proj"]


def tokens(length: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, VOCABULARY, (1, length), generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def logits_of(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits
    return logits


@torch.inference_mode()
def packed(model: PreTrainedModel, served: ServedAdapters, spans: Sequence[Span]) -> list[torch.Tensor]:
    """Logits of each span, a sequence of its own, all read in one pass; three times, as in three steps."""
    ids = torch.cat([tokens(length, seed) for seed, (_, length) in enumerate(spans)], dim=1)
    positions = torch.cat([torch.arange(length) for _, length in spans])[None]
    steps = []
    for _ in range(3):
        served.begin(spans)
        steps.append(model(input_ids=ids, position_ids=positions, use_cache=False).logits[0])
    for later in steps[1:]:
        assert_same(later, steps[0])
    return list(steps[-1].split([length for _, length in spans]))


def alone(model: PreTrainedModel, served: ServedAdapters, spans: Sequence[Span]) -> list[torch.Tensor]:
    found = []
    for seed, (name, length) in enumerate(spans):
        served.begin([(name, length)])
        found.append(logits_of(model, tokens(length, seed))[0])
    return found


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", TARGETS)
def test_an_adapter_gives_what_a_base_with_it_merged_in_gives(family: str, kind: str, tmp_path: Path) -> None:
    model = base(family)
    served = ServedAdapters(model, BASE_DIGEST, "none")
    directory = save(tmp_path, family, kind)
    served.load("a", directory)

    served.begin([("a", 30)])

    expected = logits_of(merge(base(family), directory), tokens(30))
    assert_same(logits_of(model, tokens(30)), expected)
    assert (expected - logits_of(base(family), tokens(30))).abs().max() > 0.01


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", TARGETS)
@pytest.mark.filterwarnings("ignore")  # peft, of transformers' newer names
def test_an_adapter_gives_what_peft_gives(family: str, kind: str, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    model = base(family)
    served = ServedAdapters(model, BASE_DIGEST, "none")
    directory = save(tmp_path, family, kind)
    served.load("a", directory)

    served.begin([("a", 30)])

    expected = peft.PeftModel.from_pretrained(base(family), directory).eval()
    assert_same(logits_of(model, tokens(30)), logits_of(expected, tokens(30)))


@pytest.mark.filterwarnings("ignore")  # peft, of transformers' newer names
def test_what_peft_saves_is_taken(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear", use_dora=True)
    trained = peft.get_peft_model(base("GPTNeoX"), config).eval()
    with torch.no_grad():
        for name, parameter in trained.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.2, generator=torch.Generator().manual_seed(3))
    trained.save_pretrained(tmp_path)
    (tmp_path / "nunmal.json").write_text(f'{{"base_digest": "{BASE_DIGEST}", "numerics": "none"}}')
    model = base("GPTNeoX")
    served = ServedAdapters(model, BASE_DIGEST, "none")

    facts = served.load("a", tmp_path)
    served.begin([("a", 20)])

    assert (facts.rank, facts.is_dora) == (4, True)
    assert_same(logits_of(model, tokens(20)), logits_of(trained, tokens(20)))


@pytest.mark.parametrize(
    "lengths",
    [(6, 6, 6, 6, 6, 6), (1, 1, 1, 1, 1, 1), (3, 9, 1, 4, 12, 2), (9, 4, 4, 4, 4, 5)],
    ids=["equal", "one token each", "uneven", "equal inside"],
)
@pytest.mark.parametrize("family", TARGETS)
def test_a_mixed_batch_gives_what_each_gives_alone(family: str, lengths: tuple[int, ...], tmp_path: Path) -> None:
    model = base(family)
    served = ServedAdapters(model, BASE_DIGEST, "none")
    for number, kind in enumerate(KINDS):
        served.load(kind.replace(" ", "-"), save(tmp_path / str(number), family, kind, seed=number))
    names = [None, *(kind.replace(" ", "-") for kind in KINDS)]
    orders = [names, names[1:] + names[:1], [names[1], None, names[4], names[4], None, names[3]]]

    for order in orders:
        spans = list(zip(order, lengths, strict=True))
        for found, expected in zip(packed(model, served, spans), alone(model, served, spans), strict=True):
            assert_same(found, expected)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[PreTrainedModel, ServedAdapters]:
    model = base("Qwen2")
    served = ServedAdapters(model, BASE_DIGEST, "none")
    for name, kind in (("a", "lora"), ("b", "dora"), ("c", "dora with rslora")):
        served.load(name, save(tmp_path_factory.mktemp(name), "Qwen2", kind, seed=ord(name)))
    return model, served


@given(st.lists(st.tuples(st.sampled_from([None, "a", "b", "c"]), st.integers(1, 7)), min_size=1, max_size=12))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_spans_gives_what_each_gives_alone(
    three: tuple[PreTrainedModel, ServedAdapters], spans: list[Span]
) -> None:
    model, served = three

    for found, expected in zip(packed(model, served, spans), alone(model, served, spans), strict=True):
        assert_same(found, expected)


def test_rows_without_an_adapter_are_the_models_own_to_the_last_bit(tmp_path: Path) -> None:
    model = base("Llama")
    expected = logits_of(model, tokens(16))
    served = ServedAdapters(model, BASE_DIGEST, "none")
    served.load("a", save(tmp_path, "Llama", "dora"))

    served.begin([("a", 16)])
    logits_of(model, tokens(16))
    served.begin([(None, 16)])

    assert torch.equal(logits_of(model, tokens(16)), expected)


def test_adapters_are_loaded_replaced_and_unloaded_between_steps(tmp_path: Path) -> None:
    model = base("Llama")
    plain = logits_of(model, tokens(9))
    first, second = (save(tmp_path / kind, "Llama", kind) for kind in ("lora of few layers", "dora"))
    served = ServedAdapters(model, BASE_DIGEST, "none")

    before = served.load("a", first)
    served.load("b", first)
    served.begin([("a", 9)])
    assert_same(logits_of(model, tokens(9)), logits_of(merge(base("Llama"), first), tokens(9)))

    after = served.load("a", second)
    assert torch.equal(logits_of(model, tokens(9)), plain), "nothing is adapted until the next begin"
    served.begin([("a", 9)])
    assert_same(logits_of(model, tokens(9)), logits_of(merge(base("Llama"), second), tokens(9)))

    served.unload("a")
    with pytest.raises(AdapterUnknown) as caught:
        served.begin([(None, 4), ("a", 5)])
    with pytest.raises(AdapterUnknown):
        served.unload("a")
    served.begin([("b", 9)])
    assert_same(logits_of(model, tokens(9)), logits_of(merge(base("Llama"), first), tokens(9)))

    assert caught.value.facts == {"adapter": "a"}
    assert before.digest != after.digest
    assert (after.name, after.rank, after.is_dora, after.numerics) == ("a", 16, True, "none")
    assert [facts.name for facts in served.facts()] == ["b"]


def test_replacing_by_an_adapter_of_fewer_layers_leaves_nothing_of_the_old_one(tmp_path: Path) -> None:
    model = base("Llama")
    served = ServedAdapters(model, BASE_DIGEST, "none")
    wide, few = save(tmp_path / "wide", "Llama", "dora"), save(tmp_path / "few", "Llama", "lora of few layers")

    served.load("a", wide)
    served.load("a", few)
    served.begin([("a", 9)])

    assert_same(logits_of(model, tokens(9)), logits_of(merge(base("Llama"), few), tokens(9)))


def of_no_norm(directory: Path) -> None:
    """DoRA divides by |W + B A| of each output: here, where the test has W = 0, B is 0 too."""
    save_tiny_adapter(directory, base("Llama"), ["v_proj"], use_dora=True)
    file = directory / "adapter_model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(file).items()}
    tensors[f"base_model.model.{ZEROED}.lora_B.weight"][3] = 0
    save_file(tensors, file)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda at: save_tiny_adapter(at, base("Llama"), LLAMA, base_digest="f00"), "it belongs to base 'f00'"),
        (lambda at: save_tiny_adapter(at, base("Llama"), LLAMA, numerics="nf4"), "numerics 'nf4'"),
        (lambda at: save_tiny_adapter(at, base("Llama"), ["lm_head"]), "target_modules has 'lm_head'"),
        (lambda at: save_tiny_adapter(at, base("Llama"), LLAMA, rank=4, r=8), "has shape"),
        (of_no_norm, "not finite in torch.float32"),
    ],
    ids=["another base", "other numerics", "output layer", "another shape", "division by zero"],
)
def test_a_refused_adapter_changes_nothing(spoil: Callable[[Path], object], reason: str, tmp_path: Path) -> None:
    model = base("Llama")
    with torch.no_grad():
        model.get_submodule(ZEROED).get_parameter("weight")[3] = 0
    served = ServedAdapters(model, BASE_DIGEST, "none")
    facts = served.load("a", save(tmp_path / "good", "Llama", "lora"))
    served.begin([("a", 9)])
    expected = logits_of(model, tokens(9))
    spoil(tmp_path / "bad")

    with pytest.raises(AdapterRefused, match=reason):
        served.load("a", tmp_path / "bad")

    assert served.facts() == (facts,)
    assert torch.equal(logits_of(model, tokens(9)), expected)


def test_values_that_half_precision_cannot_hold_are_refused(tmp_path: Path) -> None:
    directory = save_tiny_adapter(tmp_path, base("Llama"), ["q_proj"], lora_alpha=1e6)

    with pytest.raises(AdapterRefused, match=r"not finite in torch.float16"):
        ServedAdapters(base("Llama", torch.float16), BASE_DIGEST, "none").load("a", directory)


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16, torch.float16])
def test_a_bfloat16_model_takes_adapters_of_any_precision(stored: torch.dtype, tmp_path: Path) -> None:
    model = base("Qwen2", torch.bfloat16)
    served = ServedAdapters(model, BASE_DIGEST, "none")
    directory = save_tiny_adapter(tmp_path, base("Qwen2"), LLAMA, use_dora=True, dtype=stored)
    served.load("a", directory)

    served.begin([("a", 12)])

    expected = logits_of(merge(base("Qwen2"), directory), tokens(12))
    difference = (logits_of(model, tokens(12)).float() - expected).abs().max()
    assert difference < 0.1 * expected.abs().max()


class PackedLinear(nn.Module):
    """A layer as quantisation leaves it: whole numbers and a scale for each output, no plain weight."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.scale = linear.weight.detach().abs().amax(dim=1, keepdim=True) / 127
        self.weight = nn.Parameter((linear.weight / self.scale).round().to(torch.int8), requires_grad=False)
        self.bias = linear.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.weight * self.scale, self.bias)


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside one in use"])
def test_dora_over_a_quantised_base_divides_by_the_norms_of_what_is_served(tmp_path: Path, beside: bool) -> None:
    model, plain = base("GPTNeoX"), base("GPTNeoX")
    for name, module in list(targeted(model, NEOX).items()):
        quantised = PackedLinear(module)
        model.set_submodule(name, quantised)
        with torch.no_grad():
            plain.get_submodule(name).get_parameter("weight").copy_(quantised.weight * quantised.scale)
    biases = {name: parameter.clone() for name, parameter in model.named_parameters() if name.endswith("bias")}
    directory = save_tiny_adapter(tmp_path / "dora", plain, NEOX, use_dora=True, numerics="int8")
    served = ServedAdapters(model, BASE_DIGEST, "int8")
    if beside:  # whose rows the layers still expect when they are asked for their norms
        served.load("b", save_tiny_adapter(tmp_path / "lora", plain, NEOX, numerics="int8", seed=1))
        served.begin([("b", 20)])
    served.load("a", directory)

    served.begin([("a", 20)])

    assert_same(logits_of(model, tokens(20)), logits_of(merge(plain, directory), tokens(20)))
    for name, parameter in biases.items():
        assert torch.equal(model.get_parameter(name), parameter)
