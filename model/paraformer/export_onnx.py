"""A trained model as one ONNX graph: encoder, predictor and parallel decoder, batch and lengths left open.

==========  ================  =============================================================
input       shape             meaning
==========  ================  =============================================================
features    `(B, T, F)` f32   features of 10 ms frames, normalised as in training
feat_lens   `(B,)` i64        number of real frames
==========  ================  =============================================================

==========  ================  =============================================================
output      shape             meaning
==========  ================  =============================================================
tokens      `(B, U)` i64      most probable token at each position; ids as of the tokenizer
token_lens  `(B,)` i64        number of real tokens: cut each row of `tokens` there
logits      `(B, U, V)` f32   for everything but greedy decoding
weights     `(B, T')` f32     weight of each encoder frame, whose sums say where tokens lie
==========  ================  =============================================================

U is the largest of `token_lens`, but at least 2. The packages are those of the extra `export`.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from paraformer.errors import ConfigError
from paraformer.model import Paraformer, never_pad

INPUTS = ("features", "feat_lens")
OUTPUTS = ("tokens", "token_lens", "logits", "weights")
_EXAMPLE_FRAMES = 160
_NOISY_LOGGER = "torch.onnx._internal.exporter._registration"


def export_onnx(model: Paraformer, path: Path) -> None:
    """Write a model as an ONNX file with its weights inside.

    Args:
        model: The model, whose training or eval mode is left as it is.
        path: File to write, overwritten where it exists.

    Raises:
        ConfigError: if the decoder is autoregressive, or a package for the export is missing.
    """
    if model.is_autoregressive:
        raise ConfigError(
            "decoder.kind is 'autoregressive', but only a parallel decoder is one graph: export a model with "
            "decoder.kind 'transformer' or 'sanm'"
        )
    example = (
        torch.zeros(2, _EXAMPLE_FRAMES, model.feature_dim),
        torch.tensor([_EXAMPLE_FRAMES, _EXAMPLE_FRAMES // 2]),
    )
    with _evaluating(model), _without_notices(), _naming_missing_packages():
        torch.onnx.export(
            _Recogniser(model).eval(),
            example,
            path,
            input_names=INPUTS,
            output_names=OUTPUTS,
            dynamic_shapes=({0: "batch", 1: "frames"}, {0: torch.export.Dim.AUTO}),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


class _Recogniser(nn.Module):
    """From features to tokens in one call."""

    def __init__(self, model: Paraformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor, feat_lens: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        frames = self.model.encode_frames(features, feat_lens)
        weights = self.model.weigh(frames)
        logits, queries = self.model.answer(frames, weights)
        return never_pad(logits).argmax(dim=2), queries.lengths, logits, weights


@contextmanager
def _naming_missing_packages() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"to export, {error.name} is needed: pip install 'paraformer-ablation-platform[export]'"
        ) from error


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


@contextmanager
def _without_notices() -> Iterator[None]:
    """Without the exporter's word on every package that it could have used."""
    logger = logging.getLogger(_NOISY_LOGGER)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
