from dataclasses import replace

import pytest

from paraformer.config import (
    DecoderConfig,
    EncoderConfig,
    LossConfig,
    ModelConfig,
    PredictorConfig,
    SamplerConfig,
)


def test_the_defaults_are_possible() -> None:
    assert ModelConfig().faults() == []


def test_every_fault_is_told_at_once_with_its_path() -> None:
    config = ModelConfig(
        encoder=EncoderConfig(kind="lstm", hidden_dim=250, num_heads=8, kernel_size=4, attention="fast"),
        predictor=PredictorConfig(threshold=0.0, dropout=1.0),
        sampler=SamplerConfig(ratio=1.5),
        decoder=DecoderConfig(num_layers=0, ffn_dim=0),
        loss=LossConfig(ctc_weight=2.0),
    )
    assert {fault.path for fault in config.faults()} == {
        "encoder.kind",
        "encoder.hidden_dim",
        "encoder.kernel_size",
        "encoder.attention",
        "predictor.threshold",
        "predictor.dropout",
        "sampler.ratio",
        "decoder.num_layers",
        "decoder.ffn_dim",
        "loss.ctc_weight",
    }


def test_a_fault_names_both_values() -> None:
    (fault,) = ModelConfig(encoder=EncoderConfig(hidden_dim=250)).faults()
    assert str(fault) == "encoder.hidden_dim: hidden_dim (250) must be divisible by num_heads (8)"


@pytest.mark.parametrize(
    ("kind", "use_predictor", "source"),
    [("cif", True, "cif"), ("cif", False, "ctc_compress"), ("uniform", True, "uniform")],
)
def test_no_predictor_is_short_for_ctc_compress(kind: str, use_predictor: bool, source: str) -> None:
    config = ModelConfig(predictor=PredictorConfig(kind=kind), use_predictor=use_predictor)
    assert config.query_source == source


def test_ctc_compress_needs_a_trained_ctc_head() -> None:
    config = ModelConfig(use_predictor=False, loss=LossConfig(ctc_weight=0.0))
    assert [fault.path for fault in config.faults()] == ["loss.ctc_weight"]
    assert replace(config, use_predictor=True).faults() == []


def test_an_attention_of_ones_own_may_have_any_import_path() -> None:
    assert ModelConfig(encoder=EncoderConfig(attention="my_package.attention:Mine")).faults() == []
