"""Continuous integrate-and-fire: from frames to tokens by a weight for each frame (Dong & Xu 2020).

Shapes: B batch, T frames, U tokens, D width of a frame, S = T + U segments.

Lay the weights of an utterance end to end on a line and cut it at every whole number: token u owns [u, u+1].
Frame t lies on [mass[t-1], mass[t]] with mass the prefix sum of the weights, so it belongs to token u as far
as the two intervals overlap. With weights .6 .6 .6 and .6 there are two tokens and a remainder of .4::

    mass    0 ─────── .6 ─────── 1.2 ─────── 1.8 ─────── 2.4
    frame   │    0    │     1     │     2     │     3     │
    token   │         0       │1          1       │2  remainder
                              1                   2

    token 0 = .6 · frame 0 + .4 · frame 1
    token 1 = .2 · frame 1 + .6 · frame 2 + .2 · frame 3

The ends of the frames and of the tokens together cut the line into S segments, each of one frame and of one
token. Their order needs no sorting, since one kind of end are the whole numbers; their number is the same for
every utterance, so a batch is one call. A token is a weighted sum over a run of segments and so is, backward,
the gradient of a frame: two calls of `embedding_bag`, which reads every frame once. A frame may fire any
number of tokens, and the cost grows with (T + U) · D, whatever T.

The prefix sums are taken in fp64: in fp32 they are off by 4e-5 at T = 1000, and a total that misses a whole
number by one rounding loses the last token.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

_ROUNDING = 1e-6
"""Weight that a token may miss and still be whole: the rounding of some hundred fp32 weights."""


@dataclass(frozen=True)
class CifOutput:
    """What was integrated, and on request which frames went into which token."""

    embeddings: Tensor
    """One for each token, `(B, U, D)`; zero behind the last."""
    lengths: Tensor
    """Number of tokens, `(B,)`."""
    mass: Tensor
    """Prefix sums of the weights in tokens, `(B, T)`; what lies above `lengths` was dropped."""
    threshold: float = 1.0
    """Weight that a token takes to fire."""

    def weights(self) -> Tensor:
        """Weight of every frame in every token, `(B, U, T)`: each token's sum to the threshold."""
        kept = self.mass.clamp(max=self.lengths.unsqueeze(1))
        return (self.threshold * _overlaps(kept, self.embeddings.shape[1])).to(self.embeddings.dtype)

    def fire_times(self) -> Tensor:
        """When each token is complete, in frames from the start of frame 0, `(B, U)`."""
        tokens = torch.arange(1, self.embeddings.shape[1] + 1, device=self.mass.device)
        return self.times(tokens.expand(len(self.mass), -1))

    @torch.no_grad()
    def times(self, levels: Tensor) -> Tensor:
        """When the mass reaches `levels` `(B, N)`, in frames from the start of frame 0, `(B, N)`.

        Within a frame the mass is taken to grow evenly. A level above the total is reached with the total.
        """
        if self.mass.shape[1] == 0:
            return torch.zeros_like(levels, dtype=torch.float32)
        levels = torch.minimum(levels.to(self.mass), self.mass[:, -1:])
        frame = torch.searchsorted(
            self.mass, levels.contiguous()
        )  # the first that ends at or above the level
        end = self.mass.gather(1, frame)
        begin = F.pad(self.mass, (1, 0)).gather(1, frame)
        share = (levels - begin) / (end - begin).clamp(min=torch.finfo(end.dtype).tiny)
        return (frame + share).float()


