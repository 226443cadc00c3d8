from pathlib import Path

import pytest
import torch

from paraformer_platform.cli.subtitles import subtitles
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.training.checkpoint import Checkpoint, copied_weights, new_model, save_checkpoint
from paraformer_platform.training.corpus import read_corpus
from paraformer_platform.training.frontend import Frontend
from paraformer_platform.training.recogniser import Recogniser, TokenSpan, Transcript


@pytest.fixture
def recogniser(config: ExperimentConfig, tmp_path: Path) -> Recogniser:
    torch.manual_seed(3)
    frontend = Frontend.fitted(config.data, read_corpus(config.data).train)
    checkpoint = Checkpoint(config, frontend.to_state(), copied_weights(new_model(config)))
    save_checkpoint(tmp_path / "best.pt", checkpoint)
    return Recogniser.load(tmp_path / "best.pt")


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


def test_subtitles() -> None:
    spans = [TokenSpan("a", 1.0, 0.5, 1.0), TokenSpan("b", 1.0, 3599.2, 3661.0004)]
    transcripts = [Transcript("ab", spans), Transcript("", [])]
    assert subtitles(transcripts, "srt") == "1\n00:00:00,500 --> 01:01:01,000\nab\n"
    assert subtitles(transcripts, "vtt") == "WEBVTT\n\n1\n00:00:00.500 --> 01:01:01.000\nab\n"
