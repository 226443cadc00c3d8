"""Laws of continuous integrate-and-fire. The expected values come from a loop over frames in fp64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from paraformer.cif import CifOutput, integrate_and_fire


def oracle(hidden: Tensor, alphas: Tensor, size: int, threshold: float = 1.0) -> Tensor:
    """Tokens `(U, D)` of one utterance, by pouring each frame's weight into the token that is open."""
    tokens = torch.zeros(size + 1, hidden.shape[1], dtype=torch.float64)
    token, room = 0, threshold
    for frame, weight in zip(hidden.double(), alphas.double().tolist(), strict=True):
        while weight > 0 and token < size:
            poured = min(weight, room)
            tokens[token] += poured * frame
            weight, room = weight - poured, room - poured
            if room <= 0:
                token, room = token + 1, threshold
    return tokens[:size]


def random_batch(seed: int, batch: int, frames: int, rate: float, dim: int = 8) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(batch, frames, dim, generator=generator)
    return hidden, 2 * rate * torch.rand(batch, frames, generator=generator)


@pytest.mark.parametrize("frames", [1, 2, 50, 300, 1000], ids=lambda n: f"T={n}")
@pytest.mark.parametrize("rate", [0.05, 0.3, 1.7], ids=lambda r: f"rate={r}")
def test_training_equals_the_loop(frames: int, rate: float) -> None:
    hidden, alphas = random_batch(frames, 4, frames, rate)
    lengths = (alphas.sum(1) * torch.tensor([0.7, 1.0, 1.2, 2.0])).round().long()
    out = integrate_and_fire(hidden, alphas, lengths)
    for row, length in enumerate(lengths.tolist()):
        exact = alphas[row].double()
        expected = oracle(hidden[row], exact / exact.sum() * length, length)
        torch.testing.assert_close(out.embeddings[row, :length].double(), expected, atol=1e-6, rtol=1e-6)
        assert not out.embeddings[row, length:].any()


@pytest.mark.parametrize("threshold", [0.5, 0.95, 1.0, 1.5])
def test_decoding_equals_the_loop(threshold: float) -> None:
    hidden, alphas = random_batch(3, 16, 60, 0.3)
    out = integrate_and_fire(hidden, alphas, threshold=threshold, tail_threshold=0.5)
    for row in range(16):
        total = alphas[row].double().sum().item() / threshold
        whole = int(total)
        assert out.lengths[row] == whole + (total - whole >= 0.5)
        expected = oracle(hidden[row], alphas[row], whole, threshold)
        torch.testing.assert_close(out.embeddings[row, :whole].double(), expected, atol=1e-6, rtol=1e-6)


@settings(max_examples=100)
@given(
    weights=st.lists(
        st.one_of(st.just(0.0), st.floats(1e-3, 5.0), st.sampled_from([0.25, 0.5, 1.0])),
        min_size=1,
        max_size=40,
    ),
    threshold=st.floats(0.3, 3.0),
    target=st.one_of(st.none(), st.integers(0, 30)),
    tail_threshold=st.floats(0.05, 0.95),
)
def test_mass_is_kept(
    weights: list[float], threshold: float, target: int | None, tail_threshold: float
) -> None:
    alphas = torch.tensor([weights], dtype=torch.float64)
    hidden = torch.randn(1, len(weights), 3, dtype=torch.float64)
    goal = None if target is None else torch.tensor([target])
    out = integrate_and_fire(hidden, alphas, goal, threshold, tail_threshold)
    table = out.weights()[0]
    assert (table >= 0).all()
    torch.testing.assert_close(table @ hidden[0], out.embeddings[0], atol=1e-9, rtol=1e-9)
    if alphas.sum() > 0:
        full = torch.full((int(out.lengths),), threshold, dtype=torch.float64)
        torch.testing.assert_close(table.sum(1), full, atol=2e-6 * threshold, rtol=0)
    if target and alphas.sum() > 0:
        scaled = alphas[0] / alphas.sum() * target * threshold
        torch.testing.assert_close(table.sum(0), scaled, atol=1e-9, rtol=1e-9)
    times = out.fire_times()[0]
    assert (times.diff() >= 0).all()
    assert ((times >= 0) & (times <= len(weights))).all()


def test_no_last_token_is_ever_lost() -> None:
    """In 10,000 random training cases; the public forms lose it in 15 to 50 % of theirs."""
    lost = 0
    for seed in range(100):
        hidden, alphas = random_batch(seed, 100, 20 + 5 * seed, 0.1)
        lengths = torch.randint(1, 40, (100,), generator=torch.Generator().manual_seed(seed))
        out = integrate_and_fire(torch.ones_like(hidden), alphas, lengths)
        last = out.embeddings[torch.arange(100), lengths - 1, 0]
        lost += int(((last - 1).abs() > 1e-5).sum())
    assert lost == 0


@pytest.mark.parametrize("rate", [0.4, 1.6])
@pytest.mark.parametrize("given_lengths", [True, False], ids=["training", "decoding"])
def test_gradients(rate: float, given_lengths: bool) -> None:
    hidden, alphas = random_batch(5, 3, 7, rate, dim=2)
    lengths = torch.tensor([1, 3, 5]) if given_lengths else None
    inputs = (hidden.double().requires_grad_(), (alphas.double() + 0.05).requires_grad_())
    assert torch.autograd.gradcheck(
        lambda h, a: integrate_and_fire(h, a, lengths, threshold=0.9).embeddings, inputs
    )


