"""Hypotheses against references: substitutions, deletions and insertions of words and characters.

Rates are of a whole corpus, all errors over all reference units, not means over utterances: a word counts the
same in a short sentence and in a long one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import jiwer


@dataclass(frozen=True)
class EditCounts:
    """What turns a reference into a hypothesis with the fewest edits."""

    reference: int
    """Words or characters of the reference."""
    substitutions: int
    deletions: int
    insertions: int

    @property
    def errors(self) -> int:
        """All three together."""
        return self.substitutions + self.deletions + self.insertions


def count_words(reference: str, hypothesis: str) -> EditCounts:
    """Edits of words, which spaces separate."""
    if not reference.split():  # jiwer refuses empty references
        return EditCounts(0, 0, 0, len(hypothesis.split()))
    found = jiwer.process_words(reference, hypothesis)
    return EditCounts(len(reference.split()), found.substitutions, found.deletions, found.insertions)


def count_characters(reference: str, hypothesis: str) -> EditCounts:
    """Edits of characters, spaces included."""
    if not reference:
        return EditCounts(0, 0, 0, len(hypothesis))
    found = jiwer.process_characters(reference, hypothesis)
    return EditCounts(len(reference), found.substitutions, found.deletions, found.insertions)


def error_rate(counts: Iterable[EditCounts]) -> float:
    """Errors of a corpus over its reference units; 0.05 is 5 %."""
    listed = list(counts)
    return sum(count.errors for count in listed) / max(1, sum(count.reference for count in listed))
