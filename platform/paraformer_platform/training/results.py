"""The test set's results: one row per utterance for the statistics, and the totals."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paraformer.manifest import Utterance
from paraformer_platform.training.custom_metrics import CustomMetric, metric_columns
from paraformer_platform.training.evaluation import Decoded, scores
from paraformer_platform.training.scoring import EditCounts, count_characters, count_words
from paraformer_platform.whole_file import write_whole

GROUP_PREFIX = "group_"
"""Begins the columns that the manifest has beyond its own, such as group_gender."""


@dataclass(frozen=True)
class ResultRow:
    """One line of results/test.csv; its fields are the columns. Empty where something was not decoded.

    Each of the groups is a column of its own.
    """

    id: str
    speaker: str
    seconds: float
    reference: str
    hypothesis: str
    ctc_hypothesis: str
    oracle_length_hypothesis: str
    words: int
    word_substitutions: int
    word_deletions: int
    word_insertions: int
    characters: int
    char_substitutions: int
    char_deletions: int
    char_insertions: int
    ctc_word_errors: int | str
    ctc_char_errors: int | str
    oracle_word_errors: int | str
    oracle_char_errors: int | str
    reference_tokens: int
    hypothesis_tokens: int
    decode_seconds: float
    groups: Mapping[str, str] = field(default_factory=dict)
    """What the manifest says beyond its own columns, such as the speaker's gender."""
    further: Mapping[str, float] = field(default_factory=dict)
    """Metrics of the user's own, each in two columns, see `custom_metrics.metric_columns`."""

    def cells(self) -> dict[str, object]:
        """The line by its columns."""
        named = {f"{GROUP_PREFIX}{name}": value for name, value in self.groups.items()}
        ours = {key: value for key, value in vars(self).items() if key not in ("groups", "further")}
        return {**ours, **named, **self.further}


def result_rows(
    utterances: Iterable[Utterance],
    decoded: Iterable[Decoded],
    seconds: list[float],
    metrics: Sequence[CustomMetric] = (),
) -> list[ResultRow]:
    """Score each utterance.

    Args:
        utterances: The test set.
        decoded: What was understood of each.
        seconds: Duration of each.
        metrics: Further metrics, of the user's own.
    """
    return [_row(*parts, metrics) for parts in zip(utterances, decoded, seconds, strict=True)]


def write_rows(path: Path, rows: list[ResultRow]) -> None:
    """Write the rows as CSV, at once or not at all."""
    text = io.StringIO()
    lines = [row.cells() for row in rows]
    columns = list(dict.fromkeys(column for line in lines for column in line))
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    write_whole(path, text.getvalue())


def totals(
    rows: list[ResultRow], decoded: list[Decoded], metrics: Sequence[CustomMetric] = ()
) -> dict[str, float]:
    """Metrics of the test set, the user's own among them, by the names test/wer and so on."""
    counted = (
        "word_substitutions",
        "word_deletions",
        "word_insertions",
        "char_substitutions",
        "char_deletions",
        "char_insertions",
    )
    miscounted = [abs(row.reference_tokens - row.hypothesis_tokens) for row in decoded]
    return {
        **scores(decoded, "test", metrics),
        **{f"test/{name}": float(sum(getattr(row, name) for row in rows)) for name in counted},
        "test/length_mae": sum(miscounted) / len(miscounted),
    }


def _row(
    utterance: Utterance, decoded: Decoded, seconds: float, metrics: Sequence[CustomMetric]
) -> ResultRow:
    words = count_words(decoded.reference, decoded.hypothesis)
    characters = count_characters(decoded.reference, decoded.hypothesis)
    ctc = _errors(decoded.reference, decoded.ctc_hypothesis)
    oracle = _errors(decoded.reference, decoded.oracle_hypothesis)
    return ResultRow(
        id=utterance.id,
        speaker=utterance.speaker or "",
        seconds=round(seconds, 3),
        reference=decoded.reference,
        hypothesis=decoded.hypothesis,
        ctc_hypothesis=decoded.ctc_hypothesis or "",
        oracle_length_hypothesis=decoded.oracle_hypothesis or "",
        **_columns("words", "word", words),
        **_columns("characters", "char", characters),
        ctc_word_errors=ctc[0],
        ctc_char_errors=ctc[1],
        oracle_word_errors=oracle[0],
        oracle_char_errors=oracle[1],
        reference_tokens=decoded.reference_tokens,
        hypothesis_tokens=decoded.hypothesis_tokens,
        decode_seconds=round(decoded.decode_seconds, 6),
        groups=dict(utterance.groups),
        further=metric_columns(metrics, decoded.reference, decoded.hypothesis),
    )


def _columns(total: str, unit: str, counts: EditCounts) -> dict[str, int]:
    return {
        total: counts.reference,
        f"{unit}_substitutions": counts.substitutions,
        f"{unit}_deletions": counts.deletions,
        f"{unit}_insertions": counts.insertions,
    }


def _errors(reference: str, hypothesis: str | None) -> tuple[int | str, int | str]:
    if hypothesis is None:
        return "", ""
    return count_words(reference, hypothesis).errors, count_characters(reference, hypothesis).errors
