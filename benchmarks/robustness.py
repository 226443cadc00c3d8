"""What a trained model writes where nobody speaks, and how it bears speech that is not as it was trained on.

Two sets, the same for the same seed:

* no speech: digital silence, white, pink and brown noise, hum, clicks, tones and babble (eight utterances of
  the test set backwards at once) at four levels and of 50 ms to 8 s. The right answer is nothing. Counted are
  the empty answers and the words per minute of sound.
* speech: the test set as it is, and louder, quieter, clipped, at telephone bandwidth, faster, slower, with
  silence around it, in noise and in babble, joined to recordings of a minute. Counted are WER and CER.

Everything goes through `Recogniser`, as `paraformer transcribe` does.

Run:  python benchmarks/robustness.py --checkpoint runs/NAME/checkpoints/best.pt [--name fsdd]
"""

import argparse
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from interleaved import write_results
from torch import Tensor

from paraformer.audio import read_audio, resample
from paraformer.augment import add_noise, change_speed, decibels
from paraformer.manifest import Utterance, read_manifest
from paraformer.noise import coloured_noise, hum
from paraformer_platform.training.checkpoint import load_checkpoint
from paraformer_platform.training.recogniser import Recogniser
from paraformer_platform.training.scoring import count_characters, count_words, error_rate

SEED = 20_261_125
LEVELS_DB = (-70.0, -50.0, -30.0, -15.0)
"""Root mean square against full scale; recorded speech lies around -25."""
SECONDS = (0.05, 0.5, 2.0, 8.0)
REPEATS = 4
BABBLERS = 8
BATCH = 16
MINUTE = 60.0

Maker = Callable[[int, torch.Generator], Tensor]


@dataclass(frozen=True)
class Sound:
    """A recording in which nobody speaks."""

    kind: str
    level_db: float | None
    """None of digital silence."""
    wave: Tensor


def of_level(wave: Tensor, level_db: float) -> Tensor:
    return wave / wave.square().mean().sqrt().clamp(min=1e-9) * decibels(level_db)


def sounds(speech: Sequence[Tensor], rate: int) -> Iterator[Sound]:
    """The set without speech; babble is made of `speech`."""
    makers: dict[str, Maker] = {
        "white noise": lambda size, draw: coloured_noise(size, 0.0, draw),
        "pink noise": lambda size, draw: coloured_noise(size, 3.0, draw),
        "brown noise": lambda size, draw: coloured_noise(size, 6.0, draw),
        "hum": lambda size, draw: hum(size, rate, draw),
        "clicks": lambda size, draw: (torch.rand(size, generator=draw) < 5 / rate).float(),
        "tone": lambda size, draw: tone(size, rate, draw),
        "babble": lambda size, draw: babble(speech, size, draw),
    }
    draw = torch.Generator().manual_seed(SEED)
    for seconds in SECONDS:
        size = round(seconds * rate)
        yield from (Sound("digital silence", None, torch.zeros(size)) for _ in range(REPEATS))
        for kind, make in makers.items():
            for level_db in LEVELS_DB:
                for _ in range(REPEATS):
                    yield Sound(kind, level_db, of_level(make(size, draw), level_db).clamp(-1, 1))


def tone(size: int, rate: int, draw: torch.Generator) -> Tensor:
    """A steady tone between 200 and 2000 Hz."""
    hertz = 200 * 10 ** float(torch.rand((), generator=draw))
    return torch.sin(torch.arange(size) * (2 * torch.pi * hertz / rate))


def babble(speech: Sequence[Tensor], size: int, draw: torch.Generator) -> Tensor:
    """Some utterances at once, each backwards, looped and from anywhere in it: voices, and no words."""
    mixed = torch.zeros(size)
    for choice in torch.randint(len(speech), (BABBLERS,), generator=draw).tolist():
        wave = of_level(speech[choice].flip(0), 0.0)
        start = int(torch.randint(len(wave), (), generator=draw))
        mixed += wave[torch.arange(start, start + size) % len(wave)]
    return mixed


def perturbations(speech: Sequence[Tensor], rate: int) -> dict[str, Callable[[Tensor], Tensor]]:
    """Changes of an utterance, by name; what is random depends on its length alone."""

    def noisy(snr_db: float, make: Maker) -> Callable[[Tensor], Tensor]:
        def change(wave: Tensor) -> Tensor:
            noise = make(len(wave), torch.Generator().manual_seed(SEED + len(wave)))
            return add_noise(wave, of_level(noise, 0.0), snr_db)

        return change

    def white(size: int, draw: torch.Generator) -> Tensor:
        return coloured_noise(size, 0.0, draw)

    def pink(size: int, draw: torch.Generator) -> Tensor:
        return coloured_noise(size, 3.0, draw)

    def voices(size: int, draw: torch.Generator) -> Tensor:
        return babble(speech, size, draw)

    second = torch.zeros(rate)
    return {
        "as it is": lambda wave: wave,
        "20 dB quieter": lambda wave: wave * decibels(-20),
        "20 dB louder, clipped": lambda wave: (wave * decibels(20)).clamp(-1, 1),
        "telephone band (8 kHz)": lambda wave: resample(resample(wave, rate, 8000), 8000, rate),
        "speed 0.9": lambda wave: change_speed(wave, rate, 0.9),
        "speed 1.1": lambda wave: change_speed(wave, rate, 1.1),
        "1 s of digital silence around": lambda wave: torch.cat([second, wave, second]),
        "white noise, 20 dB": noisy(20, white),
        "white noise, 10 dB": noisy(10, white),
        "pink noise, 20 dB": noisy(20, pink),
        "pink noise, 10 dB": noisy(10, pink),
        "babble, 20 dB": noisy(20, voices),
        "babble, 10 dB": noisy(10, voices),
    }


