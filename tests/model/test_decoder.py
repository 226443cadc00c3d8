from dataclasses import replace

import pytest
import torch
from torch import Tensor

from paraformer.attention import record_attention
from paraformer.config import DecoderConfig
from paraformer.decoder import ParallelDecoder, build_decoder
from paraformer.errors import ConfigError

ENCODER_DIM, VOCAB_SIZE = 20, 30
SMALL = DecoderConfig(num_layers=2, hidden_dim=24, num_heads=3, kernel_size=5)
QUERY_LENS, MEMORY_LENS = torch.tensor([7, 3, 0]), torch.tensor([15, 6, 2])
parallel = pytest.mark.parametrize("kind", ["transformer", "sanm"])


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def build(kind: str, **changes: object) -> ParallelDecoder:
    decoder = build_decoder(replace(SMALL, kind=kind, **changes), ENCODER_DIM, VOCAB_SIZE)
    assert isinstance(decoder, ParallelDecoder)
    return decoder.eval()


def batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    queries, memory = torch.randn(3, 7, 24), torch.randn(3, 15, ENCODER_DIM)
    for row in range(3):
        queries[row, QUERY_LENS[row] :] = torch.nan
        memory[row, MEMORY_LENS[row] :] = 1e4
    return queries, QUERY_LENS, memory, MEMORY_LENS


@parallel
def test_a_batch_does_not_change_its_members(kind: str) -> None:
    decoder, (queries, query_lens, memory, memory_lens) = build(kind), batch()
    together = decoder(queries, query_lens, memory, memory_lens)
    assert together.shape == (3, 7, VOCAB_SIZE)
    for row in range(3):
        size, one = query_lens[row], slice(row, row + 1)
        alone = decoder(
            queries[one, :size], query_lens[one], memory[one, : memory_lens[row]], memory_lens[one]
        )
        torch.testing.assert_close(together[row, :size], alone[0], rtol=0, atol=1e-5)


@parallel
def test_no_tokens_at_all_give_no_logits(kind: str) -> None:
    _, _, memory, memory_lens = batch()
    assert build(kind)(torch.zeros(3, 0, 24), torch.zeros(3), memory, memory_lens).shape == (3, 0, VOCAB_SIZE)


@parallel
def test_every_token_sees_those_after_it(kind: str) -> None:
    decoder, (queries, query_lens, memory, memory_lens) = build(kind), batch()
    changed = queries.clone()
    changed[0, 6] = torch.randn(24)
    before, after = (decoder(q, query_lens, memory, memory_lens) for q in (queries, changed))
    seen = 0 if kind == "transformer" else 2  # two layers whose memory reaches two tokens ahead
    assert (before[0, seen] - after[0, seen]).abs().max() > 1e-4
    torch.testing.assert_close(before[1:], after[1:], equal_nan=True)


@parallel
def test_projecting_the_memory_once_gives_the_same(kind: str) -> None:
    decoder, (queries, query_lens, memory, memory_lens) = build(kind), batch()
    cache = decoder.project_memory(memory)
    assert torch.equal(
        decoder(queries, query_lens, memory, memory_lens),
        decoder(queries, query_lens, memory, memory_lens, memory_cache=cache),
    )


def test_without_positions_a_transformer_decoder_does_not_know_the_order() -> None:
    queries, lens = torch.randn(1, 6, 24), torch.tensor([6])
    memory, memory_lens = torch.randn(1, 9, ENCODER_DIM), torch.tensor([9])
    for positions in (True, False):
        decoder = build("transformer", positions=positions)
        forward = decoder(queries, lens, memory, memory_lens)
        backward = decoder(queries.flip(1), lens, memory, memory_lens)
        same = torch.allclose(forward, backward.flip(1), atol=1e-5)
        assert same is not positions


@parallel
def test_every_parameter_but_the_samplers_embedding_gets_a_finite_gradient(kind: str) -> None:
    decoder = build(kind).train()
    queries, query_lens, memory, memory_lens = batch()
    logits = decoder(queries, query_lens, memory, memory_lens)
    logits[0].sum().backward()
    untouched = {n for n, p in decoder.named_parameters() if p.grad is None or not p.grad.isfinite().all()}
    assert untouched == {"token_embedding.weight"}


@parallel
def test_bf16_autocast_stays_near_fp32(kind: str) -> None:
    decoder, inputs = build(kind), batch()
    exact = decoder(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        rough = decoder(*inputs)
    assert (rough.float() - exact)[:2].abs().max() < 0.05 * exact[:2].abs().max()


@parallel
def test_attention_to_the_encoder_can_be_recorded(kind: str) -> None:
    decoder, inputs = build(kind), batch()
    with record_attention(decoder):
        decoder(*inputs)
    weights = decoder.layers[0].cross_attention.get_weights()
    assert weights.shape == (3, 3, 7, 15)
    assert (weights[1, :, :, 6:] == 0).all()


def test_an_unknown_kind_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="'rnn', but must be 'transformer', 'sanm' or 'autoregressive'"):
        build("rnn")
