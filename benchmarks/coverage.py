"""How often intervals hold the truth, corrected tests raise false alarms, and the stated power is had.

    python benchmarks/coverage.py [SWEEPS]

Sweeps are simulated word by word from a model whose truth is known: words fail independently at a rate made
of a common level, the seed's luck, how hard the speaker is for both systems, and how the change suits the
speaker. Beside the method of the report stand those that were considered and not taken:

- *naive*: the percentiles of a plain bootstrap of seeds and speakers;
- *widened*: the same, symmetric and widened by sqrt(n / (n - 1)), without Student's tails;
- *Satterthwaite*: one Student draw for both levels together, with Welch and Satterthwaite's freedom;
- *Behrens-Fisher*: an own draw for each level, with one degree of freedom less than it has members;
- *uncounted luck*: as the report, but the luck of a network on a speaker counted at both levels.

Coverage is measured at 95 % and at the level of the strictest of six tests, 1 - 0.05 / 6.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from interleaved import write_results
from numpy.typing import NDArray

from paraformer_analysis.bootstrap import BlockBootstrap, Estimate
from paraformer_analysis.comparisons import holm, minimal_detectable, two_sided_p

Floats = NDArray[np.float64]
SWEEPS = 2000
AT_A_TIME = 50
REPLICATES = 1000
METHODS = ("report", "naive", "widened", "Satterthwaite", "Behrens-Fisher", "uncounted luck")
TESTED = "report, as tested"
"""Its p values, which ask a second question; the other names stand for deviations alone."""
LEVELS = (0.95, 1 - 0.05 / 6)
"""Of the intervals that are shown, and of the strictest test in a table of six rows."""
LEVEL = 0.2
HARDNESS = 0.03
TABLES = 2000
ROWS = 6


@dataclass(frozen=True)
class Case:
    """A kind of sweep whose coverage is measured."""

    seeds: int
    speakers: int
    seed_spread: float
    speaker_spread: float
    effect: float

    @property
    def name(self) -> str:
        """Say what varies."""
        spreads = f"seeds differ by {self.seed_spread:g}, speakers by {self.speaker_spread:g}"
        return f"{self.seeds} seeds, {self.speakers} speakers, {spreads}, effect {self.effect:g}"


CASES = [
    Case(seeds, speakers, seed_spread, speaker_spread, effect)
    for seeds in (3, 5)
    for speakers in (8, 20)
    for seed_spread, speaker_spread in ((0.02, 0.0), (0.0, 0.05), (0.01, 0.02), (0.0, 0.0))
    for effect in (0.0, 0.05)
]


def main(sweeps: int) -> None:
    cases = {case.name: coverage(case, sweeps, number) for number, case in enumerate(CASES)}
    methods = list(next(iter(cases.values())))
    results = {
        "sweeps_per_case": sweeps,
        "replicates": REPLICATES,
        "standard_error": round(float(np.sqrt(0.95 * 0.05 / sweeps)), 4),
        "levels": LEVELS,
        "coverage": cases,
        "summary": {method: _summary([found[method] for found in cases.values()]) for method in methods},
        "family_wise_error": family_wise_error(),
        "power_at_the_detectable_effect": power(),
    }
    print(f"wrote {write_results('coverage', results)}")
    for name in ("summary", "family_wise_error", "power_at_the_detectable_effect"):
        print(name, results[name])


def _summary(found: list[list[float]]) -> dict[str, list[float]]:
    """Lowest, mean and highest coverage over all cases, at 95 % and at the strictest test's level."""
    at_each = np.asarray(found)
    return {
        "lowest": [round(float(value), 4) for value in at_each.min(axis=0)],
        "mean": [round(float(value), 4) for value in at_each.mean(axis=0)],
        "highest": [round(float(value), 4) for value in at_each.max(axis=0)],
    }


def coverage(case: Case, sweeps: int, number: int) -> dict[str, list[float]]:
    """Share of simulated sweeps whose interval holds the true effect, by method, at each level."""
    generator = np.random.default_rng(number)
    held: dict[str, list[list[bool]]] = {}
    for start in range(0, sweeps, AT_A_TIME):
        words = generator.integers(30, 120, case.speakers).astype(float)
        batch = [differences(generator, case, words) for _ in range(AT_A_TIME)]
        bootstrap = BlockBootstrap(words, REPLICATES, seed=start)
        estimates = bootstrap.estimate_all(batch, 0.05, list(range(AT_A_TIME)))
        for sums, estimate in zip(batch, estimates, strict=True):
            away = abs(estimate.value - case.effect)
            for method, deviations in methods_of(sums, words, bootstrap, estimate, generator):
                reaches = np.quantile(np.abs(deviations), LEVELS)
                held.setdefault(method, []).append([bool(away <= reach) for reach in reaches])
    return {
        method: [round(float(share), 4) for share in np.mean(found, axis=0)] for method, found in held.items()
    }


