"""Every combination of encoder, source of queries and sampler learns real utterances by heart."""

import csv
from pathlib import Path

import pytest
import torch

from paraformer.audio import read_audio
from paraformer.batch import Batch, collate
from paraformer.config import (
    DecoderConfig,
    EncoderConfig,
    LossConfig,
    ModelConfig,
    PredictorConfig,
    SamplerConfig,
)
from paraformer.decoding import decode
from paraformer.features import FeatureExtractor
from paraformer.losses import TrainingObjective
from paraformer.model import Paraformer
from paraformer.tokenizer import CharTokenizer

VOCABULARY = 40
MOST_STEPS = 800


@pytest.fixture(scope="module")
def utterances(recorded_speech: Path) -> Batch:
    """Three sentences of about two seconds by three children."""
    folder = recorded_speech / "speechocean762"
    with (folder / "manifest.tsv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if float(row["seconds"]) < 2.1][:3]
    tokenizer, extract = CharTokenizer(vocab_size=VOCABULARY), FeatureExtractor()
    items = []
    for row in rows:
        features = extract(read_audio(folder / row["path"]))
        features = (features - features.mean(0)) / features.std(0)
        tokens = torch.tensor(tokenizer.encode(row["text"], add_special=False))
        items.append((features, tokens, len(features), len(tokens)))
    return collate(items)


def transcripts(batch: Batch) -> list[list[int]]:
    return [row[:size] for row, size in zip(batch.tokens.tolist(), batch.token_lens.tolist(), strict=True)]


def steps_until_known(config: ModelConfig, batch: Batch, **decoding: object) -> int | None:
    """Steps after which the model writes the transcripts; None where it does not learn to."""
    torch.manual_seed(0)
    model = Paraformer.from_config(config, vocab_size=VOCABULARY, feature_dim=batch.features.shape[2])
    objective = TrainingObjective(model, config.loss)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(1, MOST_STEPS + 1):
        optimizer.zero_grad()
        objective(batch).total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 20 == 0:
            found = decode(model, batch.features, batch.feat_lens, **decoding)  # type: ignore[arg-type]
            if [hypothesis.tokens for hypothesis in found] == transcripts(batch):
                return step
    return None


def tiny(
    encoder: str, predictor: str, ratio: float, decoder: str = "transformer", attention: str = "full"
) -> ModelConfig:
    size = {"num_layers": 1, "hidden_dim": 64, "num_heads": 2, "ffn_dim": 128, "dropout": 0.0}
    return ModelConfig(
        encoder=EncoderConfig(kind=encoder, attention=attention, **size),  # type: ignore[arg-type]
        predictor=PredictorConfig(kind=predictor, num_layers=1, hidden_dim=64, dropout=0.0),
        sampler=SamplerConfig(ratio),
        decoder=DecoderConfig(kind=decoder, **size),  # type: ignore[arg-type]
        loss=LossConfig(label_smoothing=0.0),
    )


@pytest.mark.speech
@pytest.mark.parametrize("ratio", [0.0, 0.4], ids=["unaided", "glancing"])
@pytest.mark.parametrize("predictor", ["cif", "ctc_compress", "uniform"])
@pytest.mark.parametrize("encoder", ["transformer", "conformer", "sanm"])
def test_it_learns_real_utterances_by_heart(
    encoder: str, predictor: str, ratio: float, utterances: Batch
) -> None:
    assert steps_until_known(tiny(encoder, predictor, ratio), utterances) is not None


@pytest.mark.speech
@pytest.mark.parametrize("decoder", ["sanm", "autoregressive"])
def test_so_do_the_other_decoders(decoder: str, utterances: Batch) -> None:
    assert steps_until_known(tiny("sanm", "cif", 0.4, decoder), utterances) is not None


@pytest.mark.speech
@pytest.mark.usefixtures("example_folder")
@pytest.mark.parametrize("encoder", ["transformer", "conformer"])
def test_so_does_the_attention_of_the_examples(encoder: str, utterances: Batch) -> None:
    own = tiny(encoder, "cif", 0.4, attention="local_attention:LocalAttention")
    assert steps_until_known(own, utterances) is not None


@pytest.mark.speech
@pytest.mark.usefixtures("example_folder")
def test_the_decoding_of_the_examples_writes_what_was_learnt(utterances: Batch) -> None:
    """Drawn from the nuclei of a model without doubts, the transcripts are the true ones."""
    own = {"strategy": "nucleus_sampling:nucleus_sampling", "top_p": 0.5}
    assert steps_until_known(tiny("transformer", "cif", 0.4), utterances, **own) is not None
