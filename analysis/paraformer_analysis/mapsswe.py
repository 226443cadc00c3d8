"""The matched-pairs sentence-segment word error test (MAPSSWE) for one pair of systems.

An utterance is cut where both systems have at least two words in a row right; what lies between two cuts is
a segment, and segments are taken to be independent. The test is a z test on the difference of the two
systems' errors per segment (Gillick and Cox, ICASSP 1989; Pallett, Fisher and Fiscus, ICASSP 1990; the
``sc_stats`` program of NIST's scoring toolkit). It knows nothing of seeds: it tells two trained models apart,
not two ways of training. ::

    reference   it was | the best | of | times it | was the worst | of times |    | it was
    system A    ITS    | the best | of | times it | IS  the worst | of times | OR | it was
    system B    it was | the best |    | times it | WON the TEST  | of times |    | it was
    A's errors    2                 0                 1                        1
    B's errors    0                 1                 2                        0
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from paraformer_analysis.scoring import align

BOUNDARY_WORDS = 2
"""Words in a row that both systems must have right between two segments."""


@dataclass(frozen=True)
class Mapsswe:
    """Outcome of the test."""

    segments: int
    mean: float
    """Mean difference of errors per segment, first system minus second."""
    deviation: float
    """Standard deviation of that difference over segments."""
    z: float
    p: float
    """Two-sided; the exact sign test's where all segments differ by the same amount and z has no meaning."""


def mapsswe(pairs: Iterable[tuple[str, str, str]]) -> Mapsswe:
    """Test two systems on triples of reference, first and second hypothesis."""
    segments = [segment for triple in pairs for segment in split_segments(*triple)]
    return judge_segments(np.asarray(segments, dtype=float).reshape(-1, 2))


def judge_segments(errors: NDArray[np.float64]) -> Mapsswe:
    """Test on errors per segment of both systems, (segments, 2)."""
    differences = errors[:, 0] - errors[:, 1]
    count = len(differences)
    if count == 0:
        return Mapsswe(0, 0.0, 0.0, math.nan, 1.0)
    mean = float(differences.mean())
    deviation = float(differences.std(ddof=1)) if count > 1 else 0.0
    if deviation == 0.0:
        return Mapsswe(count, mean, 0.0, math.nan, 1.0 if mean == 0 else 0.5 ** (count - 1))
    z = mean / (deviation / math.sqrt(count))
    return Mapsswe(count, mean, deviation, z, float(2 * stats.norm.sf(abs(z))))


def split_segments(reference: str, first: str, second: str) -> Iterator[tuple[int, int]]:
    """Yield the errors of both systems in each segment of one utterance."""
    open_segment: tuple[int, int] | None = None
    right_in_a_row = 0
    for a, b in zip(_slots(reference, first), _slots(reference, second), strict=True):
        is_word, errors = a[0], (a[1], b[1])
        if errors == (0, 0):
            right_in_a_row += is_word
            continue
        if open_segment is not None and right_in_a_row >= BOUNDARY_WORDS:
            yield open_segment
            open_segment = None
        before = open_segment or (0, 0)
        open_segment = (before[0] + errors[0], before[1] + errors[1])
        right_in_a_row = 0
    if open_segment is not None:
        yield open_segment


def _slots(reference: str, hypothesis: str) -> list[tuple[bool, int]]:
    """List gap, word, gap, word, ..., gap of the reference with the errors in each: (is a word, errors)."""
    errors = [0] * (2 * len(reference.split()) + 1)
    position = 0
    for piece in align(reference, hypothesis):
        if piece.kind == "insert":
            errors[2 * position] += len(piece.hypothesis)
            continue
        for _ in piece.reference:
            errors[2 * position + 1] = int(piece.kind != "equal")
            position += 1
    return [(index % 2 == 1, count) for index, count in enumerate(errors)]
