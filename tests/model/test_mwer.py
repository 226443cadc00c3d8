"""Expected errors; edit distances are held against jiwer's."""

import jiwer
import torch

from paraformer.mwer import draw_candidates, edit_distance, expected_errors


def test_edit_distance_is_jiwers() -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.randint(1, 4, (200, 9), generator=generator)
    second = torch.randint(1, 4, (200, 9), generator=generator)
    size = torch.randint(1, 10, (200, 1), generator=generator)
    first, second = (x * (torch.arange(9) < size) for x in (first, second))
    found = edit_distance(first, second).tolist()
    for row, distance in enumerate(found):
        words = [" ".join(map(str, x[row, : int(size[row])].tolist())) for x in (first, second)]
        counts = jiwer.process_words(words[1], words[0])
        assert distance == counts.substitutions + counts.deletions + counts.insertions


def test_candidates_are_the_best_path_and_second_choices() -> None:
    log_probs = torch.randn(3, 40, 7, generator=torch.Generator().manual_seed(0)).log_softmax(2)
    candidates = draw_candidates(log_probs, torch.Generator().manual_seed(1))
    ranked = log_probs.argsort(dim=2, descending=True)
    assert torch.equal(candidates[:, 0], ranked[:, :, 0])
    changed = candidates != ranked[:, :, 0].unsqueeze(1)
    assert changed[:, 1:].any(dim=2).all()
    assert torch.equal(candidates[changed], ranked[:, :, 1].unsqueeze(1).expand_as(candidates)[changed])


def test_a_step_down_the_gradient_makes_the_better_candidate_more_probable() -> None:
    """The true token is second everywhere: candidates with more second choices have fewer errors."""
    logits = torch.zeros(1, 6, 4)
    logits[..., 1], logits[..., 2] = 2.0, 1.5
    logits.requires_grad_()
    targets = torch.full((1, 6), 2)
    expected_errors(logits, targets, torch.Generator().manual_seed(0)).backward()
    assert logits.grad is not None
    assert (logits.grad[..., 2].sum(), logits.grad[..., 1].sum()) == (
        -logits.grad[..., 1].sum(),
        logits.grad[..., 1].sum(),
    )
    assert logits.grad[..., 2].sum() < 0


def test_without_tokens_there_is_no_loss() -> None:
    assert expected_errors(torch.randn(2, 3, 5), torch.zeros(2, 3, dtype=torch.long)) == 0
