"""The utterances with most errors, aligned word by word with what was recognised."""

from dataclasses import dataclass

import pandas as pd

from paraformer_analysis.records import Records
from paraformer_analysis.scoring import Piece, align, normalise

MOST_UTTERANCES = 8
MOST_VARIANTS = 12


@dataclass(frozen=True)
class Example:
    """One utterance as one trial recognised it."""

    id: str
    speaker: str
    errors: int
    words: int
    reference: str
    pieces: tuple[Piece, ...]


def worst_utterances(records: Records) -> dict[str, list[Example]]:
    """Pick the worst utterances of each variant's first finished seed, most errors first.

    Returns:
        Examples by variant, the baseline first, for the first dozen variants.
    """
    order = sorted(records.design.variants, key=lambda variant: variant.id != records.design.baseline)
    usable = records.runs[records.runs["usable"]]
    chosen = {}
    for variant in order[:MOST_VARIANTS]:
        trials = usable[usable["variant"] == variant.id].sort_values("seed")
        if len(trials):
            chosen[variant.id] = _examples(records.utterances, trials["trial_key"].iloc[0])
    return chosen


def _examples(utterances: pd.DataFrame, trial_key: str) -> list[Example]:
    table = utterances[utterances["trial_key"] == trial_key].copy()
    table["errors"] = table[["word_substitutions", "word_deletions", "word_insertions"]].sum(axis=1)
    worst = table[table["errors"] > 0].sort_values(["errors", "id"], ascending=[False, True])
    return [
        Example(
            id=row["id"],
            speaker=row["speaker"],
            errors=int(row["errors"]),
            words=int(row["words"]),
            reference=normalise(row["reference"]),
            pieces=tuple(align(row["reference"], row["hypothesis"])),
        )
        for _, row in worst.head(MOST_UTTERANCES).iterrows()
    ]