def integrate_and_fire(
    hidden: Tensor,
    alphas: Tensor,
    target_lengths: Tensor | None = None,
    threshold: float = 1.0,
    tail_threshold: float = 0.5,
    *,
    max_length: int | None = None,
) -> CifOutput:
    """Sum frames into tokens, each of the weight `threshold`.

    With `target_lengths` the weights are scaled to fire exactly so many tokens. Without, what is left after
    the last whole token fires one more if it reaches `tail_threshold` of a token, and is then scaled to a
    whole one; else it is dropped. Gradients flow to both inputs. Everything is computed in fp32 or better,
    inside any autocast. (Dong & Xu 2020, arXiv:1905.11235; as in Gao et al. 2022, arXiv:2206.08317.)

    Args:
        hidden: Frames, `(B, T, D)`, finite also where the weight is 0.
        alphas: Weights, `(B, T)`, 0 or more, any number of tokens in a frame; 0 at padding.
        target_lengths: Number of tokens wanted, `(B,)`. An utterance whose weights are all 0 gets tokens of
            zeros.
        threshold: Weight that fires a token.
        tail_threshold: Share of the threshold.
        max_length: U, where it is known: to look it up in a tensor would wait for the device.

    Raises:
        ValueError: if the shapes do not fit or the threshold is not positive.
    """
    _check(hidden, alphas, target_lengths, threshold)
    with torch.autocast(hidden.device.type, enabled=False):
        hidden = hidden if hidden.dtype == torch.float64 else hidden.float()
        mass = alphas.to(_exact(alphas.device)).cumsum(dim=1)
        if target_lengths is None:
            mass, lengths = _finish(mass / threshold, tail_threshold)
        else:
            mass, lengths = _scale(mass, target_lengths), target_lengths
        size = _longest(lengths) if max_length is None else max_length
        kept = mass.clamp(max=lengths.unsqueeze(1))
        return CifOutput(_sum_tokens(hidden, kept, size, threshold), lengths, mass, threshold)


def _check(hidden: Tensor, alphas: Tensor, target_lengths: Tensor | None, threshold: float) -> None:
    if hidden.dim() != 3 or alphas.shape != hidden.shape[:2]:
        raise ValueError(
            f"hidden {tuple(hidden.shape)} must be (B, T, D) and alphas {tuple(alphas.shape)} its (B, T)"
        )
    if target_lengths is not None and target_lengths.shape != hidden.shape[:1]:
        raise ValueError(
            f"target_lengths {tuple(target_lengths.shape)} must be (B,), one for each of {len(hidden)} rows"
        )
    if threshold <= 0:
        raise ValueError(f"threshold ({threshold}) must be above 0")


