"""How often intervals and tests of a factorial sweep's factors keep their promise, where the truth is known.

    python benchmarks/coverage_factorial.py [SWEEPS]

Simulated are 2 × 2 sweeps of three seeds, word by word: words fail independently at a rate made of a common
level, the luck of each trial, how hard the speaker is, and how a factor's change suits the speaker. Beside
the method of the report stands the one that is usual in software for such designs, whose only error is the
residual of the fit: it tells about other seeds on the same test material.
"""

import itertools
import sys
from dataclasses import dataclass

import numpy as np
from interleaved import write_results
from numpy.typing import NDArray

from paraformer_analysis.least_squares import LeastSquares, material_of

Floats = NDArray[np.float64]
SWEEPS = 10_000
ALPHAS = (0.05, 0.05 / 6)
"""Of the intervals that are shown, and of the strictest of six tests."""
LEVEL = 0.25
HARDNESS = 0.03
CELLS = list(itertools.product((-1.0, 1.0), (-1.0, 1.0), range(3)))
A, B, SEED = (np.array(column, dtype=float)[:, None] for column in zip(*CELLS, strict=True))
SEEDS = np.hstack([(SEED == 0) - 1.0 * (SEED == 2), (SEED == 1) - 1.0 * (SEED == 2)])
BLOCKED = {"mean": np.ones((len(CELLS), 1)), "seed": SEEDS}
TERMS = {**BLOCKED, "a": A, "b": B, "a × b": A * B}
TOGETHER = {**BLOCKED, "a and b": np.hstack([A, B]), "a × b": A * B}
"""Two coefficients tested at once, as those of a factor of three levels are."""


@dataclass(frozen=True)
class Case:
    """A kind of sweep."""

    speakers: int
    trial_spread: float
    speaker_spread: float

    @property
    def name(self) -> str:
        """Say what varies."""
        spreads = f"trials differ by {self.trial_spread:g}, speakers by {self.speaker_spread:g}"
        return f"{self.speakers} speakers, {spreads}"


CASES = [
    Case(speakers, *spreads)
    for speakers in (8, 20, 100)
    for spreads in ((0.02, 0.0), (0.0, 0.06), (0.01, 0.02), (0.0, 0.0))
]


def main(sweeps: int) -> None:
    results = {
        "sweeps_per_case": sweeps,
        "levels": [1 - alpha for alpha in ALPHAS],
        "standard_error": round(float(np.sqrt(0.05 * 0.95 / sweeps)), 4),
        "coverage_of_a_change": {case.name: coverage(case, sweeps) for case in CASES},
        "alarms_without_an_effect": {case.name: alarms(case, sweeps) for case in CASES},
    }
    print(f"wrote {write_results('coverage_factorial', results)}")
    for part in ("coverage_of_a_change", "alarms_without_an_effect"):
        print(part)
        for name, found in results[part].items():
            print(f"  {name}: {found}")


def coverage(case: Case, sweeps: int, effect: float = 0.05) -> dict[str, list[float]]:
    """Share of intervals that hold the true change, at each level, by method."""
    held: dict[str, list[list[bool]]] = {"report": [], "residual alone": []}
    for errors, words in simulated(case, sweeps, effect):
        response = 100 * errors.sum(axis=1) / words.sum()
        for method, material in (("report", material_of(errors, words)), ("residual alone", None)):
            fit = LeastSquares(response, TERMS, material)
            intervals = [fit.combine("a", np.array([2.0]), alpha) for alpha in ALPHAS]
            held[method].append([low <= 100 * effect <= high for _, low, high in intervals])
    return {method: _shares(found) for method, found in held.items()}


def alarms(case: Case, sweeps: int) -> dict[str, list[float]]:
    """Share of tests that raise a false alarm at each level, of one and of two coefficients."""
    raised: dict[str, list[list[bool]]] = {"one coefficient": [], "two coefficients": []}
    for errors, words in simulated(case, sweeps, 0.0):
        response, material = 100 * errors.sum(axis=1) / words.sum(), material_of(errors, words)
        for name, groups, term in (
            ("one coefficient", TERMS, "a"),
            ("two coefficients", TOGETHER, "a and b"),
        ):
            p = LeastSquares(response, groups, material).test(term)[2]
            raised[name].append([p < alpha for alpha in ALPHAS])
    return {name: _shares(found) for name, found in raised.items()}


def simulated(case: Case, sweeps: int, effect: float):
    """Yield errors by trial and speaker, and words by speaker."""
    generator = np.random.default_rng(0)
    for _ in range(sweeps):
        words = generator.integers(30, 120, case.speakers)
        hardness = HARDNESS * generator.standard_normal(case.speakers)
        suits = generator.standard_normal((2, case.speakers)) * case.speaker_spread + [[effect], [0.0]]
        luck = case.trial_spread * generator.standard_normal((len(CELLS), 1))
        rate = LEVEL + hardness + luck + A * suits[0] / 2 + B * suits[1] / 2
        yield generator.binomial(words, np.clip(rate, 0.001, 0.999)).astype(float), words.astype(float)


def _shares(found: list[list[bool]]) -> list[float]:
    return [round(float(share), 4) for share in np.mean(found, axis=0)]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SWEEPS)
