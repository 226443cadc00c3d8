"""The autoregressive decoder against its teacher-forced pass, its searches against exhaustive ones."""

from itertools import product

import pytest
import torch
from torch import Tensor

from paraformer.config import DecoderConfig
from paraformer.decoder import build_decoder
from paraformer.decoder_autoregressive import AutoregressiveDecoder
from paraformer.decoder_search import Transcript, beam_search, greedy_search
from paraformer.tokenizer import BOS, EOS, PAD

ENCODER_DIM, VOCAB_SIZE = 20, 6
MEMORY_LENS = torch.tensor([9, 6, 2])
WORDS = [token for token in range(VOCAB_SIZE) if token not in (PAD, BOS, EOS)]


@pytest.fixture
def decoder() -> AutoregressiveDecoder:
    torch.manual_seed(3)
    config = DecoderConfig(kind="autoregressive", num_layers=2, hidden_dim=24, num_heads=3)
    built = build_decoder(config, ENCODER_DIM, VOCAB_SIZE)
    assert isinstance(built, AutoregressiveDecoder)
    with torch.no_grad():
        built.output.weight.mul_(4.0)  # decided enough for scores to differ
    return built.eval()


@pytest.fixture
def memory() -> Tensor:
    torch.manual_seed(4)
    return torch.randn(3, 9, ENCODER_DIM)


def log_probs(decoder: AutoregressiveDecoder, tokens: list[int], memory: Tensor, lens: Tensor) -> list[float]:
    """Of the tokens and EOS for one utterance, from one teacher-forced pass."""
    row, size = torch.tensor([tokens], dtype=torch.long), torch.tensor([len(tokens)])
    scores = decoder(row, size, memory, lens).log_softmax(-1)
    return scores.gather(2, decoder.targets(row, size).unsqueeze(2)).flatten().tolist()


def test_stepping_gives_what_the_whole_sequence_gives(decoder: AutoregressiveDecoder, memory: Tensor) -> None:
    tokens = torch.tensor([[3, 4, 5, 5, 3], [5, 3, 0, 0, 0], [4, 0, 0, 0, 0]])
    whole = decoder(tokens, torch.tensor([5, 2, 1]), memory, MEMORY_LENS)
    state = decoder.start(memory, MEMORY_LENS)
    inputs = torch.nn.functional.pad(tokens, (1, 0), value=BOS)
    stepped = torch.cat([decoder.step(token.unsqueeze(1), state) for token in inputs.unbind(1)], dim=1)
    torch.testing.assert_close(stepped, whole, rtol=0, atol=1e-5)


def test_no_token_sees_those_after_it(decoder: AutoregressiveDecoder, memory: Tensor) -> None:
    tokens, sizes = torch.tensor([[3, 4, 5]] * 3), torch.tensor([3, 3, 3])
    changed = tokens.clone()
    changed[:, 2] = 3
    before, after = (decoder(t, sizes, memory, MEMORY_LENS) for t in (tokens, changed))
    torch.testing.assert_close(before[:, :3], after[:, :3], rtol=0, atol=1e-6)
    assert (before[:, 3] - after[:, 3]).abs().max() > 1e-2


def test_targets_are_the_tokens_then_the_end() -> None:
    decoder = AutoregressiveDecoder(8, 2, 16, 8, 0.0, num_layers=1, vocab_size=9)
    targets = decoder.targets(torch.tensor([[5, 6, 7], [8, 3, 3], [4, 4, 4]]), torch.tensor([3, 1, 0]))
    assert targets.tolist() == [[5, 6, 7, EOS], [8, EOS, PAD, PAD], [EOS, PAD, PAD, PAD]]


def test_greedy_takes_the_best_token_at_every_step(decoder: AutoregressiveDecoder, memory: Tensor) -> None:
    for row, found in enumerate(greedy_search(decoder, memory, MEMORY_LENS, max_len=6)):
        one, tokens = slice(row, row + 1), []
        while len(tokens) < min(6, 2 * MEMORY_LENS[row]):
            so_far = torch.tensor([tokens], dtype=torch.long)
            scores = decoder(so_far, torch.tensor([len(tokens)]), memory[one], MEMORY_LENS[one])[0, -1]
            best = max([EOS, *WORDS], key=lambda token: scores[token].item())
            if best == EOS:
                break
            tokens.append(best)
        assert found.tokens == tokens


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0])
def test_a_wide_beam_finds_the_best_of_all_transcripts(
    decoder: AutoregressiveDecoder, memory: Tensor, length_penalty: float
) -> None:
    longest = 3
    everything = [list(words) for size in range(longest + 1) for words in product(WORDS, repeat=size)]
    found = beam_search(decoder, memory, MEMORY_LENS, beam=60, length_penalty=length_penalty, max_len=longest)
    for row in range(3):
        one = slice(row, row + 1)
        scored = {
            tuple(tokens): sum(log_probs(decoder, tokens, memory[one], MEMORY_LENS[one]))
            / (len(tokens) + 1) ** length_penalty
            for tokens in everything
        }
        assert [tuple(t.tokens) for t in found[row]] == sorted(scored, key=lambda t: -scored[t])


@pytest.mark.parametrize("beam", [1, 4])
def test_log_probabilities_are_those_of_the_decoder(
    decoder: AutoregressiveDecoder, memory: Tensor, beam: int
) -> None:
    for row, results in enumerate(beam_search(decoder, memory, MEMORY_LENS, beam=beam)):
        one = slice(row, row + 1)
        assert len(results) == beam
        for found in results:
            expected = log_probs(decoder, found.tokens, memory[one], MEMORY_LENS[one])
            assert found.log_probs == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("beam", [1, 5])
def test_a_batch_does_not_change_its_members(
    decoder: AutoregressiveDecoder, memory: Tensor, beam: int
) -> None:
    together = beam_search(decoder, memory, MEMORY_LENS, beam=beam)
    for row, size in enumerate(MEMORY_LENS.tolist()):
        alone = beam_search(decoder, memory[row : row + 1, :size], MEMORY_LENS[row : row + 1], beam=beam)
        assert [t.tokens for t in together[row]] == [t.tokens for t in alone[0]]


def test_no_transcript_is_longer_than_two_tokens_a_frame(
    decoder: AutoregressiveDecoder, memory: Tensor
) -> None:
    with torch.no_grad():
        decoder.output.bias[EOS] = -1e4  # never ends of itself
    found = greedy_search(decoder, memory, MEMORY_LENS, max_len=15)
    assert [len(t.tokens) for t in found] == [15, 12, 4]


@pytest.mark.parametrize("beam", [1, 3])
def test_an_utterance_without_frames_has_an_empty_transcript(
    decoder: AutoregressiveDecoder, memory: Tensor, beam: int
) -> None:
    results = beam_search(decoder, memory, torch.tensor([9, 0, 2]), beam=beam)[1]
    assert [t.tokens for t in results] == [[]]
    assert isinstance(results[0], Transcript)


def test_a_step_under_bf16_autocast_stays_near_fp32(decoder: AutoregressiveDecoder, memory: Tensor) -> None:
    exact = greedy_search(decoder, memory, MEMORY_LENS, max_len=4)
    with torch.autocast("cpu", torch.bfloat16):
        rough = greedy_search(decoder, memory, MEMORY_LENS, max_len=4)
    for a, b in zip(exact, rough, strict=True):
        assert a.tokens == b.tokens
        assert a.log_probs == pytest.approx(b.log_probs, abs=0.1)
