import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from paraformer.attention import SelfAttention, attend, attention_weights, record_attention
from paraformer.attention_choice import build_attention
from paraformer.attention_local import LocalAttention
from paraformer.batch import Batch
from paraformer.config import DecoderConfig, EncoderConfig, ModelConfig, PredictorConfig
from paraformer.errors import ConfigError
from paraformer.losses import TrainingObjective
from paraformer.model import Paraformer
from paraformer.padding import length_mask


def by_definition(attention: SelfAttention, x: Tensor, visible: Tensor) -> Tensor:
    """Multi-head attention written out in float64, query by query; `visible` is `(B, T, T)`."""
    attention = attention.double()
    queries, keys, values = attention.qkv(x.double()).chunk(3, dim=-1)
    width = x.shape[2] // attention.num_heads
    out = torch.zeros_like(queries)
    for b, i in torch.cartesian_prod(torch.arange(x.shape[0]), torch.arange(x.shape[1])).tolist():
        seen = visible[b, i]
        for head in range(attention.num_heads):
            part = slice(head * width, (head + 1) * width)
            weights = (keys[b, seen][:, part] @ queries[b, i, part] / width**0.5).softmax(0)
            out[b, i, part] = weights @ values[b, seen][:, part]
    return attention.output(out).float()


def band(frames: int, reach: int) -> Tensor:
    return torch.tensor([[abs(i - j) <= reach for j in range(frames)] for i in range(frames)])


def test_full_attention_is_the_formula() -> None:
    attention, x, mask = SelfAttention(12, 3), torch.randn(2, 9, 12), length_mask(torch.tensor([9, 5]), 9)
    got = attention(x, mask)
    expected = by_definition(attention, x, mask[:, None, :].expand(2, 9, 9))
    torch.testing.assert_close(got[mask], expected[mask], rtol=0, atol=1e-6)


@pytest.mark.parametrize("frames", [1, 5, 31, 32, 33, 64, 100])
@pytest.mark.parametrize("window", [1, 2, 7, 32, 80])
def test_local_attention_is_the_formula_within_its_window(frames: int, window: int) -> None:
    attention, x = LocalAttention(8, 2, window), torch.randn(2, frames, 8)
    mask = length_mask(torch.tensor([frames, max(frames - 3, 1)]), frames)
    got = attention(x, mask)
    expected = by_definition(attention, x, band(frames, window // 2) & mask[:, None, :])
    torch.testing.assert_close(got[mask], expected[mask], rtol=0, atol=1e-6)


def test_local_attention_without_a_mask_takes_all_frames_as_real() -> None:
    attention, x = LocalAttention(8, 2, 6), torch.randn(1, 40, 8)
    assert torch.equal(attention(x), attention(x, torch.ones(1, 40, dtype=torch.bool)))


def products_of_attention(attention: SelfAttention, frames: int) -> int:
    """Floating point operations of the scores and the averages: of the plain products, which are counted."""
    queries = torch.randn(1, 2, frames, 4, dtype=torch.bfloat16)
    with FlopCounterMode(display=False) as counter:
        attention._attend(queries, queries, queries, torch.ones(1, frames, dtype=torch.bool))
    return counter.get_total_flops()


def test_local_attention_costs_as_much_for_each_frame_of_a_long_utterance_as_of_a_short_one() -> None:
    local, full = LocalAttention(8, 2, 32), SelfAttention(8, 2)
    assert products_of_attention(full, 2048) == 16 * products_of_attention(full, 512)
    assert products_of_attention(local, 2048) == 4 * products_of_attention(local, 512)
    assert products_of_attention(local, 2048) < products_of_attention(full, 2048) / 25


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_kernels_for_half_precision_agree_with_fp32(dtype: torch.dtype) -> None:
    queries, keys, values = torch.randn(3, 2, 4, 50, 16).unbind(0)
    mask = length_mask(torch.tensor([50, 20]), 50)[:, None, None, :]
    half = attend(queries.to(dtype), keys.to(dtype), values.to(dtype), mask).float()
    torch.testing.assert_close(half, attend(queries, keys, values, mask), rtol=0, atol=3e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_utterance_without_frames_gives_finite_numbers(dtype: torch.dtype) -> None:
    queries = torch.randn(1, 2, 3, 4, dtype=dtype)
    assert attend(queries, queries, queries, torch.zeros(1, 1, 1, 3, dtype=torch.bool)).isfinite().all()


@pytest.mark.parametrize("name", ["full", "local"])
def test_recorded_weights_give_the_output_back(name: str) -> None:
    attention = build_attention(name, 8, 2, window=4)
    x, mask = torch.randn(2, 11, 8), length_mask(torch.tensor([11, 6]), 11)
    with record_attention(attention):
        out = attention(x, mask)
    weights = attention.get_weights()
    values = attention.qkv(x).chunk(3, dim=-1)[2].unflatten(-1, (2, 4)).transpose(1, 2)
    again = attention.output((weights @ values).transpose(1, 2).flatten(2))
    assert weights.shape == (2, 2, 11, 11)
    assert not weights.requires_grad
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 11))
    torch.testing.assert_close(again[mask], out[mask])


def test_weights_that_were_not_recorded_are_refused_with_the_remedy() -> None:
    attention = SelfAttention(8, 2)
    attention(torch.randn(1, 3, 8))
    with pytest.raises(RuntimeError, match="with record_attention"):
        attention.get_weights()


def test_weights_of_an_earlier_recording_are_dropped() -> None:
    attention = SelfAttention(8, 2)
    for frames in (3, 5):
        with record_attention(attention):
            attention(torch.randn(1, frames, 8))
        assert attention.get_weights().shape[-1] == frames
    attention(torch.randn(1, 9, 8))
    assert attention.get_weights().shape[-1] == 5


def test_weights_sum_to_one_also_where_nothing_may_be_seen() -> None:
    queries = torch.randn(1, 1, 2, 4)
    weights = attention_weights(queries, queries, torch.zeros(1, 1, 1, 2, dtype=torch.bool))
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 1, 2))


