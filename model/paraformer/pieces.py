"""Long recordings in pieces that a model can bear.

A model is trained on utterances of some seconds, and attention costs the square of a recording's length: ten
minutes at once took a small model 52 s and 3 GB. A longer recording is cut where it is quietest.
"""

import torch
from torch import Tensor

_FRAME_SECONDS = 0.01
_QUIET_FRAMES = 15
"""How long it should be quiet around a cut, in frames: longer than the closure of a plosive."""


def cut(wave: Tensor, sample_rate: int, longest_seconds: float) -> list[tuple[int, int]]:
    """Cut a recording into pieces of at most so many seconds.

    Each cut is in the middle of the quietest 150 ms of what lies between half of the greatest length and the
    greatest length after the last cut.

    Args:
        wave: Samples `(N,)`.
        sample_rate: Their rate, in hertz.
        longest_seconds: Greatest length of a piece; at least 0.5.

    Returns:
        First sample and sample behind the last of each piece, one piece after the other.
    """
    longest = max(round(longest_seconds * sample_rate), round(0.5 * sample_rate))
    cuts = [0]
    if len(wave) > longest:
        frame = max(1, round(_FRAME_SECONDS * sample_rate))
        loudness = _loudness(wave, frame)
        while len(wave) - cuts[-1] > longest:
            first = (cuts[-1] + longest // 2) // frame + 1
            last = (cuts[-1] + longest) // frame
            quietest = first + int(loudness[first:last].argmin())
            cuts.append(min(quietest * frame + frame // 2, cuts[-1] + longest))
    return list(zip(cuts, [*cuts[1:], len(wave)], strict=True))


def _loudness(wave: Tensor, frame: int) -> Tensor:
    """Mean energy of the frames around each frame, `(N // frame,)`."""
    energies = wave[: len(wave) // frame * frame].double().view(-1, frame).square().mean(dim=1)
    spread = torch.nn.functional.avg_pool1d(
        energies.view(1, 1, -1), _QUIET_FRAMES, stride=1, padding=_QUIET_FRAMES // 2, count_include_pad=False
    )
    return spread.view(-1)
