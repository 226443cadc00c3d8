"""A FunASR Paraformer, built offline with random weights, against its import: every number agrees.

FunASR's own code is the reference here: an independent proof that this is the published network. CIF itself
is compared where FunASR is exact (see paraformer.cif for where it is not); the tail that FunASR adds at the
end of an utterance has another scale than ours, so that last embedding is left out.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from paraformer.errors import CheckpointError
from paraformer.import_funasr import import_funasr
from paraformer.model import Paraformer
from paraformer.predictor import EncodedFrames

HEADS, TAIL = 4, 0.45
LENS = torch.tensor([300, 131, 47])


@pytest.fixture(scope="module")
def funasr_model() -> Any:
    """FunASR's model class, imported without its greetings."""
    pytest.importorskip(
        "funasr", reason="FunASR is not installed: pip install --no-deps -r benchmarks/reference.txt"
    )
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import funasr.models.paraformer.cif_predictor
        import funasr.models.paraformer.decoder
        import funasr.models.sanm.encoder  # noqa: F401  (importing these registers the classes)
        from funasr.models.paraformer.model import Paraformer as FunasrParaformer
    return FunasrParaformer


@pytest.fixture(scope="module", params=["CifPredictor", "CifPredictorV2"])
def theirs(request: pytest.FixtureRequest, funasr_model: Any) -> nn.Module:
    torch.manual_seed(0)
    block = {"attention_heads": HEADS, "linear_units": 96, "kernel_size": 11, "sanm_shfit": 0}
    model = funasr_model(
        encoder="SANMEncoder",
        encoder_conf={
            **block,
            "output_size": 64,
            "num_blocks": 4,
            "input_layer": "pe",
            "pos_enc_class": "SinusoidalPositionEncoder",
            "normalize_before": True,
            "selfattention_layer_type": "sanm",
        },
        decoder="ParaformerSANMDecoder",
        decoder_conf={**block, "num_blocks": 3, "att_layer_num": 3},
        predictor=request.param,
        predictor_conf={"idim": 64, "threshold": 1.0, "l_order": 1, "r_order": 1, "tail_threshold": TAIL},
        vocab_size=50,
        input_size=560,
        ctc_weight=0.3,
    )
    for name, parameter in model.named_parameters():
        if (
            "norm" in name or "bias" in name
        ):  # at their start they are ones and zeros, which would hide a swap
            nn.init.normal_(parameter, mean=float("norm" in name and "weight" in name), std=0.2)
    return model.eval()


@pytest.fixture(scope="module")
def ours(theirs: nn.Module) -> Paraformer:
    return import_funasr(theirs.state_dict(), num_heads=HEADS, tail_threshold=TAIL)


@pytest.fixture(scope="module")
def features() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(3, 300, 80)


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    with torch.no_grad():
        yield


def encode_theirs(model: Any, features: Tensor) -> tuple[Tensor, Tensor]:
    """FunASR stacks frames outside of the model, one utterance at a time."""
    from funasr.frontends.wav_frontend import apply_lfr

    stacked = [apply_lfr(row[:size], 7, 6) for row, size in zip(features, LENS.tolist(), strict=True)]
    lens = torch.tensor([len(row) for row in stacked])
    hidden, lens, _ = model.encoder(nn.utils.rnn.pad_sequence(stacked, batch_first=True), lens)
    real = torch.arange(hidden.shape[1]) < lens.unsqueeze(1)
    return hidden * real.unsqueeze(2), lens


def weigh_theirs(model: Any, hidden: Tensor, lens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """FunASR's acoustic embeddings, their number, and the weights, which end with the tail it adds."""
    mask = (torch.arange(hidden.shape[1]) < lens.unsqueeze(1)).unsqueeze(1)
    embeddings, count, alphas, _ = model.predictor(hidden, mask=mask)
    return embeddings, count, alphas[:, :-1]


def test_the_encoders_agree(theirs: nn.Module, ours: Paraformer, features: Tensor) -> None:
    expected, lens = encode_theirs(theirs, features)
    hidden, _ = ours.encode(features, LENS)
    assert ours.output_lengths(LENS).tolist() == lens.tolist()
    torch.testing.assert_close(hidden, expected, rtol=0, atol=1e-5)


def test_the_weights_agree_in_all_frames_that_no_padding_touches(
    theirs: nn.Module, ours: Paraformer, features: Tensor
) -> None:
    hidden, lens = encode_theirs(theirs, features)
    _, _, expected = weigh_theirs(theirs, hidden, lens)
    alphas = ours.weigh(EncodedFrames(hidden, lens))
    at_end = torch.arange(hidden.shape[1]) >= lens.unsqueeze(1)
    # FunASR adds its tail weight in the first padded frame.
    torch.testing.assert_close(alphas, expected.masked_fill(at_end, 0.0), rtol=0, atol=1e-5)


def test_token_counts_and_acoustic_embeddings_agree_up_to_the_tail(
    theirs: nn.Module, ours: Paraformer, features: Tensor
) -> None:
    hidden, lens = encode_theirs(theirs, features)
    expected, count, _ = weigh_theirs(theirs, hidden, lens)
    frames = EncodedFrames(hidden, lens)
    assert ours.predictor is not None
    queries = ours.predictor(frames, ours.weigh(frames))
    assert queries.lengths.tolist() == count.floor().long().tolist()
    for row, size in enumerate(queries.lengths.tolist()):
        assert size >= 2
        torch.testing.assert_close(
            queries.embeddings[row, : size - 1], expected[row, : size - 1], rtol=0, atol=1e-4
        )


def test_the_decoders_agree(theirs: Any, ours: Paraformer, features: Tensor) -> None:
    hidden, lens = encode_theirs(theirs, features)
    queries, sizes = torch.randn(3, 12, 64), torch.tensor([12, 5, 2])
    expected, _ = theirs.decoder(hidden, lens, queries, sizes)
    logits = ours.decoder(queries, sizes, hidden, lens)
    for row, size in enumerate(sizes.tolist()):
        torch.testing.assert_close(logits[row, :size], expected[row, :size], rtol=0, atol=1e-5)


def test_the_ctc_heads_agree(theirs: Any, ours: Paraformer, features: Tensor) -> None:
    frames = ours.encode_frames(features, LENS, ctc=True)
    torch.testing.assert_close(frames.ctc_log_probs, theirs.ctc.log_softmax(frames.hidden), rtol=0, atol=1e-5)


def test_a_checkpoint_without_a_ctc_head_is_imported(theirs: nn.Module, features: Tensor) -> None:
    state = {name: tensor for name, tensor in theirs.state_dict().items() if not name.startswith("ctc.")}
    model = import_funasr(state, num_heads=HEADS)
    assert model.config.loss.ctc_weight == 0
    assert all(len(tokens) >= 2 for tokens in model.decode_greedy(*model.encode(features, LENS)))


def test_a_model_of_another_kind_is_refused(theirs: nn.Module) -> None:
    state = dict(theirs.state_dict())
    with pytest.raises(CheckpointError, match=r"nothing in it becomes encoder.layers.0.attention.qkv.weight"):
        import_funasr({})
    with pytest.raises(CheckpointError, match=r"predictor.blstm.weight has no place in a Paraformer"):
        import_funasr({**state, "predictor.blstm.weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"takes 560 features|does not fit"):
        import_funasr({**state, "encoder.encoders.0.norm1.weight": torch.zeros(3)})
    with pytest.raises(CheckpointError, match="spans 5 frames, but must span 3"):
        import_funasr({**state, "predictor.cif_conv1d.weight": torch.zeros(64, 64, 5)})