def _exact(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64  # Apple's GPUs have no fp64


def _scale(mass: Tensor, target_lengths: Tensor) -> Tensor:
    """Scale prefix sums `(B, T)` to totals `(B,)`: exactly, since x / x is 1."""
    total = mass[:, -1:].clamp(min=torch.finfo(mass.dtype).tiny)
    return mass / total * target_lengths.unsqueeze(1)


def _finish(mass: Tensor, tail_threshold: float) -> tuple[Tensor, Tensor]:
    """Fire or drop what is left after the last whole token; prefix sums `(B, T)` and lengths `(B,)`."""
    total = mass[:, -1:]
    whole = (total.detach() + _ROUNDING).floor()
    rest = (total - whole).clamp(min=0.0)
    fires = (rest > _ROUNDING) & (rest >= tail_threshold)
    stretched = whole + (mass - whole) / rest.where(fires, torch.ones_like(rest))
    mass = torch.where(fires & (mass > whole), stretched, mass)
    lengths = whole + fires
    return mass, lengths.squeeze(1).long()


def _longest(lengths: Tensor) -> int:
    """The largest of `lengths` `(B,)`; in an exported graph at least 2: sizes 0 and 1 are traced apart."""
    if not torch.compiler.is_exporting():
        return int(lengths.max())
    longest = cast("int", lengths.max().clamp(min=2).item())
    torch._check(longest >= 2)
    return longest


def _overlaps(mass: Tensor, size: int) -> Tensor:
    """Share of every frame in each of `size` tokens, `(B, U, T)`, from prefix sums `(B, T)`."""
    token = torch.arange(size, device=mass.device).unsqueeze(1)
    end = mass.unsqueeze(1)  # (B, 1, T)
    begin = F.pad(end[:, :, :-1], (1, 0))
    overlap = (end - token).clamp(max=1.0) - (begin - token).clamp(min=0.0)
    return overlap.clamp(min=0.0)


def _sum_tokens(hidden: Tensor, mass: Tensor, size: int, threshold: float) -> Tensor:
    """Embeddings `(B, U, D)` of frames `(B, T, D)` with prefix sums `(B, T)`; `size` is U."""
    if torch.compiler.is_exporting():  # ONNX knows neither searchsorted nor embedding_bag
        return (threshold * _overlaps(mass, size)).to(hidden.dtype) @ hidden
    batch, frames, dim = hidden.shape
    if batch == 0 or frames == 0 or size == 0:
        return hidden.new_zeros(batch, size, dim)
    cuts = _cut(mass, size)
    weights = (threshold * cuts.weights).to(hidden.dtype).flatten()
    flat = hidden.reshape(batch * frames, dim)
    # Autograd takes care of the weights, `_FrameGradient` of the frames.
    tokens = F.embedding_bag(
        cuts.frames, flat.detach(), cuts.token_starts, mode="sum", per_sample_weights=weights
    )
    tokens = _FrameGradient.apply(tokens, flat, cuts.tokens, cuts.frame_starts, weights.detach())
    return tokens.view(batch, size, dim)


@dataclass(frozen=True)
class _Cuts:
    """The S segments of each utterance, one utterance after the other."""

    weights: Tensor
    """Length of each segment, `(B, S)`; 0 behind the last frame or token."""
    frames: Tensor
    """Row of its frame among all B·T, `(B·S,)`."""
    tokens: Tensor
    """Row of its token among all B·U, `(B·S,)`."""
    frame_starts: Tensor
    """First segment of each frame, `(B·T,)`."""
    token_starts: Tensor
    """First segment of each token, `(B·U,)`."""


def _cut(mass: Tensor, size: int) -> _Cuts:
    """Cut each line at the ends of its frames, `mass` `(B, T)`, and of its tokens, 1 … `size`."""
    batch, frames = mass.shape
    fixed, device = mass.detach().contiguous(), mass.device
    ends = torch.arange(1, size + 1, device=device, dtype=mass.dtype).expand(batch, size).contiguous()
    # Place of each end in the common order; where two coincide the frame's comes first.
    frame_places = (fixed.ceil().long() - 1).clamp(0, size) + torch.arange(frames, device=device)
    token_places = torch.searchsorted(fixed, ends, right=True) + torch.arange(size, device=device)
    merged = mass.new_zeros(batch, frames + size)
    merged = merged.scatter(1, frame_places, mass).scatter(1, token_places, ends)
    weights = merged.diff(dim=1, prepend=mass.new_zeros(batch, 1))

    closes_token = torch.zeros_like(merged, dtype=torch.long).scatter(1, token_places, 1)
    token = closes_token.cumsum(dim=1) - closes_token  # (B, S)
    frame = torch.arange(frames + size, device=device) - token
    real = (frame < frames) & (token < size)
    return _Cuts(
        weights=weights * real,
        frames=_rows(frame.clamp(max=frames - 1), frames),
        tokens=_rows(token.clamp(max=size - 1), size),
        frame_starts=_rows(F.pad(frame_places[:, :-1] + 1, (1, 0)), frames + size),
        token_starts=_rows(F.pad(token_places[:, :-1] + 1, (1, 0)), frames + size),
    )


def _rows(index: Tensor, size: int) -> Tensor:
    """Places within an utterance `(B, N)` as places within the whole batch, `(B·N,)`, `size` to each."""
    first = torch.arange(len(index), device=index.device).unsqueeze(1) * size
    return (first + index).flatten()


class _FrameGradient(torch.autograd.Function):
    """Hands tokens through; backward, sums each frame's share of the tokens' gradients."""

    @staticmethod
    def forward(
        ctx: Any, embeddings: Tensor, frames: Tensor, tokens: Tensor, starts: Tensor, weights: Tensor
    ) -> Tensor:
        ctx.save_for_backward(tokens, starts, weights)
        return embeddings.view_as(embeddings)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        tokens, starts, weights = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        to_frames = None
        if ctx.needs_input_grad[1]:
            to_frames = F.embedding_bag(tokens, gradient, starts, mode="sum", per_sample_weights=weights)
        return gradient, to_frames, None, None, None
