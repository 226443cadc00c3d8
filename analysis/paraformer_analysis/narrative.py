"""The sentences around the table: its extent, its method, and how to make it again."""

import importlib.metadata
from collections.abc import Iterable, Mapping
from typing import Any

from paraformer_analysis.records import Records
from paraformer_analysis.scores import LEAST_SPEAKERS
from paraformer_analysis.scoring import NORMALISATION
from paraformer_analysis.table import AblationTable

_KINDS = {
    "ablation": "Ablation: the baseline and one change at a time",
    "grid": "Full factorial sweep",
    "fractional": "Fractional factorial sweep",
    "bayes": "Bayesian search",
    "random": "Random search",
    "list": "Sweep of listed variants",
    "compare": "Comparison of two trials",
}
SEARCHES = ("bayes", "random")
HARDWARE = ("cpu", "gpu", "platform")


def kind(records: Records) -> str:
    """Name the kind of sweep."""
    return _KINDS.get(records.design.method, records.design.method)


def extent(records: Records, table: AblationTable) -> str:
    """Say how much there is: variants, seeds, finished trials, test material."""
    runs, scores, seeds = records.runs, table.scores, len(records.design.seeds)
    parts = [
        _count(len(records.design.variants), "variant"),
        _count(seeds, "seed"),
        f"{int(runs['usable'].sum())} of {_count(len(runs), 'trial')} finished",
        _count(len(scores.ids), "test utterance"),
        f"{_count(int(scores.lengths.sum()), table.unit)} to recognise",
    ]
    if scores.speakers:
        parts.append(_count(scores.speakers, "speaker"))
    return " · ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}".replace(",", "\u2009")


def method(records: Records, table: AblationTable) -> list[str]:
    """Explain how the numbers came about and what they do not tell."""
    paragraphs = [_scoring(records, table), _intervals(table)]
    if table.baseline is not None:
        paragraphs.append(_testing(table))
    if records.design.method in SEARCHES:
        paragraphs.append(
            "The variants were proposed by a search that looked at their own results, so the best of them is "
            "lower here than it would be on a second try. Train it again from fresh seeds before quoting it."
        )
    return paragraphs


def _scoring(records: Records, table: AblationTable) -> str:
    return (
        "The checkpoint of each trial was chosen on the dev set; everything here is measured on the test "
        f"set, which chose nothing. Rates are corpus rates: all {table.unit} errors over all {table.unit}s "
        f"of the references, averaged over seeds. Texts are compared so: {NORMALISATION}."
    )


def _intervals(table: AblationTable) -> str:
    scores, options = table.scores, table.options
    blocks = (
        f"the {scores.speakers} speakers"
        if scores.block_kind == "speaker"
        else f"{len(scores.ids)} utterances"
    )
    seeds = (
        f"Seeds and {blocks} are resampled {options.bootstrap:,} times".replace(",", "\u2009")
        if table.seed_spread_known
        else f"{blocks[0].upper()}{blocks[1:]} are resampled {options.bootstrap:,} times, and with them "
        "the seeds of rows that have three or more"
    )
    few = (
        f" Utterances and not speakers, since fewer than {LEAST_SPEAKERS} speakers are named."
        if scores.block_kind == "utterance"
        else ""
    )
    return (
        f"{seeds}, in pairs with the baseline, to give {table.confidence} intervals; the spread over few "
        f"seeds is corrected for with Student's t.{few} Seed of the bootstrap: {options.seed}."
    )


def _testing(table: AblationTable) -> str:
    options = table.options
    margin = options.equivalence_margin
    correction = (
        "corrected for the number of rows (Holm)" if options.correction == "holm" else "not corrected"
    )
    equivalence = (
        f"Equivalent: a difference beyond ±{margin:g} points is ruled out at the same level."
        if margin is not None
        else "No equivalence margin is declared, so no row can be called equivalent."
    )
    return (
        f"Better and worse: p below {options.alpha:g}, {correction}. {equivalence} "
        "Inconclusive means that this sweep cannot tell, not that there is no difference."
    )


def reproduction(records: Records) -> list[tuple[str, str]]:
    """List what is needed to make the numbers again."""
    design, usable = records.design, records.runs[records.runs["usable"]]
    entries = [
        ("command", design.command),
        ("commit", _all_of(usable["commit"])),
        ("data fingerprint", _all_of(usable["data"]) or design.data_fingerprint),
        ("code version", _all_of(usable["code"]) or design.code_version),
        ("seeds", ", ".join(str(seed) for seed in design.seeds)),
        *[(label, _described(records.environments, label)) for label in HARDWARE],
        ("trained with", _versions(records.environments)),
        ("analysed with", _analysis_versions()),
    ]
    return [(name, value) for name, value in entries if value]


def _all_of(values: Iterable[str]) -> str:
    return ", ".join(sorted(set(values) - {""}))


def _described(environments: Iterable[Mapping[str, Any]], key: str) -> str:
    """Name every distinct piece of hardware; a list of GPUs counts as one."""
    found = [environment.get(key) for environment in environments]
    texts = [
        " + ".join(map(str, value)) if isinstance(value, list) else str(value) for value in found if value
    ]
    return _all_of(texts)


def _versions(environments: Iterable[Mapping[str, Any]]) -> str:
    seen = {
        f"{package} {environment[package]}"
        for environment in environments
        for package in ("python", "torch", "torchaudio", "numpy", "ray")
        if environment.get(package)
    }
    return ", ".join(sorted(seen))


def _analysis_versions() -> str:
    packages = ("mlflow", "numpy", "pandas", "scipy", "jiwer", "matplotlib")
    return ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)