def test_gradients_of_padded_frames_are_zero() -> None:
    hidden, alphas = random_batch(6, 1, 12, 0.3)
    alphas = (alphas * (torch.arange(12) < 8)).requires_grad_()
    hidden.requires_grad_()
    integrate_and_fire(hidden, alphas, torch.tensor([3])).embeddings.square().sum().backward()
    assert hidden.grad is not None
    assert not hidden.grad[0, 8:].any()
    assert hidden.grad[0, :8].any(dim=1).all()


def test_a_batch_does_not_change_its_members() -> None:
    hidden, alphas = random_batch(7, 5, 40, 0.3)
    frames = torch.tensor([40, 33, 17, 5, 1])
    alphas = alphas * (torch.arange(40) < frames.unsqueeze(1))
    together = integrate_and_fire(hidden, alphas)
    for row, size in enumerate(frames.tolist()):
        alone = integrate_and_fire(hidden[row : row + 1, :size], alphas[row : row + 1, :size])
        assert alone.lengths[0] == together.lengths[row]
        assert torch.equal(alone.embeddings[0], together.embeddings[row, : int(alone.lengths[0])])


def test_silence_fires_nothing_and_has_finite_gradients() -> None:
    hidden = torch.randn(2, 6, 4, requires_grad=True)
    alphas = torch.zeros(2, 6, requires_grad=True)
    assert integrate_and_fire(hidden, alphas).embeddings.shape == (2, 0, 4)
    out = integrate_and_fire(hidden, alphas, torch.tensor([2, 0]))
    out.embeddings.square().sum().backward()
    assert not out.embeddings.any()
    assert alphas.grad is not None
    assert alphas.grad.isfinite().all()


def test_an_empty_transcript_beside_a_full_one() -> None:
    hidden, alphas = random_batch(8, 2, 10, 0.5)
    out = integrate_and_fire(hidden, alphas, torch.tensor([0, 4]))
    assert out.embeddings.shape == (2, 4, 8)
    assert not out.embeddings[0].any()
    assert out.embeddings[1].any(dim=1).all()


def test_a_tail_is_fired_whole_or_dropped() -> None:
    hidden = torch.tensor([[[1.0], [2.0], [4.0]]])
    fired = integrate_and_fire(hidden, torch.tensor([[1.0, 0.3, 0.3]]))
    assert fired.embeddings.flatten().tolist() == pytest.approx([1.0, 3.0])
    dropped = integrate_and_fire(hidden, torch.tensor([[1.0, 0.2, 0.2]]))
    assert dropped.embeddings.flatten().tolist() == pytest.approx([1.0])


def test_fire_times_stand_where_the_weights_reach_whole_numbers() -> None:
    """The picture in the module's docstring: 1.0 is reached 4/6 through frame 1, 2.0 2/6 through frame 3."""
    out = integrate_and_fire(torch.ones(1, 4, 1), torch.full((1, 4), 0.6))
    assert out.fire_times()[0].tolist() == pytest.approx([1 + 4 / 6, 3 + 2 / 6])


def test_autocast_changes_nothing() -> None:
    hidden, alphas = random_batch(9, 2, 300, 0.1)
    lengths = torch.tensor([20, 31])
    expected = integrate_and_fire(hidden, alphas, lengths).embeddings
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(integrate_and_fire(hidden, alphas, lengths).embeddings, expected)
        half: CifOutput = integrate_and_fire(hidden.bfloat16(), alphas, lengths)
    assert half.embeddings.dtype == torch.float32
    torch.testing.assert_close(half.embeddings, expected, atol=1e-2, rtol=1e-2)


def test_torch_cif_agrees_where_its_semantics_do() -> None:
    """torch-cif (PyPI) adds 1e-4 to the total that it scales to, hence the tolerance; a test extra."""
    torch_cif = pytest.importorskip("torch_cif", reason="torch-cif is not installed: a test extra")
    hidden, alphas = random_batch(10, 6, 80, 0.2)
    lengths = torch.tensor([3, 8, 12, 16, 20, 100])
    theirs = torch_cif.cif_function(hidden, alphas / 2, target_lengths=lengths)["cif_out"][0]
    ours = integrate_and_fire(hidden, alphas, lengths).embeddings
    torch.testing.assert_close(ours, theirs[:, : ours.shape[1]], atol=5e-3, rtol=0)


@pytest.mark.parametrize(
    ("alphas", "lengths", "threshold", "words"),
    [
        (torch.ones(2, 4), None, 1.0, r"hidden \(2, 3, 1\) must be .* alphas \(2, 4\)"),
        (torch.ones(2, 3), torch.ones(3), 1.0, r"target_lengths \(3,\) must be .* each of 2 rows"),
        (torch.ones(2, 3), None, 0.0, r"threshold \(0.0\) must be above 0"),
    ],
    ids=["shapes", "lengths", "threshold"],
)
def test_what_does_not_fit_is_refused(
    alphas: Tensor, lengths: Tensor | None, threshold: float, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        integrate_and_fire(torch.ones(2, 3, 1), alphas, lengths, threshold)
