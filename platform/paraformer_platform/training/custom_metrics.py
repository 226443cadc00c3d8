"""Metrics of a user's own: functions that score what was understood against what was said.

::

    def exact_match(reference: str, hypothesis: str) -> float:              # a mean over utterances
        return float(hypothesis == reference)

    def digit_errors(reference: str, hypothesis: str) -> tuple[float, float]:  # all errors over all digits
        return errors, digits

An experiment names them in ``decoding.metrics``. Each becomes dev/exact_match after every epoch,
test/exact_match at the end, and two columns of results/test.csv, so that utterances can be resampled for its
interval.
"""

import math
import numbers
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from paraformer.errors import ConfigError
from paraformer.import_path import import_part
from paraformer_platform.config.schema import OUR_METRICS

AMOUNT, WEIGHT = "metric:", "weight:"
"""Columns of results/test.csv: what an utterance scored, and what it counts."""


@dataclass(frozen=True)
class Score:
    """What one utterance adds to a metric."""

    amount: float
    weight: float = 1.0
    """What the amounts of all utterances are divided by, together: 1 makes their mean."""


@dataclass(frozen=True)
class CustomMetric:
    """A function of the user's, by the name that its metric has."""

    path: str
    function: Callable[[str, str], Any]

    @property
    def name(self) -> str:
        """The function's name: exact_match."""
        return self.path.rpartition(":")[2]

    def score(self, reference: str, hypothesis: str) -> Score:
        """Score one utterance.

        Raises:
            ConfigError: if the function raises, or gives neither a number nor two of them, the second not
                negative; it names function, reference and hypothesis.
        """
        try:
            found = self.function(reference, hypothesis)
        except Exception as error:
            told = f"raised {type(error).__name__}: {error}"
            raise ConfigError(self._fault(reference, hypothesis, told)) from error
        values = found if isinstance(found, tuple) else (found, 1.0)
        if len(values) != 2 or not all(map(_is_finite, values)) or values[1] < 0:
            told = f"gave {found!r}, but must give a number, or an amount and a weight of 0 or more"
            raise ConfigError(self._fault(reference, hypothesis, told))
        return Score(float(values[0]), float(values[1]))

    def _fault(self, reference: str, hypothesis: str, told: str) -> str:
        return (
            f"metric {self.path!r} {told}. It was called as {self.name}({reference!r}, {hypothesis!r}), "
            "the reference first"
        )


def find_metrics(paths: Iterable[str]) -> list[CustomMetric]:
    """The functions of ``decoding.metrics``, each tried once, so that a fault shows before training.

    Raises:
        ConfigError: if one cannot be imported, called with two texts, or gives no number.
    """
    found = [CustomMetric(path, import_part(path, "decoding.metrics")) for path in paths]
    for metric in found:
        for hypothesis in ("one two", "one", ""):
            metric.score("one two", hypothesis)
    return found


def metric_value(scores: Sequence[Score]) -> float:
    """A metric of a corpus: all amounts over all weights; 0 where nothing weighs anything."""
    weight = sum(score.weight for score in scores)
    return sum(score.amount for score in scores) / weight if weight > 0 else 0.0


def metric_values(
    metrics: Iterable[CustomMetric], pairs: Sequence[tuple[str, str]], name: str
) -> dict[str, float]:
    """Every metric over references and hypotheses, by the names test/exact_match and so on."""
    return {
        f"{name}/{metric.name}": metric_value([metric.score(*pair) for pair in pairs]) for metric in metrics
    }


def metric_columns(metrics: Iterable[CustomMetric], reference: str, hypothesis: str) -> dict[str, float]:
    """One utterance's cells of results/test.csv."""
    cells: dict[str, float] = {}
    for metric in metrics:
        score = metric.score(reference, hypothesis)
        cells |= {f"{AMOUNT}{metric.name}": score.amount, f"{WEIGHT}{metric.name}": score.weight}
    return cells


def own_names(metrics: Iterable[str]) -> list[str]:
    """Those of some metrics of a test set that are the user's own: test/exact_match and so on."""
    names = [name for name in metrics if name.startswith("test/")]
    return [name for name in names if name.removeprefix("test/") not in OUR_METRICS]


def _is_finite(value: object) -> bool:
    return isinstance(value, numbers.Real) and math.isfinite(value)