def differences(generator: np.random.Generator, case: Case, words: Floats) -> Floats:
    """Errors of a variant minus errors of a baseline, by seed and speaker."""
    hardness = HARDNESS * generator.standard_normal(case.speakers)
    suits = case.speaker_spread * generator.standard_normal(case.speakers)

    def errors(rate: Floats | float) -> Floats:
        luck = case.seed_spread * generator.standard_normal((case.seeds, 1))
        drawn: Floats = generator.binomial(words.astype(int), np.clip(rate + luck + hardness, 0.001, 0.999))
        return drawn

    return errors(LEVEL + case.effect + suits) - errors(LEVEL)


def methods_of(
    sums: Floats,
    words: Floats,
    bootstrap: BlockBootstrap,
    estimate: Estimate,
    generator: np.random.Generator,
) -> Iterator[tuple[str, Floats]]:
    """Deviations that each method takes for the distribution of the difference's error."""
    yield "report", estimate.deviations
    seeds, speakers = sums.shape
    per_seed = sums.sum(axis=1) / words.sum()
    counts = bootstrap.counts.astype(float)
    of_speakers = (counts @ sums.mean(axis=0)) / (counts @ words) - estimate.value
    of_seeds = per_seed[generator.integers(seeds, size=(len(counts), seeds))].mean(axis=1) - estimate.value
    yield "naive", of_speakers + of_seeds
    of_speakers = np.sqrt(speakers / (speakers - 1)) * of_speakers
    of_seeds = np.sqrt(seeds / (seeds - 1)) * of_seeds
    yield "widened", of_speakers + of_seeds
    kept = estimate.block_variance / of_speakers.var() if of_speakers.var() > 0 else 0.0
    parts = [(estimate.seed_variance, seeds - 1), (estimate.block_variance, speakers - 1)]
    below = sum(variance**2 / freedom for variance, freedom in parts)
    freedom = sum(variance for variance, _ in parts) ** 2 / below if below > 0 else 1e9
    both = np.sqrt(kept) * of_speakers + of_seeds
    yield "Satterthwaite", both * student(freedom, len(both), generator)
    own = of_seeds * student(seeds - 1, len(both), generator)
    yield "Behrens-Fisher", np.sqrt(kept) * of_speakers * student(speakers - 1, len(both), generator) + own
    yield "uncounted luck", of_speakers * student(speakers - 1, len(both), generator) + own


def student(freedom: float, replicates: int, generator: np.random.Generator) -> Floats:
    """Factors that turn normal deviations into those of Student's t."""
    factors: Floats = 1 / np.sqrt(generator.chisquare(freedom, replicates) / freedom)
    return factors


def family_wise_error() -> dict[str, Any]:
    """Share of tables of variants that do not differ from their baseline in which any alarm is raised."""
    generator = np.random.default_rng(1)
    words, alarms = np.full(20, 80.0), dict.fromkeys(("uncorrected", TESTED, *METHODS), 0)
    for table in range(TABLES):
        base = _trials(generator, words, 0.0)
        sums = [_trials(generator, words, 0.0) - base for _ in range(ROWS)]
        bootstrap = BlockBootstrap(words, REPLICATES, seed=table)
        found = bootstrap.estimate_all(sums, 0.05, list(range(ROWS)))
        alarms["uncorrected"] += min(two_sided_p(each) for each in found) < 0.05
        p_values: dict[str, list[float]] = {}
        for row, estimate in zip(sums, found, strict=True):
            for method, deviations in methods_of(row, words, bootstrap, estimate, generator):
                # Only the report's tests ask whether a difference holds for these very networks as well.
                alone = replace(estimate, deviations=deviations, material_variance=0.0)
                p_values.setdefault(method, []).append(two_sided_p(alone))
            p_values.setdefault(TESTED, []).append(two_sided_p(estimate))
        for method, of_rows in p_values.items():
            alarms[method] += min(holm(of_rows)) < 0.05
    shares = {name: round(count / TABLES, 4) for name, count in alarms.items()}
    return {"tables": TABLES, "rows": ROWS, "seeds": 3, **shares}


def power() -> dict[str, Any]:
    """Share of sweeps that find an effect of the size that the report calls detectable with 80 %."""
    generator = np.random.default_rng(2)
    words, tried = np.full(20, 80.0), 1000

    def estimate(effect: float) -> Any:
        sums = _trials(generator, words, effect) - _trials(generator, words, 0.0)
        return BlockBootstrap(words, REPLICATES, seed=int(generator.integers(2**31))).estimate(sums)

    size = float(np.median([minimal_detectable(estimate(0.0), 0.05, 0.8) for _ in range(tried)]))
    found = np.mean([two_sided_p(estimate(size)) < 0.05 for _ in range(tried)])
    return {
        "stated": 0.8,
        "sweeps": tried,
        "effect_points": round(100 * size, 2),
        "found": round(float(found), 3),
    }


def _trials(generator: np.random.Generator, words: Floats, effect: float) -> Floats:
    luck = 0.01 * generator.standard_normal((3, 1))
    drawn: Floats = generator.binomial(
        words.astype(int), np.clip(LEVEL + effect + luck, 0, 1), (3, len(words))
    )
    return drawn


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SWEEPS)
