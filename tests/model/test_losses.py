"""The objective and its parts."""

from dataclasses import replace

import pytest
import torch

from paraformer.batch import Batch
from paraformer.config import (
    DecoderConfig,
    EncoderConfig,
    LossConfig,
    ModelConfig,
    PredictorConfig,
    SamplerConfig,
)
from paraformer.losses import TrainingObjective, cross_entropy, ctc_loss, quantity_loss
from paraformer.model import Paraformer
from paraformer.predictor import EncodedFrames


def random_batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    token_lens = torch.tensor([8, 5, 2])
    tokens = torch.randint(3, 20, (3, 8), generator=generator) * (torch.arange(8) < token_lens.unsqueeze(1))
    features = torch.randn(3, 120, 10, generator=generator)
    return Batch(features, torch.tensor([120, 90, 40]), tokens, token_lens, ["a", "b", "c"])


def build(config: ModelConfig) -> TrainingObjective:
    torch.manual_seed(0)
    return TrainingObjective(Paraformer.from_config(config, vocab_size=20, feature_dim=10), config.loss)


def small(kind: str = "cif", decoder: str = "transformer", **loss: float) -> ModelConfig:
    return ModelConfig(
        encoder=EncoderConfig(num_layers=1, hidden_dim=16, num_heads=2),
        predictor=PredictorConfig(kind=kind, hidden_dim=16),
        decoder=DecoderConfig(kind=decoder, num_layers=1, hidden_dim=16, num_heads=2),
        loss=LossConfig(**loss),
    )


def test_the_total_is_the_weighted_sum_of_the_parts() -> None:
    weights = {"ctc_weight": 0.3, "quantity_weight": 2.0, "mwer_weight": 0.5}
    out = build(small(**weights))(random_batch())
    expected = 0.7 * out.ce + 0.3 * out.ctc + 2.0 * out.quantity + 0.5 * out.mwer
    torch.testing.assert_close(out.total.detach(), expected)
    assert out.logits.shape == (3, 8, 20)


def test_cross_entropy_is_the_mean_over_real_targets() -> None:
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[1, 4, 0], [2, 0, 0]])
    chosen = logits.log_softmax(2).gather(2, targets.unsqueeze(2)).squeeze(2)
    expected = -(chosen[0, 0] + chosen[0, 1] + chosen[1, 0]) / 3
    torch.testing.assert_close(cross_entropy(logits, targets), expected)


def test_the_ctc_loss_of_one_path() -> None:
    """Two unlike tokens in two frames have one path, and so have two equal ones in three: with a blank."""
    log_probs = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)).log_softmax(2)
    frames = EncodedFrames(torch.zeros(2, 3, 1), torch.tensor([2, 3]), log_probs)
    tokens, token_lens = torch.tensor([[1, 2], [3, 3]]), torch.tensor([2, 2])
    paths = log_probs[0, 0, 1] + log_probs[0, 1, 2] + log_probs[1, 0, 3] + log_probs[1, 1, 0]
    torch.testing.assert_close(ctc_loss(frames, tokens, token_lens), -(paths + log_probs[1, 2, 3]) / 4)


def test_an_utterance_too_short_for_its_transcript_does_not_spoil_the_ctc_loss() -> None:
    log_probs = torch.zeros(1, 2, 4, requires_grad=True)
    frames = EncodedFrames(torch.zeros(1, 2, 1), torch.tensor([2]), log_probs.log_softmax(2))
    loss = ctc_loss(frames, torch.tensor([[1, 2, 3]]), torch.tensor([3]))
    loss.backward()
    assert loss == 0
    assert log_probs.grad is not None
    assert not log_probs.grad.any()


def test_quantity_counts_tokens_too_many_and_too_few() -> None:
    assert quantity_loss(torch.tensor([3.5, 4.0]), torch.tensor([4, 2])).item() == pytest.approx(2.5 / 6)


