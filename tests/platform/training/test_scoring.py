"""Expected counts are worked out by hand."""

import pytest

from paraformer_platform.training.scoring import EditCounts, count_characters, count_words, error_rate


@pytest.mark.parametrize(
    ("reference", "hypothesis", "counts"),
    [
        ("one two three", "one two three", EditCounts(3, 0, 0, 0)),
        ("one two three", "one too three", EditCounts(3, 1, 0, 0)),
        ("one two three", "two three", EditCounts(3, 0, 1, 0)),
        ("one", "one one one", EditCounts(1, 0, 0, 2)),
        ("one two", "", EditCounts(2, 0, 2, 0)),
        ("", "one two", EditCounts(0, 0, 0, 2)),
        ("", "", EditCounts(0, 0, 0, 0)),
    ],
)
def test_words(reference: str, hypothesis: str, counts: EditCounts) -> None:
    assert count_words(reference, hypothesis) == counts


def test_characters_count_spaces() -> None:
    assert count_characters("a b", "ab") == EditCounts(3, 0, 1, 0)
    assert count_characters("你好", "你号") == EditCounts(2, 1, 0, 0)
    assert count_characters("", "ab") == EditCounts(0, 0, 0, 2)


def test_rates_are_of_the_corpus() -> None:
    """1 error of 1 word and none of 9: 10 %, and not the mean over utterances of 50 %."""
    assert error_rate([EditCounts(1, 1, 0, 0), EditCounts(9, 0, 0, 0)]) == 0.1
    assert error_rate([EditCounts(1, 0, 0, 3)]) == 3.0
