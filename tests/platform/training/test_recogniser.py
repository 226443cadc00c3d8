from dataclasses import replace
from pathlib import Path

import pytest
import torch

from paraformer.errors import DataError
from paraformer.pieces import cut
from paraformer_platform.cli.subtitles import subtitles
from paraformer_platform.training.recogniser import Recogniser, TokenSpan, Transcript, joined


@pytest.fixture
def recogniser(untrained: Path) -> Recogniser:
    return Recogniser.load(untrained)


def test_a_recording_is_understood_the_same_in_any_company(recogniser: Recogniser) -> None:
    generator = torch.Generator().manual_seed(0)
    waves = [torch.randn(size, generator=generator) for size in (8000, 24_000, 15_000)]
    together = recogniser.transcribe(waves)
    alone = [recogniser.transcribe([wave])[0] for wave in waves]
    assert [one.text for one in together] == [one.text for one in alone]
    assert any(one.tokens for one in together)
    for wave, transcript in zip(waves, together, strict=True):
        for span in transcript.tokens:
            assert span.start is not None
            assert span.end is not None
            assert 0 <= span.start <= span.end <= len(wave) / recogniser.sample_rate + 0.1


def test_a_long_recording_is_understood_in_pieces(recogniser: Recogniser) -> None:
    """Each piece as if it were alone; its times are those of the whole."""
    generator = torch.Generator().manual_seed(1)
    loud = [torch.randn(size, generator=generator) for size in (30_000, 34_000, 20_000)]
    pause = torch.full((3200,), 1e-3)
    whole = torch.cat([loud[0], pause, loud[1], pause, loud[2]])
    limited = replace(recogniser, longest_seconds=2.6)
    pieces = limited.transcribe_in_pieces([whole])[0]
    assert len(pieces) == 3
    start, end = cut(whole, 16_000, 2.6)[1]
    assert start == pytest.approx(31_600, abs=1600)
    middle = limited.transcribe([whole[start:end]])[0]
    assert pieces[1].text == middle.text
    for span, alone in zip(pieces[1].tokens, middle.tokens, strict=True):
        assert span.start is not None
        assert alone.start is not None
        assert span.start == pytest.approx(alone.start + start / 16_000, abs=1e-4)
    together = limited.transcribe([whole, loud[0]])
    assert together[0].text == " ".join(piece.text for piece in pieces if piece.text)
    assert together[1].text == limited.transcribe([loud[0]])[0].text


def test_pieces_are_joined_with_spaces_between_words_and_none_between_characters() -> None:
    said = [Transcript(text, []) for text in ("one", "", "two", "今天", "很好", "ok")]
    assert joined(said).text == "one two 今天很好 ok"
    assert joined([]).text == ""


@pytest.mark.parametrize("size", [0, 1, 399, 800, 16_000])
def test_nothing_is_understood_of_digital_silence(recogniser: Recogniser, size: int) -> None:
    noise = torch.randn(12_000, generator=torch.Generator().manual_seed(0))
    faint = torch.full((size,), 0.9 / 32768)
    silent, heard, barely = recogniser.transcribe([torch.zeros(size), noise, faint])
    assert (silent, barely) == (Transcript("", []), Transcript("", []))
    assert heard == recogniser.transcribe([noise])[0]
    assert recogniser.transcribe([]) == []


@pytest.mark.parametrize(
    "wave", [torch.zeros(2, 100), torch.zeros(100, dtype=torch.int16), torch.tensor([torch.nan])]
)
def test_what_is_no_recording_is_refused(recogniser: Recogniser, wave: torch.Tensor) -> None:
    with pytest.raises(DataError, match=r"must be finite floating-point samples \(N,\), but this is \("):
        recogniser.transcribe([wave])


def test_subtitles() -> None:
    spans = [TokenSpan("a", 1.0, 0.5, 1.0), TokenSpan("b", 1.0, 3599.2, 3661.0004)]
    transcripts = [Transcript("ab", spans), Transcript("", [])]
    assert subtitles(transcripts, "srt") == "1\n00:00:00,500 --> 01:01:01,000\nab\n"
    assert subtitles(transcripts, "vtt") == "WEBVTT\n\n1\n00:00:00.500 --> 01:01:01.000\nab\n"
