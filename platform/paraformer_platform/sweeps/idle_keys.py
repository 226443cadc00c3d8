"""Keys of a sweep file that would do nothing: whoever wrote one expects something of it, so it is a fault."""

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from paraformer.errors import Fault
from paraformer_platform.sweeps.settings import DesignConfig, SearchConfig

if TYPE_CHECKING:
    from paraformer_platform.sweeps.spec import SweepSpec

USED_BY = {
    "search": ("random", "bayes"),
    "run_cap": ("random", "bayes"),
    "design": ("fractional",),
    "metric.target": ("bayes",),
}
"""Methods that look at a key, of the keys that not all do."""


def idle_keys(spec: "SweepSpec") -> Iterator[Fault]:
    """Return a fault for every key that is set and that this sweep does not use."""
    given = {
        "search": None if spec.search == SearchConfig() else spec.search,
        "run_cap": spec.run_cap,
        "design": None if spec.design == DesignConfig() else spec.design,
        "metric.target": spec.metric.target,
    }
    for path, value in given.items():
        if value is not None and spec.method not in USED_BY[path]:
            message = f"method {spec.method} does not use {path}; {_and(USED_BY[path])} does"
            yield Fault(path, value, message)
    if spec.method == "random" and replace(spec.search, seed=0) != SearchConfig():
        names = [item.name for item in fields(SearchConfig) if item.name != "seed"]
        changed = [name for name in names if getattr(spec.search, name) != getattr(SearchConfig(), name)]
        for name in changed:
            message = f"method random uses only the seed of search; {name} belongs to bayes"
            yield Fault(f"search.{name}", getattr(spec.search, name), message)
    for index, metric in enumerate(spec.secondary_metrics):
        if metric.target is not None:
            message = "a secondary metric is shown and never used to choose, so it has no target"
            yield Fault(f"secondary_metrics.{index}.target", metric.target, message)


def _and(methods: tuple[str, ...]) -> str:
    return " or ".join(methods)