# --- a class of the user's ---

USERS_MODULE = """
import torch
from torch import nn

not_a_class = 3

class Good(nn.Module):
    def __init__(self, hidden_dim, num_heads):
        super().__init__()
        self.layer = nn.Linear(hidden_dim, hidden_dim)
    def forward(self, x, mask=None):
        return self.layer(x)

class Windowed(Good):
    def __init__(self, hidden_dim, num_heads, window_size=1):
        super().__init__(hidden_dim, num_heads)
        self.window_size = window_size

class NotAModule:
    pass

class WrongConstructor(nn.Module):
    def __init__(self, hidden_dim, num_heads, temperature):
        super().__init__()

class WrongCall(Good):
    def forward(self, x):
        return x

class WrongShape(Good):
    def forward(self, x, mask=None):
        return x[..., :1]
"""


@pytest.fixture
def users_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "users_attention.py").write_text(USERS_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "users_attention"
    sys.modules.pop("users_attention", None)


def test_a_class_of_the_users_is_found_by_import_path(users_module: str) -> None:
    attention = build_attention(f"{users_module}:Good", 8, 2, window=16)
    assert type(attention).__name__ == "Good"


def test_a_class_that_takes_a_window_is_given_the_configured_one(users_module: str) -> None:
    assert build_attention(f"{users_module}:Windowed", 8, 2, window=16).window_size == 16


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("fulll", "must be 'full', 'local' or an import path 'package.module:name'"),
        ("users_attention:", "must be 'full', 'local' or an import path"),
        ("no_such_module:Good", "no_such_module cannot be imported.*PYTHONPATH"),
        ("users_attention:Goood", "users_attention has no Goood"),
        ("users_attention:not_a_class", "which is 3, but must be a class derived from torch.nn.Module"),
        ("users_attention:NotAModule", "must be a class derived from torch.nn.Module"),
        ("users_attention:WrongConstructor", "missing a required argument: 'temperature'"),
        ("users_attention:WrongCall", "called as attention.x, mask. .* but raised TypeError"),
        (
            "users_attention:WrongShape",
            r"must return \(1, 2, 8\) for such an input, but returned \(1, 2, 1\)",
        ),
    ],
)
@pytest.mark.usefixtures("users_module")
def test_what_is_wrong_with_an_import_path_is_said(path: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build_attention(path, 8, 2, window=16)


@pytest.mark.usefixtures("users_module")
def test_the_trial_call_leaves_the_random_numbers_alone() -> None:
    before = torch.random.get_rng_state()
    nn.Linear(8, 8)
    after_layer = torch.random.get_rng_state()
    torch.random.set_rng_state(before)
    build_attention("users_attention:Good", 8, 2, window=16)
    assert torch.equal(torch.random.get_rng_state(), after_layer)


@pytest.mark.usefixtures("example_folder")
def test_the_example_computes_what_the_blocked_attention_computes() -> None:
    example = build_attention("local_attention:LocalAttention", 12, 3, window=8)
    ours = LocalAttention(12, 3, window=8)
    ours.output.load_state_dict(example.output.state_dict())
    with torch.no_grad():
        ours.qkv.weight.copy_(
            torch.cat([layer.weight for layer in (example.query, example.key, example.value)])
        )
        ours.qkv.bias.copy_(torch.cat([layer.bias for layer in (example.query, example.key, example.value)]))
    x, mask = torch.randn(2, 70, 12), length_mask(torch.tensor([70, 41]), 70)
    torch.testing.assert_close(example(x, mask)[mask], ours(x, mask)[mask], rtol=0, atol=1e-6)


@pytest.mark.usefixtures("example_folder")
def test_the_example_learns_in_a_whole_model_by_its_import_path_alone() -> None:
    torch.manual_seed(0)
    small = {"num_layers": 1, "hidden_dim": 24, "num_heads": 3, "dropout": 0.0}
    config = ModelConfig(
        encoder=EncoderConfig(attention="local_attention:LocalAttention", attention_window=8, **small),
        decoder=DecoderConfig(**small),
        predictor=PredictorConfig(hidden_dim=16, dropout=0.0),
    )
    model = Paraformer.from_config(config, vocab_size=9, feature_dim=6)
    objective = TrainingObjective(model, config.loss)
    batch = Batch(
        features=torch.randn(2, 60, 6),
        feat_lens=torch.tensor([60, 41]),
        tokens=torch.tensor([[4, 5, 6, 7], [8, 4, 0, 0]]),
        token_lens=torch.tensor([4, 2]),
        ids=["a", "b"],
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = objective(batch).total
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert type(model.encoder.layers[0].attention).__module__ == "local_attention"
    assert losses[-1] < 0.5 * losses[0]
