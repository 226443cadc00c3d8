"""When the predictor fires in one recording, against when CTC says that the tokens were spoken.

Shapes: T feature frames, F mel bins, T' encoder frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from paraformer.alignment import align
from paraformer.errors import ConfigError, DataError
from paraformer.model import never_pad
from paraformer.predictor import EncodedFrames
from paraformer_platform.inspection.picture import (
    FIRE,
    INK,
    MUTED,
    ON_RAMP,
    RAMP,
    SPOKEN,
    style,
    write_picture,
)
from paraformer_platform.training.precision import autocast
from paraformer_platform.training.recogniser import Recogniser

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Seconds = float


@dataclass(frozen=True)
class SpokenToken:
    """A token of the transcript, and when CTC's best path spells it."""

    text: str
    start: Seconds
    end: Seconds


@dataclass(frozen=True)
class Firing:
    """What the predictor made of one recording."""

    features: Tensor
    """What the model heard, `(T, F)`, normalised."""
    feature_shift: Seconds
    alphas: Tensor
    """Boundary weight of each encoder frame, `(T',)`."""
    frame_shift: Seconds
    """From one encoder frame to the next."""
    count: float
    """Tokens that the weights stand for, not yet rounded."""
    tokens: list[str]
    """What the decoder wrote, one for each firing."""
    fires: list[Seconds]
    """When each of them was complete."""
    spoken: list[SpokenToken]
    """The transcript's tokens by CTC forced alignment; none where there is no path, or no CTC."""


@torch.no_grad()
def observe_firing(recogniser: Recogniser, wave: Tensor, transcript: str | None = None) -> Firing:
    """Run a model over a recording and note its weights, firings and CTC alignment.

    Args:
        recogniser: The model.
        wave: Samples `(N,)` at the recogniser's rate.
        transcript: What is said; by default what the model understands.

    Raises:
        ConfigError: if the model's decoder is autoregressive, and so has no predictor.
        DataError: if the transcript has characters outside the model's vocabulary.
    """
    model = recogniser.model
    if model.is_autoregressive:
        raise ConfigError("decoder.kind is 'autoregressive', which has no predictor to look at")
    features = recogniser.frontend.features(wave).to(recogniser.device)
    with autocast(recogniser.precision, recogniser.device):
        frames = model.encode_frames(features.unsqueeze(0), ctc=True)
        alphas = model.weigh(frames)
        logits, queries = model.answer(frames, alphas)
    written = never_pad(logits)[0].argmax(dim=1).tolist()[: int(queries.lengths[0])]
    assert model.predictor is not None
    return Firing(
        features=features.cpu(),
        feature_shift=recogniser.frontend.extractor.config.frame_shift_seconds,
        alphas=alphas[0].float().cpu(),
        frame_shift=model.frame_shift_seconds,
        count=float(model.predictor.count(alphas)[0]),
        tokens=[recogniser.frontend.tokenizer.decode([token]) for token in written],
        fires=(queries.fired.fire_times()[0] * model.frame_shift_seconds).tolist()[: len(written)],
        spoken=_spoken(recogniser, frames, _tokens_of(recogniser, transcript, written)),
    )


def draw_firing(seen: Firing, path: Path) -> None:
    """Draw the features, the weight of every frame, the firings, and the tokens where CTC hears them.

    Raises:
        ConfigError: if the path's ending names no picture format.
    """
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(10.5, 4.8), layout="constrained")
        heard, weights, tokens = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.3))
        _draw_features(seen, heard)
        _draw_weights(seen, weights)
        _draw_tokens(seen, tokens)
        for axes, colour in ((heard, ON_RAMP), (weights, FIRE), (tokens, FIRE)):
            axes.set_xlim(0.0, len(seen.alphas) * seen.frame_shift)
            for time in seen.fires:
                axes.axvline(time, color=colour, linewidth=1.0, alpha=0.8)
        write_picture(figure, path)


def _tokens_of(recogniser: Recogniser, transcript: str | None, written: Sequence[int]) -> Sequence[int]:
    if transcript is None:
        return written
    tokenizer = recogniser.frontend.tokenizer
    if unknown := tokenizer.unknown_characters(transcript):
        raise DataError(
            f"the transcript {transcript!r} has characters that this model does not know: {' '.join(unknown)}"
        )
    return tokenizer.encode(transcript, add_special=False)


def _spoken(recogniser: Recogniser, frames: EncodedFrames, tokens: Sequence[int]) -> list[SpokenToken]:
    """When each token was spoken, if the model learned CTC and the recording is long enough."""
    if not tokens or recogniser.model.config.loss.ctc_weight == 0:
        return []
    assert frames.ctc_log_probs is not None
    device = frames.hidden.device
    wanted = torch.tensor([tokens], device=device)
    found = align(frames.ctc_log_probs, frames.lengths, wanted, torch.tensor([len(tokens)], device=device))
    if not bool(found.feasible[0]):
        return []
    shift, decode = recogniser.model.frame_shift_seconds, recogniser.frontend.tokenizer.decode
    spans = [(found.slots[0] == place).nonzero().flatten().tolist() for place in range(1, len(tokens) + 1)]
    return [
        SpokenToken(decode([token]), span[0] * shift, (span[-1] + 1) * shift)
        for token, span in zip(tokens, spans, strict=True)
    ]


def _draw_features(seen: Firing, axes: "Axes") -> None:
    frames, bins = seen.features.shape
    extent = (0.0, frames * seen.feature_shift, 0.0, float(bins))
    axes.imshow(
        seen.features.T.numpy(),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=RAMP,
        extent=extent,
    )
    axes.set_ylabel("mel bin")
    axes.set_title("what the model hears; lines: a token is complete")


def _draw_weights(seen: Firing, axes: "Axes") -> None:
    edges = torch.arange(len(seen.alphas) + 1) * seen.frame_shift
    axes.stairs(seen.alphas.numpy(), edges.numpy(), fill=True, color=MUTED, alpha=0.55)
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel("weight")
    axes.set_title(
        f"boundary weight of every frame: together {seen.count:.2f} tokens, {len(seen.fires)} fired"
    )


def _draw_tokens(seen: Firing, axes: "Axes") -> None:
    axes.set_yticks([0.5, 1.5], ["CTC path", "written"])
    axes.set_ylim(0, 2)
    axes.set_xlabel("seconds")
    for token, time in zip(seen.tokens, seen.fires, strict=True):
        axes.text(time, 1.5, f"{_visible(token)} ", ha="right", va="center", fontsize=8, color=FIRE)
    for spoken in seen.spoken:
        axes.axvspan(spoken.start, spoken.end, 0.0, 0.5, color=SPOKEN, alpha=0.25, linewidth=0)
        middle = (spoken.start + spoken.end) / 2
        axes.text(middle, 0.5, _visible(spoken.text), ha="center", va="center", fontsize=8, color=INK)


def _visible(token: str) -> str:
    """A token with its spaces shown; a $ would begin a formula."""
    return token.replace(" ", "␣").replace("$", r"\$")
