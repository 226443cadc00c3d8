"""Does anything work at all: a small Paraformer learns a toy task within seconds and decodes it."""

import torch
from torch.utils.data import DataLoader

from paraformer.config import DecoderConfig, EncoderConfig, ModelConfig, PredictorConfig
from paraformer.dataset import Batch, ToySeq2SeqDataset, collate
from paraformer.decoding import decode
from paraformer.losses import TrainingObjective
from paraformer.model import Paraformer
from paraformer.tokenizer import CharTokenizer

TINY = ModelConfig(
    encoder=EncoderConfig(num_layers=1, hidden_dim=48, num_heads=4),
    predictor=PredictorConfig(num_layers=1, hidden_dim=48),
    decoder=DecoderConfig(num_layers=1, hidden_dim=48, num_heads=4),
)


def test_tokenizer_and_back() -> None:
    tokenizer = CharTokenizer(vocab_size=100)
    ids = tokenizer.encode("hello")
    assert (ids[0], ids[-1], len(ids)) == (tokenizer.bos_token_id, tokenizer.eos_token_id, 7)
    assert tokenizer.decode(ids) == "hello"


def test_a_small_model_learns_and_decodes() -> None:
    torch.manual_seed(0)
    tokenizer = CharTokenizer(vocab_size=12)
    dataset = ToySeq2SeqDataset(64, tokenizer, max_feat_len=80, max_token_len=5)
    model = Paraformer.from_config(TINY, vocab_size=tokenizer.vocab_size, feature_dim=80)
    objective = TrainingObjective(model, TINY.loss)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for epoch in range(12):
        order = torch.Generator().manual_seed(epoch)
        for batch in DataLoader(dataset, 16, shuffle=True, collate_fn=collate, generator=order):
            loss = objective(batch).total
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
            losses.append(loss.item())
    assert sum(losses[-4:]) < 0.6 * sum(losses[:4])

    batch = collate([dataset[index] for index in range(16)])
    assert _right_tokens(model, batch) > 0.5
    logits = model(batch.features, batch.tokens, batch.feat_lens, batch.token_lens)
    assert logits.shape == (16, batch.tokens.shape[1], tokenizer.vocab_size)


def _right_tokens(model: Paraformer, batch: Batch) -> float:
    """Share of true tokens at their place, with the true lengths given."""
    found = decode(model, batch.features, batch.feat_lens, oracle_lens=batch.token_lens)
    pairs = [
        (said, heard)
        for tokens, size, hypothesis in zip(batch.tokens.tolist(), batch.token_lens, found, strict=True)
        for said, heard in zip(tokens[:size], hypothesis.tokens, strict=False)
    ]
    return sum(said == heard for said, heard in pairs) / len(pairs)
