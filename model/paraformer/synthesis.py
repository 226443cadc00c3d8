"""A corpus of synthetic speech from a recipe: the same bytes for the same recipe.

::

    recipe ─> grammar ─> text ──┐
       └────> random numbers ───┴─> eSpeak NG ─> 16 kHz, silence around, noise, level ─> FLAC + manifest

Each split draws from its own random numbers and has its own eSpeak NG process, so the length of one does not
change another. No voice is shared between splits, nor a variant: the same timbre in another accent is no
stranger.

A corpus is written to a hidden folder beside its place and moved there when it is whole.
"""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import soundfile
import torch

from paraformer import espeak
from paraformer.audio import resample
from paraformer.augment import decibels
from paraformer.errors import ConfigError, DataError
from paraformer.manifest import Utterance, write_manifest
from paraformer.recipe import Range, SplitRecipe, SynthesisRecipe

RECIPE_FILE = "recipe.json"
Progress = Callable[[int, int], None]
"""Is told how many utterances are made, and of how many."""


def synthesise(recipe: SynthesisRecipe, folder: str | Path, progress: Progress | None = None) -> Path:
    """Make a corpus: `<split>.tsv` for each split, `audio/<split>/*.flac`, and the recipe itself.

    A folder that holds this very corpus already is left as it is.

    Args:
        recipe: What to make.
        folder: Where; it must not exist, or be empty.
        progress: Called after each utterance.

    Returns:
        The folder.

    Raises:
        ConfigError: if the recipe is impossible; it lists every fault.
        DataError: if the folder holds something else, or eSpeak NG is not installed.
    """
    folder = Path(folder)
    faults = recipe.faults()
    if faults:
        raise ConfigError("\n".join(f"recipe {recipe.name}: {fault}" for fault in faults))
    record = _record(recipe)
    if _holds(folder, record):
        return folder
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        with _one_thread():
            _write_corpus(recipe, partial, progress or (lambda done, total: None))
        (partial / RECIPE_FILE).write_text(record, encoding="utf-8")
        _move(partial, folder, record)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


@contextmanager
def _one_thread() -> Iterator[None]:
    """Resample on one thread: two, on two busy cores, took six times as long over such short pieces."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _record(recipe: SynthesisRecipe) -> str:
    """What decides the corpus, as text: the recipe and the version of the voices."""
    made_of = {"recipe": asdict(recipe), "espeakng-loader": espeak.version()}
    return json.dumps(made_of, ensure_ascii=False, indent=1) + "\n"


def _holds(folder: Path, record: str) -> bool:
    """Whether a folder holds this corpus; false if there is nothing in it.

    Raises:
        DataError: if it holds something else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    kept = folder / RECIPE_FILE
    if kept.is_file() and kept.read_text(encoding="utf-8") == record:
        return True
    held = "a corpus of another recipe" if kept.is_file() else "something else"
    raise DataError(f"{folder} holds {held} already; name another folder, or remove that one first")


def _move(partial: Path, folder: Path, record: str) -> None:
    try:
        partial.replace(folder)
    except OSError:
        if not _holds(folder, record):  # another process made the same corpus meanwhile: fine
            raise


def _write_corpus(recipe: SynthesisRecipe, folder: Path, progress: Progress) -> None:
    total = sum(split.utterances for split in recipe.splits.values())
    done = 0
    for name, split in recipe.splits.items():
        utterances = []
        for utterance in _write_split(recipe, name, split, folder):
            utterances.append(utterance)
            done += 1
            progress(done, total)
        write_manifest(folder / f"{name}.tsv", utterances)


def _write_split(recipe: SynthesisRecipe, name: str, split: SplitRecipe, folder: Path) -> Iterator[Utterance]:
    (folder / "audio" / name).mkdir(parents=True)
    rng = np.random.default_rng((recipe.seed, _number_of(name)))
    with espeak.Speaker() as speaker:
        for index in range(split.utterances):
            text = recipe.grammar.sentence(rng)
            voice = split.voices[int(rng.integers(len(split.voices)))]
            speed, pitch = (round(_draw(limits, rng)) for limits in (recipe.speed, recipe.pitch))
            spoken = speaker.speak(text, voice, speed, pitch)
            samples = _finish(recipe, spoken, speaker.sample_rate, rng)
            path = folder / "audio" / name / f"{index:06d}.flac"
            encoded = io.BytesIO()  # Python says why a file cannot be written, libsndfile does not
            soundfile.write(encoded, samples, recipe.sample_rate, format="FLAC", subtype="PCM_16")
            path.write_bytes(encoded.getvalue())
            seconds = len(samples) / recipe.sample_rate
            yield Utterance(f"{name}-{index:06d}", path, text, voice, seconds)


def _finish(recipe: SynthesisRecipe, spoken: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """From the library's samples to the corpus's, int16 `(N,)`.

    All in double precision: its rounding errors are too small to change a 16-bit sample on another machine.
    """
    wave = resample(torch.from_numpy(spoken.astype(np.float64)), rate, recipe.sample_rate).numpy()
    speech_level = np.sqrt(np.mean(wave**2))
    before, after = (int(_draw(recipe.silence_seconds, rng) * recipe.sample_rate) for _ in range(2))
    wave = np.pad(wave, (before, after))
    noise = rng.standard_normal(len(wave))
    if recipe.noise_snr_db is not None:
        wave = wave + noise * speech_level / decibels(_draw(recipe.noise_snr_db, rng))
    peak = decibels(_draw(recipe.peak_db, rng))
    return np.round(wave * (peak * 32767 / max(np.abs(wave).max(), 1e-12))).astype(np.int16)


def _draw(limits: Range, rng: np.random.Generator) -> float:
    return float(rng.uniform(*limits))


def _number_of(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
