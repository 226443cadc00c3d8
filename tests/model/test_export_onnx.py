from pathlib import Path

import numpy as np
import pytest
import torch

from paraformer.config import DecoderConfig, EncoderConfig, LossConfig, ModelConfig, PredictorConfig
from paraformer.errors import ConfigError
from paraformer.export_onnx import INPUTS, OUTPUTS, export_onnx
from paraformer.model import Paraformer

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra: export)")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra: export)")

FEATURE_DIM, VOCAB_SIZE = 20, 30
SMALL = {"num_layers": 1, "num_heads": 4, "dropout": 0.1}  # tracing takes seconds a layer


def build(encoder: str, front_end: str, attention: str, predictor: str, decoder: str) -> Paraformer:
    torch.manual_seed(0)
    config = ModelConfig(
        encoder=EncoderConfig(
            kind=encoder, front_end=front_end, attention=attention, attention_window=8, hidden_dim=32, **SMALL
        ),
        predictor=PredictorConfig(kind=predictor, hidden_dim=16),
        decoder=DecoderConfig(kind=decoder, hidden_dim=24, **SMALL),
        loss=LossConfig(ctc_weight=0.3),
    )
    return Paraformer.from_config(config, vocab_size=VOCAB_SIZE, feature_dim=FEATURE_DIM)


@pytest.mark.parametrize(
    ("encoder", "front_end", "attention", "predictor", "decoder"),
    [
        ("transformer", "conv4", "full", "cif", "transformer"),
        ("sanm", "lfr", "full", "ctc_compress", "sanm"),
        pytest.param("conformer", "conv4", "local", "uniform", "transformer", marks=pytest.mark.slow),
    ],
)
def test_the_graph_computes_what_the_model_computes(
    tmp_path: Path, encoder: str, front_end: str, attention: str, predictor: str, decoder: str
) -> None:
    model = build(encoder, front_end, attention, predictor, decoder).train()
    export_onnx(model, tmp_path / "model.onnx")
    assert all(module.training for module in model.modules())
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    model.eval()
    for lens in ([160, 80], [75], [301, 9, 120]):
        features, feat_lens = torch.randn(len(lens), max(lens), FEATURE_DIM), torch.tensor(lens)
        inputs = dict(zip(INPUTS, (features.numpy(), feat_lens.numpy()), strict=True))
        graph = dict(zip(OUTPUTS, session.run(OUTPUTS, inputs), strict=True))
        with torch.no_grad():
            encoder_out, weights = model.encode(features, feat_lens)
            logits, queries = model.answer(model.encode_frames(features, feat_lens), weights)
        sizes = queries.lengths.tolist()
        np.testing.assert_allclose(graph["weights"], weights.numpy(), atol=1e-5)
        assert graph["token_lens"].tolist() == sizes
        found = [row[:size].tolist() for row, size in zip(graph["tokens"], sizes, strict=True)]
        assert found == model.decode_greedy(encoder_out, weights)
        for row, size in enumerate(sizes):
            np.testing.assert_allclose(graph["logits"][row, :size], logits[row, :size].numpy(), atol=1e-4)


def test_an_autoregressive_decoder_is_refused(tmp_path: Path) -> None:
    model = build("transformer", "conv4", "full", "cif", "autoregressive")
    with pytest.raises(ConfigError, match="only a parallel decoder is one graph"):
        export_onnx(model, tmp_path / "model.onnx")
