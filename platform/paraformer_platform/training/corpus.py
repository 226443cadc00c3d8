"""The three manifests of an experiment, made first where they are missing and a recipe says how."""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from paraformer.errors import DataError
from paraformer.manifest import Utterance, fingerprint
from paraformer.noise import noise_files
from paraformer_platform.config.recipe import load_recipe
from paraformer_platform.config.schema import DataConfig
from paraformer_platform.storage.uri import Remote, fetched_folder, is_uri, store_folder
from paraformer_platform.training.utterances import read_utterances

Progress = Callable[[int, int], None]
"""Is told how many utterances are made, and of how many."""


@dataclass(frozen=True)
class Corpus:
    """The utterances of an experiment."""

    train: list[Utterance]
    dev: list[Utterance]
    test: list[Utterance]
    noise: list[Path] = field(default_factory=list)
    """Recordings of noise that augmentation adds, where it does."""

    def fingerprint(self) -> str:
        """SHA-256 of all that is said and heard; every audio file is read for it."""
        parts = [fingerprint(utterances) for utterances in (self.train, self.dev, self.test)]
        parts += [hashlib.sha256(path.read_bytes()).hexdigest() for path in self.noise]
        return hashlib.sha256("".join(parts).encode()).hexdigest()


def read_corpus(data: DataConfig) -> Corpus:
    """Read the three manifests, and list the recordings of noise.

    Raises:
        ConfigError: if the configuration names a reader that cannot be used.
        DataError: if one is missing or faulty, or an utterance is in two of them.
    """
    folder = corpus_folder(data)
    names = (data.train, data.dev, data.test)
    train, dev, test = (read_utterances(folder / name, data.reader) for name in names)
    noise = data.augment.noise_folder
    corpus = Corpus(train, dev, test, [] if noise is None else noise_files(noise))
    _refuse_overlap(data, corpus)
    return corpus


def ensure_corpus(data: DataConfig, progress: Progress | None = None) -> None:
    """Make the synthetic corpus that the configuration names, if its manifests are missing.

    Raises:
        ConfigError: if the recipe cannot be read or is impossible.
        DataError: if the folder holds something else, or eSpeak NG is not installed.
    """
    manifests = (data.train, data.dev, data.test)
    if data.recipe is None or not _missing(data.folder, manifests):
        return
    from paraformer.synthesis import synthesise

    recipe = load_recipe(data.recipe)
    if not is_uri(data.folder):
        synthesise(recipe, Path(data.folder), progress)
        return
    with tempfile.TemporaryDirectory() as scratch:
        store_folder(synthesise(recipe, Path(scratch) / "corpus", progress), data.folder)


def corpus_folder(data: DataConfig) -> Path:
    """The folder of the manifests on this machine, fetched where it is given by URI.

    Raises:
        RemoteError: if it cannot be fetched.
    """
    return fetched_folder(data.folder) if is_uri(data.folder) else Path(data.folder)


def _missing(folder: str, names: tuple[str, ...]) -> bool:
    if is_uri(folder):
        return not set(names) <= set(Remote(folder).listing())
    return not all((Path(folder) / name).is_file() for name in names)


def _refuse_overlap(data: DataConfig, corpus: Corpus) -> None:
    trained = {utterance.path.resolve() for utterance in corpus.train}
    for name, utterances in ((data.dev, corpus.dev), (data.test, corpus.test)):
        shared = [utterance for utterance in utterances if utterance.path.resolve() in trained]
        if shared:
            raise DataError(
                f"{len(shared)} recordings of {name} are in {data.train} too, such as {shared[0].path}; "
                "a model is not scored on what it was trained on: take them out of one of the manifests"
            )
