"""The table of test results, one row per utterance."""

import csv
from pathlib import Path

from paraformer.manifest import Utterance
from paraformer_platform.training.evaluation import Decoded
from paraformer_platform.training.results import result_rows, write_rows


def decoded(reference: str, hypothesis: str) -> Decoded:
    return Decoded(
        id="",
        reference=reference,
        hypothesis=hypothesis,
        ctc_hypothesis=None,
        oracle_hypothesis=None,
        reference_tokens=len(reference),
        hypothesis_tokens=len(hypothesis),
        decode_seconds=0.1,
    )


def test_groups_of_the_manifest_are_columns_of_the_results(tmp_path: Path) -> None:
    utterances = [
        Utterance("a", Path("a.flac"), "one two", "f3", groups=(("gender", "f"), ("age", "child"))),
        Utterance("b", Path("b.flac"), "three", "m1", groups=(("gender", "m"),)),
    ]
    rows = result_rows(utterances, [decoded("one two", "one"), decoded("three", "three")], [1.0, 2.0])
    write_rows(tmp_path / "test.csv", rows)
    with (tmp_path / "test.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["group_gender"], first["group_age"]) == ("f", "child")
    assert (second["group_gender"], second["group_age"]) == ("m", "")
    assert (first["words"], first["word_deletions"], second["word_deletions"]) == ("2", "1", "0")
    assert "groups" not in first
