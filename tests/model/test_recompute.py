"""Recomputed layers: the gradients of kept ones, from less memory."""

from dataclasses import replace

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from paraformer.batch import collate
from paraformer.config import ModelConfig
from paraformer.losses import TrainingObjective
from paraformer.model import Paraformer
from paraformer.recompute import LayerStack, recompute_layers
from paraformer.tokenizer import CharTokenizer
from paraformer.toy import ToySeq2SeqDataset


def small(encoder: str, decoder: str) -> ModelConfig:
    """Two layers each, with dropout: what is computed again must draw the same masks."""
    config = ModelConfig()
    return replace(
        config,
        encoder=replace(config.encoder, kind=encoder, num_layers=2, hidden_dim=32, num_heads=2, dropout=0.2),
        predictor=replace(config.predictor, hidden_dim=32),
        decoder=replace(config.decoder, kind=decoder, num_layers=2, hidden_dim=32, num_heads=2, dropout=0.2),
    )


def backward(config: ModelConfig, wanted: bool) -> tuple[list[torch.Tensor], int]:
    """Gradients of one training step, and the bytes that its forward pass kept for them."""
    torch.manual_seed(3)
    tokenizer = CharTokenizer()
    model = Paraformer.from_config(config, vocab_size=tokenizer.vocab_size, feature_dim=80)
    recompute_layers(model, wanted)
    toys = ToySeq2SeqDataset(4, tokenizer)
    batch = collate([toys[number] for number in range(4)])
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = TrainingObjective(model, config.loss).train()(batch).total
    size = sum(kept.values())
    loss.backward()
    return [p.grad for p in model.parameters() if p.grad is not None], size


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [("transformer", "transformer"), ("conformer", "autoregressive"), ("sanm", "sanm")],
)
def test_the_same_gradients_from_less_memory(encoder: str, decoder: str) -> None:
    config = small(encoder, decoder)
    (plain, kept), (again, less) = backward(config, False), backward(config, True)
    assert len(plain) == len(again) > 20
    for one, other in zip(plain, again, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)
    assert less < 0.7 * kept


def test_nothing_is_recomputed_without_gradients_or_in_use() -> None:
    layer = torch.nn.Linear(4, 4)
    calls: list[int] = []
    layer.register_forward_pre_hook(lambda *_: calls.append(1))
    stack = LayerStack([layer])
    recompute_layers(stack)
    x = torch.ones(1, 4, requires_grad=True)
    stack.run(layer, x).sum().backward()
    assert len(calls) == 2
    with torch.no_grad():
        stack.run(layer, x)
    stack.eval().run(layer, x).sum().backward()
    assert len(calls) == 4
