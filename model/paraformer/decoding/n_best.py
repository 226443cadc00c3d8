"""The n most probable transcripts."""

import heapq

import torch
from torch import Tensor

from paraformer.decoding.autoregressive import search
from paraformer.decoding.hypothesis import Hypothesis
from paraformer.decoding.parallel import Answer, ask
from paraformer.model import Paraformer


@torch.no_grad()
def n_best(
    model: Paraformer, features: Tensor, feat_lens: Tensor | None = None, *, size: int = 10
) -> list[list[Hypothesis]]:
    """Find the `size` most probable transcripts of each utterance, the best first; fewer if fewer exist.

    Of a parallel decoder they are exact: its positions are independent, so the best transcripts differ from
    the best one in few positions. Of an autoregressive decoder they are those of a beam search.

    Args:
        model: The model, in eval mode.
        features: `(B, T, F)`.
        feat_lens: Number of real frames, `(B,)`; all of them if none.
        size: Number of transcripts.
    """
    if model.is_autoregressive:
        return search(model, features, feat_lens, size=size)
    answer = ask(model, features, feat_lens)
    possible = model.vocab_size - 1  # PAD is not
    ranked, tokens = answer.log_probs.topk(min(size, possible), dim=2)
    return [
        [_hypothesis(answer, tokens, row, ranks) for ranks in best_ranks(ranked[row, :length].tolist(), size)]
        for row, length in enumerate(answer.lengths.tolist())
    ]


def best_ranks(scores: list[list[float]], size: int) -> list[tuple[int, ...]]:
    """Choose one of the ranks of every position, so that the sum of scores is greatest, `size` times.

    Args:
        scores: For each position, falling scores.
        size: Number of choices wanted.

    Returns:
        Choices by falling sum, each a rank for every position.
    """
    start = (0,) * len(scores)
    waiting, seen = [(0.0, start)], {start}
    best: list[tuple[int, ...]] = []
    while waiting and len(best) < size:
        loss, ranks = heapq.heappop(waiting)
        best.append(ranks)
        for place, rank in enumerate(ranks):
            if rank + 1 == len(scores[place]):
                continue
            worse = (*ranks[:place], rank + 1, *ranks[place + 1 :])
            if worse not in seen:
                seen.add(worse)
                step = scores[place][rank] - scores[place][rank + 1]
                heapq.heappush(waiting, (loss + step, worse))
    return best


def _hypothesis(answer: Answer, tokens: Tensor, row: int, ranks: tuple[int, ...]) -> Hypothesis:
    choice = tokens.new_zeros(1, answer.log_probs.shape[1])
    index = torch.tensor(ranks, dtype=torch.long, device=tokens.device)
    choice[0, : len(ranks)] = tokens[row, : len(ranks)].gather(1, index.unsqueeze(1)).squeeze(1)
    alone = Answer(
        answer.log_probs[row : row + 1], answer.lengths[row : row + 1], answer.times[row : row + 1]
    )
    return alone.hypotheses(choice)[0]
