"""Word and character errors of one hypothesis, with jiwer's alignments.

Texts are compared as written, after white space at the ends is dropped and runs of it count as one space;
letter case and punctuation are not touched. A corpus rate is the sum of errors over the sum of reference
units, never a mean of rates, so an utterance with an empty reference adds its insertions and no length.
"""

from dataclasses import dataclass
from typing import Literal

import jiwer

Unit = Literal["word", "char"]
NORMALISATION = "white space trimmed and joined; letter case and punctuation as written"


@dataclass(frozen=True)
class Counts:
    """Errors of one hypothesis against its reference."""

    substitutions: int
    deletions: int
    insertions: int
    length: int
    """Units of the reference."""

    @property
    def errors(self) -> int:
        """All errors together."""
        return self.substitutions + self.deletions + self.insertions


@dataclass(frozen=True)
class Piece:
    """A stretch of an alignment in which everything is of one kind."""

    kind: Literal["equal", "substitute", "delete", "insert"]
    reference: tuple[str, ...]
    hypothesis: tuple[str, ...]


def normalise(text: str) -> str:
    """Trim white space and join runs of it."""
    return " ".join(text.split())


def count_errors(reference: str, hypothesis: str, unit: Unit = "word") -> Counts:
    """Count substitutions, deletions and insertions between two texts."""
    pieces = align(reference, hypothesis, unit)
    sizes = {
        kind: sum(max(len(piece.reference), len(piece.hypothesis)) for piece in pieces if piece.kind == kind)
        for kind in ("substitute", "delete", "insert")
    }
    return Counts(
        sizes["substitute"], sizes["delete"], sizes["insert"], sum(len(piece.reference) for piece in pieces)
    )


def align(reference: str, hypothesis: str, unit: Unit = "word") -> list[Piece]:
    """Align two texts by words or by characters (spaces count as characters)."""
    reference, hypothesis = normalise(reference), normalise(hypothesis)
    ref = tuple(reference.split()) if unit == "word" else tuple(reference)
    hyp = tuple(hypothesis.split()) if unit == "word" else tuple(hypothesis)
    if not ref or not hyp:  # jiwer refuses empty references
        return _one_sided(ref, hyp)
    process = jiwer.process_words if unit == "word" else jiwer.process_characters
    chunks = process(reference, hypothesis).alignments[0]
    return [
        Piece(
            chunk.type,
            ref[chunk.ref_start_idx : chunk.ref_end_idx],
            hyp[chunk.hyp_start_idx : chunk.hyp_end_idx],
        )
        for chunk in chunks
    ]


def _one_sided(ref: tuple[str, ...], hyp: tuple[str, ...]) -> list[Piece]:
    if ref:
        return [Piece("delete", ref, ())]
    return [Piece("insert", (), hyp)] if hyp else []
