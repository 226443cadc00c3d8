import pytest
import torch

from paraformer.sampler import choose, glance


@pytest.mark.parametrize("ratio", [0.0, 0.4, 1.0])
def test_it_shows_a_share_of_the_errors(ratio: float) -> None:
    mask = torch.arange(10) < torch.tensor([[10], [6], [3], [0]])
    wrong = torch.rand(4, 10, generator=torch.Generator().manual_seed(0)) < 0.5
    queries, true = torch.zeros(4, 10, 2), torch.ones(4, 10, 2)
    shown = glance(queries, true, wrong, mask, ratio)[..., 0]
    errors = (wrong & mask).sum(1)
    assert torch.equal(shown.sum(1), (errors * ratio).floor())
    assert not shown[~mask].any()


def test_every_position_is_as_likely() -> None:
    """1000 draws of 2 of 5: each position is drawn 400 times, standard deviation 15.5."""
    mask = (torch.arange(8) < 5).expand(1000, 8)
    drawn = choose(mask, torch.full((1000,), 2), torch.Generator().manual_seed(0))
    assert (drawn.sum(1) == 2).all()
    assert ((drawn[:, :5].sum(0) - 400).abs() < 5 * 15.5).all()


def test_the_generator_decides() -> None:
    mask = torch.ones(4, 30, dtype=torch.bool)
    sizes = torch.full((4,), 9)
    first, again = (choose(mask, sizes, torch.Generator().manual_seed(3)) for _ in range(2))
    other = choose(mask, sizes, torch.Generator().manual_seed(4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_it_can_be_compiled_for_batches_of_any_size() -> None:
    """Dynamo cannot trace torch.rand with a generator argument once sizes are symbols."""
    compiled = torch.compile(choose, dynamic=True, backend="eager", fullgraph=True)
    for rows, columns in ((2, 5), (3, 7)):
        mask = torch.ones(rows, columns, dtype=torch.bool)
        assert compiled(mask, torch.arange(rows)).sum(dim=1).tolist() == list(range(rows))
