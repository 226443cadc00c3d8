"""Shapes and types of docs/CONTRACTS.md: each function is run on sizes that all differ."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from torch import Tensor

from paraformer.alignment import align
from paraformer.attention import SelfAttention, record_attention
from paraformer.audio import read_audio
from paraformer.augment import AugmentConfig, spec_augment
from paraformer.cif import integrate_and_fire
from paraformer.config import DecoderConfig, EncoderConfig, ModelConfig, PredictorConfig
from paraformer.dataset import Batch, collate
from paraformer.decoding import decode
from paraformer.decoding.parallel import ask
from paraformer.features import FeatureConfig, FeatureExtractor, GlobalCmvn
from paraformer.losses import TrainingObjective
from paraformer.model import Paraformer
from paraformer.padding import length_mask
from paraformer.predictor import EncodedFrames
from paraformer.sampler import glance

PAGE = Path(__file__).resolve().parents[2] / "docs" / "CONTRACTS.md"
SIZES = {"B": 3, "N": 7900, "T": 50, "F": 20, "T'": 13, "U": 7, "U+1": 8, "D": 32, "Q": 24, "H": 4, "V": 30}
SIZES["2"] = 2
SECTION = re.compile(r"^### `([\w.]+)`$(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| (?:`([\w.]+)`|→ (\w+)) \| \(([^)]*)\) \| (\w+) \|", re.MULTILINE)

FEAT_LENS = torch.tensor([50, 31, 18])
FRAME_LENS = torch.tensor([13, 8, 5])
TOKEN_LENS = torch.tensor([7, 4, 2])

Tensors = Mapping[str, Tensor]


def _features() -> Tensor:
    return torch.randn(3, 50, 20, generator=torch.Generator().manual_seed(0))


def _tokens() -> Tensor:
    tokens = torch.randint(4, 30, (3, 7), generator=torch.Generator().manual_seed(1))
    return tokens * length_mask(TOKEN_LENS, 7)


def _hidden(width: int = 32) -> Tensor:
    hidden = torch.randn(3, 13, width, generator=torch.Generator().manual_seed(2))
    return hidden * length_mask(FRAME_LENS, 13).unsqueeze(2)


def _queries(seed: int = 3) -> Tensor:
    return torch.randn(3, 7, 24, generator=torch.Generator().manual_seed(seed))


def _alphas() -> Tensor:
    return torch.rand(3, 13, generator=torch.Generator().manual_seed(4)) * length_mask(FRAME_LENS, 13)


def _model(decoder: str = "transformer") -> Paraformer:
    torch.manual_seed(5)
    config = ModelConfig(
        encoder=EncoderConfig(num_layers=1, hidden_dim=32, num_heads=4),
        predictor=PredictorConfig(hidden_dim=16),
        decoder=DecoderConfig(kind=decoder, num_layers=1, hidden_dim=24, num_heads=4),
    )
    return Paraformer.from_config(config, vocab_size=30, feature_dim=20).eval()


def _read_audio(folder: Path) -> Tensors:
    stereo = torch.randn(3950, 2).clamp(-1, 1).numpy()
    soundfile.write(folder / "two_channels.wav", stereo, 8_000)
    return {"wave": read_audio(folder / "two_channels.wav")}


def _extract(_: Path) -> Tensors:
    wave = torch.randn(7900)
    return {"wave": wave, "features": FeatureExtractor(FeatureConfig(num_mels=20))(wave)}


def _normalise(_: Path) -> Tensors:
    features = _features()[0]
    return {"features": features, "normalised": GlobalCmvn.from_features([features]).apply(features)}


def _mask_bands(_: Path) -> Tensors:
    features = _features()[0]
    config = AugmentConfig(time_masks=2, frequency_masks=2, frequency_mask_bins=5)
    return {"features": features, "masked": spec_augment(features, config, torch.Generator().manual_seed(0))}


def _collate(_: Path) -> Tensors:
    rows = zip(_features(), _tokens(), FEAT_LENS.tolist(), TOKEN_LENS.tolist(), strict=True)
    return _named(collate([(x[:t], y[:u], t, u) for x, y, t, u in rows]))


def _forward(_: Path) -> Tensors:
    given = {
        "features": _features(),
        "tokens": _tokens(),
        "feat_lens": FEAT_LENS,
        "token_lens": TOKEN_LENS,
    }
    return {**given, "logits": _model().train()(**given)}


def _encode(_: Path) -> Tensors:
    given = {"features": _features(), "feat_lens": FEAT_LENS}
    encoder_out, predictor_out = _model().encode(**given)
    return {**given, "encoder_out": encoder_out, "predictor_out": predictor_out}


def _output_lengths(_: Path) -> Tensors:
    return {"feat_lens": FEAT_LENS, "encoder_lens": _model().output_lengths(FEAT_LENS)}


def _decode_step(_: Path) -> Tensors:
    given = {"encoder_out": _hidden(), "predictor_out": _alphas(), "tokens": _tokens()}
    return {**given, "logits": _model().decode_step(**given)}


def _objective(_: Path) -> Tensors:
    model = _model()
    batch = Batch(_features(), FEAT_LENS, _tokens(), TOKEN_LENS, ["a", "b", "c"])
    return _named(TrainingObjective(model, model.config.loss)(batch), without=("mwer",))


def _encoder(_: Path) -> Tensors:
    given = {"features": _features(), "feat_lens": FEAT_LENS}
    encoder_out, encoder_lens = _model().encoder(**given)
    return {**given, "encoder_out": encoder_out, "encoder_lens": encoder_lens}


def _attention(_: Path) -> Tensors:
    attention, given = SelfAttention(32, 4), {"x": _hidden(), "mask": length_mask(FRAME_LENS, 13)}
    with record_attention(attention):
        attended = attention(**given)
    return {**given, "attended": attended, "weights": attention.get_weights()}


def _frames() -> tuple[EncodedFrames, Tensors]:
    frames = EncodedFrames(_hidden(), FRAME_LENS)
    return frames, {"frames.hidden": frames.hidden, "frames.lengths": frames.lengths}


def _weigh(_: Path) -> Tensors:
    frames, given = _frames()
    predictor = _model().predictor
    assert predictor is not None
    return {**given, "alphas": predictor.weigh(frames)}


def _predict(_: Path) -> Tensors:
    frames, given = _frames()
    predictor = _model().predictor
    assert predictor is not None
    queries = predictor(frames, _alphas(), TOKEN_LENS)
    return {
        "frames.hidden": given["frames.hidden"],
        "alphas": _alphas(),
        "target_lengths": TOKEN_LENS,
        "embeddings": queries.embeddings,
        "lengths": queries.lengths,
    }


def _integrate(_: Path) -> Tensors:
    given = {"hidden": _hidden(), "alphas": _alphas(), "target_lengths": TOKEN_LENS}
    fired = integrate_and_fire(**given)
    return {
        **given,
        "embeddings": fired.embeddings,
        "lengths": fired.lengths,
        "mass": fired.mass,
        "weights": fired.weights(),
        "fire_times": fired.fire_times(),
    }


def _glance(_: Path) -> Tensors:
    mask = length_mask(TOKEN_LENS, 7)
    given = {"queries": _queries(), "true_embeddings": _queries(9), "wrong": mask, "mask": mask}
    return {**given, "shown": glance(**given, ratio=0.5)}


def _decoder(_: Path) -> Tensors:
    given = {
        "queries": _queries(),
        "query_lens": TOKEN_LENS,
        "memory": _hidden(),
        "memory_lens": FRAME_LENS,
    }
    return {**given, "logits": _model().decoder(**given)}


def _autoregressive(_: Path) -> Tensors:
    decoder: Any = _model("autoregressive").decoder
    given = {
        "tokens": _tokens(),
        "token_lens": TOKEN_LENS,
        "memory": _hidden(),
        "memory_lens": FRAME_LENS,
    }
    return {**given, "logits": decoder(**given), "targets": decoder.targets(_tokens(), TOKEN_LENS)}


def _align(_: Path) -> Tensors:
    given = {
        "log_probs": _hidden(30).log_softmax(2),
        "frame_lens": FRAME_LENS,
        "tokens": _tokens(),
        "token_lens": TOKEN_LENS,
    }
    found = align(**given)
    return {**given, "slots": found.slots, "feasible": found.feasible}


def _length_mask(_: Path) -> Tensors:
    return {"lengths": FEAT_LENS, "mask": length_mask(FEAT_LENS, 50)}


def _decode(_: Path) -> Tensors:
    given = {"features": _features(), "feat_lens": FEAT_LENS, "oracle_lens": TOKEN_LENS}
    found = decode(_model(), **given)
    assert [len(one.tokens) for one in found] == [len(one.confidences) for one in found] == [7, 4, 2]
    assert [len(one.times or []) for one in found] == [7, 4, 2]
    return given


def _ask(_: Path) -> Tensors:
    given = {"features": _features(), "feat_lens": FEAT_LENS, "oracle_lens": TOKEN_LENS}
    return {**given, **_named(ask(_model(), **given))}


def _named(parts: object, without: tuple[str, ...] = ()) -> Tensors:
    return {
        name: value
        for name, value in vars(parts).items()
        if isinstance(value, Tensor) and name not in without
    }


RUNS: dict[str, Callable[[Path], Tensors]] = {
    "paraformer.audio.read_audio": _read_audio,
    "paraformer.features.FeatureExtractor.forward": _extract,
    "paraformer.features.GlobalCmvn.apply": _normalise,
    "paraformer.augment.spec_augment": _mask_bands,
    "paraformer.dataset.collate": _collate,
    "paraformer.model.Paraformer.forward": _forward,
    "paraformer.model.Paraformer.encode": _encode,
    "paraformer.model.Paraformer.output_lengths": _output_lengths,
    "paraformer.model.Paraformer.decode_step": _decode_step,
    "paraformer.losses.TrainingObjective.forward": _objective,
    "paraformer.encoder.Encoder.forward": _encoder,
    "paraformer.attention.SelfAttention.forward": _attention,
    "paraformer.predictor.Predictor.weigh": _weigh,
    "paraformer.predictor.Predictor.forward": _predict,
    "paraformer.cif.integrate_and_fire": _integrate,
    "paraformer.sampler.glance": _glance,
    "paraformer.decoder.ParallelDecoder.forward": _decoder,
    "paraformer.decoder_autoregressive.AutoregressiveDecoder.forward": _autoregressive,
    "paraformer.alignment.align": _align,
    "paraformer.padding.length_mask": _length_mask,
    "paraformer.decoding.decode": _decode,
    "paraformer.decoding.parallel.ask": _ask,
}


def _page() -> dict[str, dict[str, tuple[list[str], str]]]:
    """Shape and type of every tensor of every table."""
    return {
        name: {
            argument or result: (re.findall(r"[^\s,]+", shape), kind)
            for argument, result, shape, kind in ROW.findall(text)
        }
        for name, text in SECTION.findall(PAGE.read_text())
    }


def test_every_table_is_run_and_every_run_has_a_table() -> None:
    assert list(_page()) == list(RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_contract(name: str, tmp_path: Path) -> None:
    promised, found = _page()[name], RUNS[name](tmp_path)
    assert set(found) == set(promised)
    for tensor, (shape, kind) in promised.items():
        assert list(found[tensor].shape) == [SIZES[letter] for letter in shape], tensor
        assert str(found[tensor].dtype) == f"torch.{kind}", tensor


def test_padding_is_zero_and_never_read() -> None:
    model, features = _model(), _features()
    beyond = ~length_mask(FEAT_LENS, 50).unsqueeze(2)
    encoder_out, alphas = model.encode(features.masked_fill(beyond, float("nan")), FEAT_LENS)
    padded = ~length_mask(FRAME_LENS, 13)
    assert encoder_out[padded].abs().max() == 0
    assert alphas[padded].abs().max() == 0
    assert bool((encoder_out[~padded] != 0).any(dim=1).all())
    torch.testing.assert_close(alphas, model.encode(features, FEAT_LENS)[1], rtol=0, atol=0)
