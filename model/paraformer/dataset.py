"""Recordings with transcripts as tensors for training and evaluation.

Shapes: T frames, F mel bins, U tokens. Tokens carry neither BOS nor EOS.

Reading 4 s of Ogg/Opus and computing its features takes 7 ms. So `SpeechDataset` keeps what does not change
from epoch to epoch in memory, as long as it fits: normalised features (then an access takes 0.01 ms, with
SpecAugment 0.1 ms), or the samples where augmentation changes them (then 1.9 ms with speed, gain and noise).
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from paraformer.audio import audio_seconds, read_audio
from paraformer.augment import AugmentConfig, augment_wave, changed_size, draw_speed, spec_augment
from paraformer.batch import Batch, Item, TutorialItem, collate
from paraformer.errors import DataError
from paraformer.features import FeatureExtractor, GlobalCmvn
from paraformer.manifest import Utterance, raise_faults, read_manifest
from paraformer.noise import RecordedNoise, nobody_speaks
from paraformer.tokenizer import Tokenizer
from paraformer.toy import ToySeq2SeqDataset

__all__ = [
    "AudioDataset",
    "Batch",
    "Item",
    "SpeechDataset",
    "ToySeq2SeqDataset",
    "TutorialItem",
    "check_vocabulary",
    "collate",
    "leave_out_long",
]

MEMORY_BYTES = 2**30
"""What a data set may keep in memory by default: features of 9 hours of speech."""


class SpeechDataset(Dataset[Item]):
    """Recordings with transcripts, ready for training or evaluation.

    Args:
        utterances: From `read_manifest`.
        tokenizer: Makes tokens of the transcripts.
        extractor: Makes features of the samples.
        cmvn: Normalises the features, if given.
        augment: What training changes; without it every access gives the same tensors. Its share of silence
            is added behind the utterances, under names such as `silence-00003`.
        seed: With the epoch and the utterance's id it decides every random choice.
        memory_bytes: How much to keep in memory between epochs.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        tokenizer: Tokenizer,
        extractor: FeatureExtractor,
        *,
        cmvn: GlobalCmvn | None = None,
        augment: AugmentConfig | None = None,
        seed: int = 0,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self._spoken = len(utterances)
        self.utterances = [*utterances, *_silences(utterances, augment, seed)]
        self.tokenizer = tokenizer
        self.extractor = extractor
        self.cmvn = cmvn
        self.augment = augment
        self.seed = seed
        self.epoch = 0
        self._recorded = _recorded_noise(augment, extractor.config.sample_rate)
        self._kept: dict[int, Tensor] = {}
        self._room = memory_bytes

    def __len__(self) -> int:
        return len(self.utterances)

    def __getitem__(self, index: int) -> Item:
        """The utterance's tensors, augmented for the epoch last set.

        Raises:
            DataError: if the audio cannot be read; it names the manifest's line and the file.
        """
        utterance = self.utterances[index]
        features = self._features(index)
        tokens = torch.tensor(self.tokenizer.encode(utterance.text, add_special=False), dtype=torch.long)
        return Item(features, tokens, len(features), len(tokens), utterance.id)

    def set_epoch(self, epoch: int) -> None:
        """Choose which epoch's augmentation comes next."""
        self.epoch = epoch

    def frames(self, epoch: int | None = None) -> list[int]:
        """T of every utterance, from manifests and file headers; nothing is decoded.

        Args:
            epoch: The epoch whose speeds count; by default the lengths are those before augmentation.
        """
        rate = self.extractor.config.sample_rate
        sizes = [round(_seconds(utterance) * rate) for utterance in self.utterances]
        if epoch is not None and self.augment is not None and self.augment.speeds:
            for index, utterance in enumerate(self.utterances[: self._spoken]):
                speed = draw_speed(self.augment, self._generator(utterance, epoch))
                sizes[index] = changed_size(sizes[index], rate, speed)
        return [self.extractor.num_frames(size) for size in sizes]

    def estimate_cmvn(self, max_utterances: int = 200) -> GlobalCmvn:
        """Normalisation statistics of unaugmented features over so many utterances at most, evenly spread.

        With 200 of them the means of three corpora were within 0.09 deviations of those of all.
        """
        step = max(1, len(self) // max_utterances)
        return GlobalCmvn.from_features(
            self.extractor(self._read(u)) for u in self.utterances[::step][:max_utterances]
        )

    def _features(self, index: int) -> Tensor:
        if self.augment is None:
            return self._keep(index, self._normalised)
        generator = self._generator(self.utterances[index], self.epoch)
        if index >= self._spoken:
            features = self._normalise(self.extractor(self._silence(index, generator), generator))
        elif self._keeps_samples:
            wave = self._keep(index, self._read_index)
            rate = self.extractor.config.sample_rate
            wave = augment_wave(wave, rate, self.augment, generator, self._recorded)
            features = self._normalise(self.extractor(wave, generator))
        else:
            features = self._keep(index, self._normalised)
        return spec_augment(features, self.augment, generator)

    def _silence(self, index: int, generator: torch.Generator) -> Tensor:
        rate = self.extractor.config.sample_rate
        size = round(_seconds(self.utterances[index]) * rate)
        return nobody_speaks(size, rate, generator, self._recorded, self._speak)

    def _speak(self, generator: torch.Generator) -> Tensor:
        """The samples of an utterance drawn at random."""
        index = int(torch.randint(self._spoken, (), generator=generator))
        return self._keep(index, self._read_index) if self._keeps_samples else self._read_index(index)

    @property
    def _keeps_samples(self) -> bool:
        """Whether samples stay in memory and not features, which change from epoch to epoch."""
        return self.augment is not None and (self.augment.changes_samples or self.extractor.config.dither > 0)

    def _normalised(self, index: int) -> Tensor:
        return self._normalise(self.extractor(self._read_index(index)))

    def _normalise(self, features: Tensor) -> Tensor:
        return features if self.cmvn is None else self.cmvn.apply(features)

    def _read_index(self, index: int) -> Tensor:
        return self._read(self.utterances[index])

    def _read(self, utterance: Utterance) -> Tensor:
        try:
            return read_audio(utterance.path, self.extractor.config.sample_rate)
        except DataError as error:
            raise DataError(f"{utterance.source or utterance.id}: {error}") from error

    def _keep(self, index: int, compute: Callable[[int], Tensor]) -> Tensor:
        """What `compute` gives for an utterance, from memory if it is there, and into it if it fits."""
        if index in self._kept:
            return self._kept[index]
        value = compute(index)
        if value.nbytes <= self._room:
            self._room -= value.nbytes
            self._kept[index] = value
        return value

    def _generator(self, utterance: Utterance, epoch: int) -> torch.Generator:
        key = f"{self.seed}/{epoch}/{utterance.id}".encode()
        return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(key).digest()[:8], "little"))


