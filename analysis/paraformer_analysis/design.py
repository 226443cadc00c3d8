"""The design of a sweep as its lock file tells it: the planned trials and what they are compared with."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from paraformer_analysis.errors import AnalysisError

Rate = Literal["wer", "cer"]
CONFIRM = "confirm"
"""Stage of the trials that confirm what a search has found."""
SEARCHES = ("bayes", "random")
"""Methods that look for the best of many."""


@dataclass(frozen=True)
class ReportOptions:
    """How the table is tested; the ``report:`` block of a sweep file."""

    alpha: float = 0.05
    """Rate of false alarms over the whole table; intervals cover with probability 1 - alpha."""
    correction: str = "holm"
    """Correction for the number of comparisons: holm or none."""
    bootstrap: int = 10_000
    """Replicates of the bootstrap."""
    equivalence_margin: float | None = None
    """Largest difference that counts as none, in points of the error rate; None: no row is equivalent."""
    block: str = "speaker"
    """What is resampled: speaker, where the test set has enough of them, or utterance."""
    seed: int = 0
    """Seed of the bootstrap: the same seed gives the same intervals."""
    power: float = 0.8
    """Probability of finding an effect that the minimal detectable effect is stated for."""
    slices: tuple[str, ...] | None = None
    """Groups of utterances that are compared too: length, or columns of the test manifest; None: all."""

    @property
    def confidence(self) -> str:
        """How sure the intervals are: ``95 %``."""
        return f"{100 * (1 - self.alpha):g} %"


@dataclass(frozen=True)
class Variant:
    """One row of the table: a configuration, whatever its seed."""

    id: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Dotted keys and values that differ from the sweep's base."""
    group: str | None = None


@dataclass(frozen=True)
class Cell:
    """One planned trial: a variant with a seed."""

    trial_key: str
    variant: str
    seed: int
    stage: str = ""
    """``confirm`` for what a search has found, trained again from fresh seeds; empty otherwise."""


@dataclass(frozen=True)
class Confirmation:
    """What a search trains again from fresh seeds."""

    seeds: tuple[int, ...]
    top: int = 1
    metric: str = "dev/wer"
    """What it is chosen by."""
    chosen: tuple[str, ...] = ()
    """Variants that were chosen; none before the search has ended."""


@dataclass(frozen=True)
class Design:
    """A sweep as planned."""

    name: str
    variants: tuple[Variant, ...]
    cells: tuple[Cell, ...]
    baseline: str | None = "baseline"
    """Variant that all others are compared with; None when the sweep declares none."""
    hypothesis: str = ""
    method: str = "ablation"
    metric: str = "test/wer"
    goal: str = "minimize"
    seeds: tuple[int, ...] = ()
    factors: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    fraction: Mapping[str, Any] | None = None
    """Of a fractional design: resolution, generators, and the factors by their letters."""
    confirm: Confirmation | None = None
    allow_biased: bool = False
    """Whether seeds that early termination has spared may be compared with each other."""
    options: ReportOptions = field(default_factory=ReportOptions)
    data_fingerprint: str = ""
    code_version: str = ""
    command: str = ""

    @property
    def rate(self) -> Rate:
        """The error rate that is tested: characters if the sweep's metric counts characters, else words."""
        return "cer" if "cer" in self.metric.lower() else "wer"

    @property
    def searches(self) -> bool:
        """Whether it looks for the best of many."""
        return self.method in SEARCHES

    @property
    def objective(self) -> str:
        """What a search chooses by: of a test score its dev score."""
        return self.metric.replace("test/", "dev/", 1) if self.metric.startswith("test/") else self.metric

    def variant(self, variant_id: str) -> Variant:
        """Return the variant of this name."""
        return next(variant for variant in self.variants if variant.id == variant_id)


def parse_lock(text: str, origin: str = "sweep.lock.json") -> Design:
    """Read a design from the text of a lock file.

    Args:
        text: The JSON text.
        origin: Where it comes from, for messages.

    Raises:
        AnalysisError: not JSON, or without the entries that a table needs.
    """
    try:
        lock = json.loads(text)
        return _design(lock)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AnalysisError(
            f"{origin} is not a sweep lock file that this version reads ({type(error).__name__}: {error}); "
            "run the sweep again with the same file to have it written anew"
        ) from error


def _design(lock: Mapping[str, Any]) -> Design:
    variants = tuple(Variant(v["id"], v.get("changes") or {}, v.get("group")) for v in lock["variants"])
    declared = lock.get("baseline")
    return Design(
        name=lock["name"],
        variants=variants,
        cells=tuple(
            Cell(t["trial_key"], t["variant"], int(t["seed"]), t.get("stage") or "") for t in lock["trials"]
        ),
        baseline=declared if any(variant.id == declared for variant in variants) else None,
        hypothesis=(lock.get("hypothesis") or "").strip(),
        method=lock.get("method") or "ablation",
        metric=(lock.get("metric") or {}).get("name") or "test/wer",
        goal=(lock.get("metric") or {}).get("goal") or "minimize",
        seeds=tuple(int(seed) for seed in lock.get("seeds") or ()),
        factors={key: tuple(values) for key, values in (lock.get("factors") or {}).items()},
        fraction=lock.get("aliases"),
        confirm=_confirmation(lock.get("confirm")),
        allow_biased=bool((lock.get("early_terminate") or {}).get("allow_biased")),
        options=_options(lock.get("report") or {}),
        data_fingerprint=lock.get("data_fingerprint") or "",
        code_version=lock.get("code_version") or "",
        command=lock.get("command") or "",
    )


def _confirmation(block: Mapping[str, Any] | None) -> Confirmation | None:
    if block is None:
        return None
    return Confirmation(tuple(block["seeds"]), block["top"], block["metric"], tuple(block["chosen"]))


def _options(block: Mapping[str, Any]) -> ReportOptions:
    known = {entry.name for entry in fields(ReportOptions)}
    given = {key: value for key, value in block.items() if key in known and value is not None}
    if "slices" in given:
        given["slices"] = tuple(given["slices"])
    return ReportOptions(**given)
