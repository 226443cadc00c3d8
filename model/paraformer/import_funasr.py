"""Published weights: the state dict of a FunASR Paraformer as a model of ours.

FunASR's Paraformer (`SANMEncoder`, `ParaformerSANMDecoder`, `CifPredictor` or `CifPredictorV2`) is the
network that `encoder.kind: sanm`, `decoder.kind: sanm` and `predictor.kind: cif` describe; only the names
differ. What can be measured on the tensors (depths, widths, kernels) is, and what cannot is asked for::

    model = import_funasr(torch.load("model.pt", weights_only=True), num_heads=4)

The model takes 80 Kaldi filter banks a frame, normalised as the checkpoint's own front end does it. Stacking
7 frames every 6 is part of the model (`lfr`). A checkpoint that was trained to count the end of the sentence
as a token (`predictor_bias: 1`, the large ones) writes EOS as its last token.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from paraformer.config import DecoderConfig, EncoderConfig, LossConfig, ModelConfig, PredictorConfig
from paraformer.errors import CheckpointError
from paraformer.front_end import LowFrameRate
from paraformer.model import Paraformer

State = Mapping[str, Tensor]

_NORM_EPSILON = 1e-12
"""FunASR's normalisations divide by the root of the variance plus this; torch's default is 1e-5."""

_FEED_FORWARD = {
    "feed_forward.w_1": "feed_forward.expand",
    "feed_forward.w_2": "feed_forward.contract",
    "feed_forward.norm": "feed_forward.norm",
}
_ENCODER_LAYER = {
    "self_attn.linear_q_k_v": "attention.qkv",
    "self_attn.linear_out": "attention.output",
    "self_attn.fsmn_block": "memory.filter",
    "norm1": "attention_norm",
    "norm2": "feed_forward_norm",
    **_FEED_FORWARD,
}
_DECODER_LAYER = {
    "norm1": "feed_forward_norm",
    "self_attn.fsmn_block": "memory.filter",
    "norm2": "memory_norm",
    "src_attn.linear_q": "cross_attention.query",
    "src_attn.linear_k_v": "cross_attention.keys_values",
    "src_attn.linear_out": "cross_attention.output",
    "norm3": "cross_attention_norm",
    **_FEED_FORWARD,
}
_SINGLE = {
    "encoder.after_norm": "encoder.norm",
    "decoder.embed.0": "decoder.token_embedding",
    "decoder.after_norm": "decoder.norm",
    "decoder.output_layer": "decoder.output",
    "predictor.cif_conv1d": "predictor.convolutions.0",
    "predictor.cif_output": "predictor.weight",
    "ctc.ctc_lo": "ctc_head",
}
# Where a tensor stands in FunASR, where it stands here and from which layer on, and its names from there on.
_PLACES: list[tuple[str, str, int, Mapping[str, str]]] = [
    (r"encoder\.encoders0\.(0)\.", "encoder.layers.{}.", 0, _ENCODER_LAYER),
    (r"encoder\.encoders\.(\d+)\.", "encoder.layers.{}.", 1, _ENCODER_LAYER),
    (r"decoder\.decoders\.(\d+)\.", "decoder.layers.{}.", 0, _DECODER_LAYER),
    (r"decoder\.decoders3\.(0)\.", "decoder.last_block.", 0, {"norm1": "norm", **_FEED_FORWARD}),
]


def import_funasr(state: State, *, num_heads: int = 4, tail_threshold: float = 0.45) -> Paraformer:
    """Build the model that a FunASR state dict describes, with its weights, in eval mode.

    Args:
        state: FunASR's names and tensors.
        num_heads: Attention heads of encoder and decoder (`attention_heads`), which no tensor shows.
        tail_threshold: The checkpoint's `tail_threshold`: FunASR adds it to what is left after the last token
            and fires at 1, so a rest of 1 - tail_threshold is enough.

    Raises:
        CheckpointError: if the state dict is of another model; it says what is missing or unknown.
    """
    renamed = {_rename(name): tensor for name, tensor in state.items()}
    _check_complete(renamed)
    renamed["predictor.convolutions.0.weight"] = _full_convolution(renamed["predictor.convolutions.0.weight"])
    model = _build(renamed, num_heads, 1.0 - tail_threshold)
    try:
        model.load_state_dict({**_untrained_ctc_head(model), **renamed})
    except RuntimeError as error:
        raise CheckpointError(
            f"this FunASR checkpoint does not fit the model it describes: {error}"
        ) from error
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = _NORM_EPSILON
    return model.eval()


def _rename(name: str) -> str:
    for pattern, place, offset, parts in _PLACES:
        found = re.match(pattern, name)
        if found:
            return place.format(int(found[1]) + offset) + _rename_part(name[found.end() :], parts, name)
    return _rename_part(name, _SINGLE, name)


def _rename_part(part: str, names: Mapping[str, str], whole: str) -> str:
    for theirs, ours in names.items():
        if part.startswith(theirs + "."):
            return ours + part.removeprefix(theirs)
    raise CheckpointError(
        f"{whole} has no place in a Paraformer with a SANM encoder and decoder and a CIF predictor; "
        "only checkpoints of that model can be imported"
    )


def _check_complete(renamed: State) -> None:
    needed = (
        "encoder.layers.0.attention.qkv.weight",
        "decoder.layers.0.cross_attention.query.weight",
        "decoder.last_block.norm.weight",
        "decoder.token_embedding.weight",
        "predictor.convolutions.0.weight",
    )
    missing = [name for name in needed if name not in renamed]
    if missing:
        raise CheckpointError(
            f"this is no FunASR Paraformer checkpoint: nothing in it becomes {', '.join(missing)}"
        )


def _full_convolution(weight: Tensor) -> Tensor:
    """The predictor's convolution as one from all channels to all, `(D, D, 3)`.

    `CifPredictor` has one filter for each channel, `(D, 1, 3)`, and adds the input to its output: the filters
    become the diagonal, and the input one more at the middle tap.
    """
    dim, inputs, taps = weight.shape
    if taps != 3:
        raise CheckpointError(
            f"the predictor's convolution spans {taps} frames, but must span 3 to be imported"
        )
    if inputs == dim:
        return weight
    full = torch.diag_embed(weight.squeeze(1).T).permute(1, 2, 0).contiguous()
    full[:, :, 1] += torch.eye(dim).to(weight)
    return full


def _build(renamed: State, num_heads: int, tail_threshold: float) -> Paraformer:
    config = ModelConfig(
        encoder=_encoder_config(renamed, num_heads),
        decoder=_decoder_config(renamed, num_heads),
        predictor=PredictorConfig(
            kind="cif",
            num_layers=1,
            hidden_dim=len(renamed["predictor.convolutions.0.weight"]),
            tail_threshold=tail_threshold,
        ),
        loss=LossConfig(ctc_weight=0.3 if "ctc_head.weight" in renamed else 0.0),
    )
    stacked = renamed["encoder.layers.0.attention_norm.weight"].shape[0]
    if stacked % LowFrameRate.stack:
        raise CheckpointError(
            f"the encoder takes {stacked} features a frame, but must take "
            f"{LowFrameRate.stack} stacked frames (LFR 7/6) to be imported"
        )
    vocab_size = len(renamed["decoder.token_embedding.weight"])
    return Paraformer(vocab_size, stacked // LowFrameRate.stack, config=config)


def _encoder_config(renamed: State, num_heads: int) -> EncoderConfig:
    return EncoderConfig(
        kind="sanm",
        front_end="lfr",
        num_layers=_depth(renamed, "encoder.layers."),
        hidden_dim=len(renamed["encoder.norm.weight"]),
        num_heads=num_heads,
        ffn_dim=len(renamed["encoder.layers.0.feed_forward.expand.weight"]),
        kernel_size=renamed["encoder.layers.0.memory.filter.weight"].shape[2],
    )


def _decoder_config(renamed: State, num_heads: int) -> DecoderConfig:
    return DecoderConfig(
        kind="sanm",
        positions=False,
        num_layers=_depth(renamed, "decoder.layers."),
        hidden_dim=len(renamed["decoder.norm.weight"]),
        num_heads=num_heads,
        ffn_dim=len(renamed["decoder.layers.0.feed_forward.expand.weight"]),
        kernel_size=renamed["decoder.layers.0.memory.filter.weight"].shape[2],
    )


def _depth(renamed: State, place: str) -> int:
    return 1 + max(int(name.removeprefix(place).split(".")[0]) for name in renamed if name.startswith(place))


def _untrained_ctc_head(model: Paraformer) -> dict[str, Tensor]:
    """The CTC head as it was made: large checkpoints come without one."""
    return {f"ctc_head.{name}": tensor for name, tensor in model.ctc_head.state_dict().items()}