def transcribe(recogniser: Recogniser, waves: Sequence[Tensor]) -> list[str]:
    """Texts in the order of `waves`; those of like length are decoded together."""
    order = sorted(range(len(waves)), key=lambda index: len(waves[index]))
    texts = [""] * len(waves)
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        for index, found in zip(chosen, recogniser.transcribe([waves[i] for i in chosen]), strict=True):
            texts[index] = found.text
    return texts


def measure_silence(recogniser: Recogniser, set_of_sounds: Sequence[Sound]) -> dict[str, object]:
    texts = transcribe(recogniser, [sound.wave for sound in set_of_sounds])
    rows = list(zip(set_of_sounds, texts, strict=True))
    kinds = list(dict.fromkeys(sound.kind for sound in set_of_sounds))

    def summary(chosen: list[tuple[Sound, str]]) -> dict[str, float]:
        minutes = sum(len(sound.wave) for sound, _ in chosen) / recogniser.sample_rate / 60
        return {
            "recordings": len(chosen),
            "share of empty answers": round(statistics.mean(not text for _, text in chosen), 4),
            "words per minute": round(sum(len(text.split()) for _, text in chosen) / minutes, 2),
        }

    return {
        "all": summary(rows),
        "by kind": {kind: summary([row for row in rows if row[0].kind == kind]) for kind in kinds},
        "by level, dB": {
            level: summary([row for row in rows if row[0].level_db == level]) for level in LEVELS_DB
        },
        "by seconds": {
            seconds: summary(
                [row for row in rows if len(row[0].wave) == round(seconds * recogniser.sample_rate)]
            )
            for seconds in SECONDS
        },
        "worst": [
            {"kind": sound.kind, "level, dB": sound.level_db, "text": text}
            for sound, text in sorted(rows, key=lambda row: -len(row[1]))[:5]
            if text
        ],
    }


def measure_speech(
    recogniser: Recogniser, utterances: Sequence[Utterance], speech: Sequence[Tensor]
) -> dict[str, object]:
    references = [utterance.text for utterance in utterances]
    rates: dict[str, object] = {}
    for name, change in perturbations(speech, recogniser.sample_rate).items():
        rates[name] = _rates(references, transcribe(recogniser, [change(wave) for wave in speech]))
    joined = list(_minutes(utterances, speech, recogniser.sample_rate))
    found = transcribe(recogniser, [wave for _, wave in joined])
    rates["joined to a minute"] = _rates([text for text, _ in joined], found)
    return rates


def _minutes(
    utterances: Sequence[Utterance], speech: Sequence[Tensor], rate: int
) -> Iterator[tuple[str, Tensor]]:
    texts: list[str] = []
    waves: list[Tensor] = []
    for utterance, wave in zip(utterances, speech, strict=True):
        texts.append(utterance.text)
        waves.append(wave)
        if sum(map(len, waves)) >= MINUTE * rate:
            yield " ".join(texts), torch.cat(waves)
            texts, waves = [], []


def _rates(references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, float]:
    pairs = list(zip(references, hypotheses, strict=True))
    return {
        "wer": round(error_rate(count_words(*pair) for pair in pairs), 4),
        "cer": round(error_rate(count_characters(*pair) for pair in pairs), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--checkpoint", required=True, type=Path)
    parser.add_argument("--manifest", type=Path, help="Speech to perturb; by default the model's test set.")
    parser.add_argument("--limit", type=int, default=200, help="Utterances of it.")
    parser.add_argument("--strategy", help="How to decode; by default as in the training.")
    parser.add_argument("--name", default="", help="Goes into the file's name: results/robustness_NAME.json.")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    data = load_checkpoint(arguments.checkpoint).config.data
    recogniser = Recogniser.load(arguments.checkpoint, arguments.strategy)
    manifest = arguments.manifest or Path(data.folder) / data.test
    utterances = read_manifest(manifest)[: arguments.limit]
    speech = [read_audio(utterance.path, recogniser.sample_rate) for utterance in utterances]
    set_of_sounds = list(sounds(speech, recogniser.sample_rate))
    results = {
        "corpus": manifest.parent.name,
        "utterances": len(utterances),
        "silence_share of the training": data.augment.silence_share,
        "no speech": measure_silence(recogniser, set_of_sounds),
        "speech": measure_speech(recogniser, utterances, speech),
    }
    write_results(f"robustness_{arguments.name}".rstrip("_"), results)


if __name__ == "__main__":
    main()