class AudioDataset(Dataset[TutorialItem]):
    """A folder of audio and a tab-separated file of transcripts, as log-mel features and tokens.

    Args:
        audio_dir: Folder that the files are relative to.
        transcript_file: Lines of file, tab, transcript; or a manifest with a header.
        tokenizer: Makes tokens of the transcripts.

    Raises:
        DataError: if the transcripts are faulty; it lists every fault with file, line and remedy.
    """

    def __init__(self, audio_dir: str | Path, transcript_file: str | Path, tokenizer: Tokenizer) -> None:
        utterances = read_manifest(transcript_file, audio_dir)
        check_vocabulary(utterances, tokenizer)
        self._speech = SpeechDataset(utterances, tokenizer, FeatureExtractor())

    def __len__(self) -> int:
        return len(self._speech)

    def __getitem__(self, index: int) -> TutorialItem:
        """Features `(T, 80)`, tokens `(U,)`, T, U."""
        item = self._speech[index]
        return item.features, item.tokens, item.feat_len, item.token_len


def _silences(utterances: Sequence[Utterance], augment: AugmentConfig | None, seed: int) -> list[Utterance]:
    """Stand-ins for recordings without speech, from a tenth of an utterance's duration to the whole of it."""
    count = round(augment.silence_share * len(utterances)) if augment is not None else 0
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(max(1, len(utterances)), (count,), generator=generator).tolist()
    shares = (0.1 + 0.9 * torch.rand(count, generator=generator)).tolist()
    return [
        Utterance(f"silence-{number:05d}", Path("silence"), "", seconds=share * _seconds(utterances[model]))
        for number, (model, share) in enumerate(zip(chosen, shares, strict=True))
    ]


def _recorded_noise(augment: AugmentConfig | None, sample_rate: int) -> RecordedNoise | None:
    if augment is None or augment.noise_folder is None:
        return None
    return RecordedNoise(augment.noise_folder, sample_rate)


def _seconds(utterance: Utterance) -> float:
    return audio_seconds(utterance.path) if utterance.seconds is None else utterance.seconds


def check_vocabulary(utterances: Sequence[Utterance], tokenizer: Tokenizer) -> None:
    """Refuse transcripts with characters that the tokenizer does not have.

    Raises:
        DataError: naming file, line and characters of each, and the remedy.
    """
    faults = []
    for utterance in utterances:
        unknown = tokenizer.unknown_characters(utterance.text)
        if unknown:
            listed = ", ".join(f"{character!r} (U+{ord(character):04X})" for character in unknown[:8])
            faults.append(f"{utterance.source or utterance.id}: not in the vocabulary: {listed}")
    if faults:
        faults.append(
            "write them otherwise, or choose data.tokenizer=char_from_texts "
            f"and a data.vocab_size that holds them (now {tokenizer.vocab_size})"
        )
    raise_faults(faults)


def leave_out_long(
    utterances: Sequence[Utterance],
    frames: Sequence[int],
    tokenizer: Tokenizer,
    *,
    max_feat_len: int,
    max_token_len: int,
) -> list[Utterance]:
    """Utterances of at most so many frames and tokens; for training sets only.

    Args:
        utterances: Of the training set.
        frames: T of each, as `SpeechDataset.frames` gives them.
        tokenizer: Counts their tokens.
        max_feat_len: Most frames.
        max_token_len: Most tokens.
    """
    return [
        utterance
        for utterance, length in zip(utterances, frames, strict=True)
        if length <= max_feat_len and len(tokenizer.encode(utterance.text, False)) <= max_token_len
    ]
