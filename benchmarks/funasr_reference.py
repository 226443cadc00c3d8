"""FunASR's Paraformer, built from plain configs with random weights at a given size (PyPI funasr 1.4.16)."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Size:
    """Dimensions that both implementations are built with."""

    name: str
    layers: int
    hidden_dim: int
    heads: int
    ffn_dim: int
    vocab_size: int = 4233
    kernel_size: int = 11
    sampling_ratio: float = 0.75
    ctc_weight: float = 0.0
    dropout: float = 0.1
    decoder_layers: int | None = None
    """None: as many as the encoder has."""


BASE = Size("base", layers=6, hidden_dim=512, heads=8, ffn_dim=2048)
SMALL = Size("small", layers=4, hidden_dim=256, heads=4, ffn_dim=1024)


def build_funasr(size: Size, input_size: int, predictor: str = "CifPredictor") -> Any:
    """The SANM Paraformer of FunASR, in training mode."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        import funasr.models.paraformer.cif_predictor
        import funasr.models.paraformer.decoder
        import funasr.models.sanm.encoder  # noqa: F401  importing registers the classes
        from funasr.models.paraformer.model import Paraformer
    return Paraformer(
        encoder="SANMEncoder",
        encoder_conf={
            "output_size": size.hidden_dim,
            "attention_heads": size.heads,
            "linear_units": size.ffn_dim,
            "num_blocks": size.layers,
            "dropout_rate": size.dropout,
            "positional_dropout_rate": size.dropout,
            "attention_dropout_rate": size.dropout,
            "input_layer": "pe",
            "pos_enc_class": "SinusoidalPositionEncoder",
            "normalize_before": True,
            "kernel_size": size.kernel_size,
            "sanm_shfit": 0,
            "selfattention_layer_type": "sanm",
        },
        decoder="ParaformerSANMDecoder",
        decoder_conf={
            "attention_heads": size.heads,
            "linear_units": size.ffn_dim,
            "num_blocks": size.decoder_layers or size.layers,
            "att_layer_num": size.decoder_layers or size.layers,
            "dropout_rate": size.dropout,
            "positional_dropout_rate": size.dropout,
            "self_attention_dropout_rate": size.dropout,
            "src_attention_dropout_rate": size.dropout,
            "kernel_size": size.kernel_size,
            "sanm_shfit": 0,
        },
        predictor=predictor,
        predictor_conf={
            "idim": size.hidden_dim,
            "threshold": 1.0,
            "l_order": 1,
            "r_order": 1,
            "tail_threshold": 0.45,
        },
        vocab_size=size.vocab_size,
        input_size=input_size,
        ctc_weight=size.ctc_weight,
        lsm_weight=0.1,
        length_normalized_loss=True,
        predictor_weight=1.0,
        predictor_bias=0,
        sampling_ratio=size.sampling_ratio,
    ).train()


def funasr_cif() -> tuple[Any, Any]:
    """FunASR's sequential `cif` and its prefix-sum `cif_v1`."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        from funasr.models.paraformer.cif_predictor import cif, cif_v1
    return cif, cif_v1


def funasr_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """An epoch cut by FunASR's own sampler: by length, at most `budget` padded frames, its sorting buffer."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        from funasr.datasets.audio_datasets.samplers import CustomDistributedBufferDynamicBatchSampler

    class Lengths:
        def __len__(self) -> int:
            return len(lengths)

        def get_source_len(self, index: int) -> int:
            return lengths[index]

        def get_target_len(self, index: int) -> int:
            return 0

    sampler = CustomDistributedBufferDynamicBatchSampler(
        Lengths(), batch_size=budget, batch_type="length", num_replicas=1, rank=0, sort_size=1024
    )
    return [list(batch) for batch in sampler]
