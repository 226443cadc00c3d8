"""Errors of every trial on every utterance as arrays, and the blocks that are resampled together.

Shapes: T trials, U utterances, S blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paraformer_analysis.design import Rate
from paraformer_analysis.deviations import Deviation
from paraformer_analysis.errors import AnalysisError
from paraformer_analysis.records import Records

LEAST_SPEAKERS = 8
"""Speakers below which utterances are resampled instead: the spread of a handful tells little."""

Floats = NDArray[np.float64]
_UNITS = {"wer": ("words", "word"), "cer": ("characters", "char")}


@dataclass(frozen=True)
class Scores:
    """Errors of one kind, for the utterances that all trials have."""

    trial_keys: tuple[str, ...]
    errors: Floats
    """(T, U) errors."""
    lengths: Floats
    """(U,) reference length of each utterance."""
    blocks: NDArray[np.intp]
    """(U,) number of the block of each utterance."""
    block_kind: str
    """What a block is: speaker or utterance."""
    ids: tuple[str, ...]
    speakers: int
    """Distinct speakers named in the results."""
    empty_references: int

    def block_sums(self, values: Floats) -> Floats:
        """Sum over the utterances of each block: (..., U) to (..., S)."""
        order = np.argsort(self.blocks, kind="stable")
        starts = np.flatnonzero(np.diff(self.blocks[order], prepend=-1))
        summed: Floats = np.add.reduceat(values[..., order], starts, axis=-1)
        return summed

    def of(self, trial_keys: Sequence[str]) -> Floats:
        """Errors of these trials by block, (len(trial_keys), S)."""
        rows = [self.trial_keys.index(key) for key in trial_keys]
        return self.block_sums(self.errors[rows])


def part_of(scores: Scores, mask: NDArray[np.bool_]) -> Scores:
    """Return the scores of some utterances, (U,) mask; few speakers are not resampled whole, see above."""
    speakers = len(np.unique(scores.blocks[mask]))
    whole = scores.block_kind == "speaker" and speakers >= LEAST_SPEAKERS
    blocks = np.unique(scores.blocks[mask], return_inverse=True)[1] if whole else np.arange(int(mask.sum()))
    return replace(
        scores,
        errors=scores.errors[:, mask],
        lengths=scores.lengths[mask],
        blocks=blocks.astype(np.intp),
        block_kind="speaker" if whole else "utterance",
        ids=tuple(np.asarray(scores.ids, dtype=object)[mask]),
        empty_references=int((scores.lengths[mask] == 0).sum()),
    )


def gather_scores(records: Records, rate: Rate, block: str = "speaker") -> tuple[Scores, list[Deviation]]:
    """Arrange the utterances of all usable trials as arrays.

    Args:
        records: What was read from MLflow.
        rate: Which error rate.
        block: speaker, where there are enough of them, or utterance.

    Raises:
        AnalysisError: trials without a common utterance, references that differ, or without a single unit.
    """
    length, prefix = _UNITS[rate]
    table = records.utterances
    counts = table[[f"{prefix}_{kind}" for kind in ("substitutions", "deletions", "insertions")]].sum(axis=1)
    keys = tuple(records.runs.loc[records.runs["usable"], "trial_key"])
    errors = _arrange(table, counts, keys)
    lengths = _arrange(table, table[length], keys)
    common = errors.notna().all(axis=1)
    if not common.any():
        raise AnalysisError(
            "the trials have no test utterance in common, so they cannot be compared: they were scored on "
            "different test sets. Run them on the same data"
        )
    errors, lengths = errors[common], lengths[common]
    _require_same_references(lengths)
    sizes = lengths.iloc[:, 0].to_numpy(float)
    if sizes.sum() == 0:
        raise AnalysisError(
            f"all {len(sizes)} test references are empty: an error rate has nothing to divide by"
        )
    speakers = table.drop_duplicates("id").set_index("id")["speaker"].reindex(errors.index).fillna("")
    blocks, kind = _blocks(speakers, block)
    scores = Scores(
        keys,
        errors.to_numpy(float).T,
        sizes,
        blocks,
        kind,
        tuple(errors.index),
        speakers[speakers != ""].nunique(),
        int((sizes == 0).sum()),
    )
    return scores, _notes(scores, int((~common).sum()))


def _arrange(table: pd.DataFrame, values: pd.Series, keys: Sequence[str]) -> pd.DataFrame:
    """Turn one column into utterances × trials, sorted by utterance."""
    by_trial = dict(list(values.groupby(table["trial_key"], observed=True)))
    columns = {
        key: pd.Series(part.to_numpy(), index=table.loc[part.index, "id"]) for key, part in by_trial.items()
    }
    return pd.DataFrame({key: columns[key] for key in keys}).sort_index()


def _require_same_references(lengths: pd.DataFrame) -> None:
    """Refuse trials that were scored against other references of the same name."""
    different = lengths.ne(lengths.iloc[:, 0], axis=0).any(axis=1)
    if different.any():
        example = lengths.index[different][0]
        raise AnalysisError(
            f"{int(different.sum())} test utterances have references of different length in different "
            f"trials, for example {example}: the test set changed between trials. Run them on the same data"
        )


def _blocks(speakers: pd.Series, wanted: str) -> tuple[NDArray[np.intp], str]:
    by_speaker = wanted == "speaker" and speakers[speakers != ""].nunique() >= LEAST_SPEAKERS
    if not by_speaker:
        return np.arange(len(speakers), dtype=np.intp), "utterance"
    # An utterance without a speaker's name is a block of its own.
    labels = np.where(
        speakers.to_numpy() == "", "\0" + speakers.index.to_numpy().astype(str), speakers.to_numpy()
    )
    return np.unique(labels.astype(str), return_inverse=True)[1].astype(np.intp), "speaker"


def _notes(scores: Scores, dropped: int) -> list[Deviation]:
    notes = []
    if dropped:
        notes.append(
            Deviation("the test set", f"{dropped} utterances are not in every trial and are left out")
        )
    if scores.empty_references:
        notes.append(
            Deviation(
                "the test set",
                f"{scores.empty_references} empty references: their insertions count, their length is zero",
            )
        )
    if scores.block_kind == "utterance" and 0 < scores.speakers < LEAST_SPEAKERS:
        people = "one speaker" if scores.speakers == 1 else f"{scores.speakers} speakers"
        notes.append(
            Deviation(
                "the test set",
                f"holds {people}, too few to resample: intervals tell about what they say only",
            )
        )
    return notes
