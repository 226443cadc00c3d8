import pytest
import torch

from paraformer.dataset import ToySeq2SeqDataset, collate
from paraformer.tokenizer import NUM_SPECIAL, CharTokenizer


@pytest.fixture
def toy():
    return ToySeq2SeqDataset(num_samples=100, tokenizer=CharTokenizer(), max_feat_len=300, max_token_len=60)


def test_items_keep_within_their_limits_and_vary(toy):
    assert len(toy) == 100
    items = [toy[index] for index in range(100)]
    for features, tokens, feat_len, token_len in items:
        assert features.shape == (feat_len, 80)
        assert tokens.shape == (token_len,)
        assert 1 <= token_len <= 60
        assert 12 * token_len <= feat_len <= min(300, 16 * token_len)
        assert NUM_SPECIAL <= tokens.min() <= tokens.max() < 100
    assert len({item[3] for item in items}) > 10
    assert collate(items).features.shape[0] == 100


def test_an_item_is_a_pure_function_of_seed_and_index(toy):
    again = ToySeq2SeqDataset(num_samples=5, tokenizer=CharTokenizer())
    assert torch.equal(toy[3][0], again[3][0])
    assert torch.equal(toy[3][1], again[3][1])
    other = ToySeq2SeqDataset(num_samples=5, tokenizer=CharTokenizer(), seed=1)
    assert not torch.equal(toy[3][1], other[3][1][: toy[3][3]])


def test_the_tokens_can_be_told_from_the_features_by_nearest_pattern(toy):
    """Patterns measured on some items recognise the tokens of others: the task can be learnt."""
    centres = torch.zeros(100, 80)
    counts = torch.zeros(100)
    for index in range(80):
        for token, frame in first_frames(toy[index]):
            centres[token] += frame
            counts[token] += 1
    centres /= counts.clamp_min(1).unsqueeze(1)
    pairs = [pair for index in range(80, 100) for pair in first_frames(toy[index]) if counts[pair[0]] > 0]
    found = [torch.cdist(frame[None], centres[counts > 0]).argmin() for _, frame in pairs]
    known = torch.nonzero(counts > 0).flatten()
    correct = sum(int(known[place]) == token for place, (token, _) in zip(found, pairs, strict=True))
    assert correct == len(pairs)


def first_frames(item):
    """Each token with the first frame after a pause."""
    features, tokens, _, _ = item
    loud = features.square().mean(dim=1) > 0.5
    starts = torch.nonzero(loud & ~torch.cat([torch.zeros(1, dtype=torch.bool), loud[:-1]])).flatten()
    assert len(starts) == len(tokens)
    return [(int(token), features[start]) for token, start in zip(tokens, starts, strict=True)]


def test_an_index_beyond_the_end_ends_iteration(toy):
    with pytest.raises(IndexError, match="item 100 of a data set of 100"):
        toy[100]
