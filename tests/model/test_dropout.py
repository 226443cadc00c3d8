import pytest
import torch

from paraformer.dropout import Dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_it_drops_its_share_and_keeps_the_mean(share: float, dtype: torch.dtype) -> None:
    """Of 100,003 values; the deviation of the share is at most 0.0016."""
    torch.manual_seed(0)
    x = torch.ones(100_003, dtype=dtype, requires_grad=True)
    y = Dropout(share)(x)
    kept = y != 0
    assert kept.float().mean().item() == pytest.approx(1 - share, abs=5 * 0.0016)
    torch.testing.assert_close(y[kept], torch.full_like(y[kept], 1 / (1 - share)), rtol=4e-3, atol=0)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y.detach())


def test_neighbours_are_independent() -> None:
    """They come from one random word. Of 50,000 values a correlation has the deviation 0.0045."""
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(50_000)) > 0).float() - 0.5
    for distance in range(1, 9):
        correlation = (kept[distance:] * kept[:-distance]).mean() / 0.25
        assert abs(correlation) < 5 * 0.0045


def test_the_seed_decides() -> None:
    dropout, results = Dropout(0.3), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(dropout(torch.ones(3, 5, 7)))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_evaluation_changes_nothing() -> None:
    x = torch.randn(4, 4)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)


def test_nothing_can_be_dropped_from_nothing() -> None:
    assert Dropout(0.5)(torch.ones(2, 0, 3)).shape == (2, 0, 3)
