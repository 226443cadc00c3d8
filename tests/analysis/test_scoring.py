import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraformer_analysis.scoring import align, count_errors

SENTENCE = st.lists(st.sampled_from(["one", "two", "three", "to", "too"]), max_size=7).map(" ".join)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("one two three", "one two three", (0, 0, 0, 3)),
        ("one two three", "one too three", (1, 0, 0, 3)),
        ("one two three", "one three", (0, 1, 0, 3)),
        ("one two", "one and two", (0, 0, 1, 2)),
        ("one two", "", (0, 2, 0, 2)),
        ("", "one two", (0, 0, 2, 0)),
        ("", "", (0, 0, 0, 0)),
        ("  one   two ", "one two", (0, 0, 0, 2)),
        ("null", "nan", (1, 0, 0, 1)),
    ],
)
def test_words_counted_by_hand(reference, hypothesis, expected):
    found = count_errors(reference, hypothesis)
    assert (found.substitutions, found.deletions, found.insertions, found.length) == expected


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("two", "too", (1, 0, 0, 3)),
        ("a b", "ab", (0, 1, 0, 3)),
        ("你好吗", "你好", (0, 1, 0, 3)),
        ("", "ab", (0, 0, 2, 0)),
    ],
)
def test_characters_counted_by_hand(reference, hypothesis, expected):
    found = count_errors(reference, hypothesis, "char")
    assert (found.substitutions, found.deletions, found.insertions, found.length) == expected


@given(SENTENCE.filter(bool), SENTENCE)
def test_rates_equal_jiwer(reference, hypothesis):
    words, characters = count_errors(reference, hypothesis), count_errors(reference, hypothesis, "char")
    assert words.errors / words.length == pytest.approx(jiwer.wer(reference, hypothesis))
    assert characters.errors / characters.length == pytest.approx(jiwer.cer(reference, hypothesis))


@given(SENTENCE, SENTENCE)
def test_an_alignment_holds_both_texts(reference, hypothesis):
    pieces = align(reference, hypothesis)
    assert " ".join(word for piece in pieces for word in piece.reference) == reference
    assert " ".join(word for piece in pieces for word in piece.hypothesis) == hypothesis