@pytest.mark.parametrize("decoder", ["transformer", "sanm", "autoregressive"])
@pytest.mark.parametrize("kind", ["cif", "ctc_compress", "uniform"])
@pytest.mark.parametrize("ratio", [0.0, 0.4])
def test_every_trained_parameter_gets_a_gradient(kind: str, decoder: str, ratio: float) -> None:
    """DistributedDataParallel waits for each of them."""
    config = replace(small(kind, decoder), sampler=SamplerConfig(ratio))
    objective = build(config)
    objective(random_batch()).total.backward()
    trained = {name: p.grad for name, p in objective.named_parameters() if p.requires_grad}
    assert [name for name, grad in trained.items() if grad is None] == []
    assert all(grad.isfinite().all() for grad in trained.values() if grad is not None)


def test_what_no_loss_reaches_is_not_trained() -> None:
    config = replace(small(ctc_weight=0.0), sampler=SamplerConfig(0.0))
    frozen = {name for name, p in build(config).model.named_parameters() if not p.requires_grad}
    assert frozen == {"ctc_head.weight", "ctc_head.bias", "decoder.token_embedding.weight"}


@pytest.mark.parametrize("kind", ["cif", "ctc_compress", "uniform"])
def test_padding_changes_no_loss(kind: str) -> None:
    batch = random_batch()
    padded = Batch(
        torch.nn.functional.pad(batch.features, (0, 0, 0, 33), value=float("nan")),
        batch.feat_lens,
        torch.nn.functional.pad(batch.tokens, (0, 4)),
        batch.token_lens,
        batch.ids,
    )
    objective = build(small(kind)).eval()
    expected, found = objective(batch), objective(padded)
    for name in ("total", "ce", "ctc", "quantity", "token_accuracy"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["cif", "ctc_compress", "uniform"])
def test_bf16_autocast_stays_close(kind: str) -> None:
    objective = build(small(kind)).eval()
    expected = objective(random_batch())
    with torch.autocast("cpu", torch.bfloat16):
        found = objective(random_batch())
    assert found.total.dtype == torch.float32
    torch.testing.assert_close(found.total, expected.total, rtol=2e-2, atol=0)


def test_the_accuracy_is_of_the_first_pass() -> None:
    """With every token shown after a first pass that errs everywhere, only the loss may profit."""
    config = replace(small(), sampler=SamplerConfig(1.0))
    objective = build(config)
    with torch.no_grad():
        objective.model.decoder.output.bias[1] = 1e4  # token 1 is in no transcript
    assert objective(random_batch()).token_accuracy == 0


def test_an_empty_transcript_has_a_finite_loss() -> None:
    batch = random_batch()
    empty = replace(batch, tokens=batch.tokens * 0, token_lens=batch.token_lens * 0)
    out = build(small())(empty)
    out.total.backward()
    assert out.total.isfinite()


@pytest.mark.parametrize("decoder", ["transformer", "sanm", "autoregressive"])
@pytest.mark.parametrize("kind", ["cif", "ctc_compress", "uniform"])
@pytest.mark.parametrize("token_lens", [(0, 3), (0, 0)])
def test_empty_transcripts_teach_to_write_nothing(
    kind: str, decoder: str, token_lens: tuple[int, int]
) -> None:
    """Where nobody speaks, counts fall and CTC prefers the blank; and nothing becomes infinite."""
    objective = build(small(kind, decoder, mwer_weight=0.1)).train()
    lengths = torch.tensor(token_lens)
    tokens = torch.full((2, max(token_lens)), 5) * (torch.arange(max(token_lens)) < lengths.unsqueeze(1))
    batch = Batch(torch.randn(2, 90, 10), torch.tensor([90, 60]), tokens, lengths, ["a", "b"])
    optimiser = torch.optim.SGD(objective.parameters(), lr=0.05)
    totals = []
    for _ in range(8):
        optimiser.zero_grad()
        out = objective(batch)
        out.total.backward()
        gradients = [p.grad for p in objective.parameters() if p.grad is not None]
        assert all(gradient.isfinite().all() for gradient in gradients)
        torch.nn.utils.clip_grad_norm_(objective.parameters(), 5.0)
        optimiser.step()
        totals.append(out.total.item())
    assert totals[-1] < totals[0]
