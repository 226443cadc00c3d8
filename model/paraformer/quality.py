"""What is wrong with a corpus, before training finds out.

Errors would stop a training or make its numbers false; warnings are for the user to judge.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from paraformer.audio import SAMPLE_RATE, read_audio
from paraformer.errors import ConfigError, DataError
from paraformer.manifest import Utterance
from paraformer.tokenizer import Tokenizer

ERRORS = ("unreadable audio", "outside vocabulary", "recording in two splits")
"""Kinds of findings that are errors."""
CLIPPED_LEVEL = 0.999
"""Samples beyond this share of full scale count as clipped."""
CLIPPED_SHARE = 0.001
"""Share of clipped samples from which a recording counts as clipped: 16 of a second's 16,000."""
SILENT_LEVEL = 0.001
"""Root mean square below which a recording counts as silent: −60 dB."""

Splits = Mapping[str, Sequence[Utterance]]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Finding:
    """One thing wrong with one utterance, or with a pair of splits."""

    kind: str
    """What is wrong, the same words for all of a kind."""
    where: str
    """`file:line` of the manifest, or the splits."""
    detail: str
    """The value that shows it, and what to do where that is not plain."""

    @property
    def is_error(self) -> bool:
        """Whether it is more than a warning."""
        return self.kind in ERRORS


@dataclass(frozen=True)
class Limits:
    """From where on a value is reported."""

    max_seconds: float = 30.0
    """Longest recording."""
    encoder_frame_seconds: float = 0.04
    """Time between encoder frames; CTC needs at least one for each token."""

    def __post_init__(self) -> None:
        if self.max_seconds <= 0 or self.encoder_frame_seconds <= 0:
            raise ConfigError(f"limits must be positive, but are {self}")


def check(
    splits: Splits, tokenizer: Tokenizer, limits: Limits | None = None, progress: Progress | None = None
) -> list[Finding]:
    """Examine transcripts, every recording, and what splits have in common.

    Args:
        splits: Utterances by name of the split.
        tokenizer: Whose vocabulary the transcripts must keep to.
        limits: From where on values are reported.
        progress: Is told how many recordings are read, and of how many.
    """
    limits = limits or Limits()
    total = sum(len(utterances) for utterances in splits.values())
    findings: list[Finding] = []
    digests: dict[str, list[tuple[str, Utterance]]] = defaultdict(list)
    done = 0
    for name, utterances in splits.items():
        for utterance in utterances:
            findings += _text_findings(utterance, tokenizer)
            try:
                wave = read_audio(utterance.path)
            except DataError as error:
                findings.append(Finding("unreadable audio", _where(utterance), str(error)))
            else:
                findings += _audio_findings(utterance, wave, tokenizer, limits)
                digests[hashlib.sha256(wave.numpy().tobytes()).hexdigest()].append((name, utterance))
            done += 1
            if progress:
                progress(done, total)
    return [*findings, *_duplicates(digests), *_common(splits)]


def _text_findings(utterance: Utterance, tokenizer: Tokenizer) -> Iterator[Finding]:
    where = _where(utterance)
    if not utterance.text:
        yield Finding("empty transcript", where, f"{utterance.path.name} says nothing")
    unknown = tokenizer.unknown_characters(utterance.text)
    if unknown:
        listed = " ".join(f"{character!r} (U+{ord(character):04X})" for character in unknown)
        yield Finding("outside vocabulary", where, f"{listed} in {utterance.text!r}")


def _audio_findings(
    utterance: Utterance, wave: Tensor, tokenizer: Tokenizer, limits: Limits
) -> Iterator[Finding]:
    where = _where(utterance)
    seconds = len(wave) / SAMPLE_RATE
    level = float(wave.square().mean().sqrt())
    clipped = float((wave.abs() >= CLIPPED_LEVEL).float().mean())
    if seconds > limits.max_seconds:
        yield Finding("too long", where, f"{seconds:.1f} s, more than {limits.max_seconds:g} s")
    if level < SILENT_LEVEL:
        yield Finding("silent audio", where, f"root mean square {level:.1g} of full scale")
    if clipped > CLIPPED_SHARE:
        yield Finding("clipped audio", where, f"{clipped:.1%} of its samples are at full scale")
    tokens = len(tokenizer.encode(utterance.text, False))
    frames = int(seconds / limits.encoder_frame_seconds)
    if tokens > frames:
        yield Finding("more tokens than frames", where, f"{tokens} tokens in {frames} encoder frames")
    if utterance.seconds is not None and abs(utterance.seconds - seconds) > 0.1:
        detail = f"the manifest says {utterance.seconds:.2f} s, the file has {seconds:.2f} s"
        yield Finding("wrong duration", where, detail)


def _duplicates(digests: Mapping[str, Sequence[tuple[str, Utterance]]]) -> Iterator[Finding]:
    """Recordings with the same samples."""
    for group in digests.values():
        (first_split, first), *others = group
        for split, other in others:
            kind = "same recording twice" if split == first_split else "recording in two splits"
            yield Finding(kind, _where(other), f"the same samples as {_where(first)}")


def _common(splits: Splits) -> Iterator[Finding]:
    """Speakers and sentences that two splits share."""
    names = list(splits)
    for place, name in enumerate(names):
        for other in names[place + 1 :]:
            pair = f"{name} and {other}"
            speakers = {u.speaker for u in splits[name]} & {u.speaker for u in splits[other]} - {None}
            if speakers:
                yield Finding("speaker in two splits", pair, _count_and_examples(speakers))
            sentences = {u.text for u in splits[name]} & {u.text for u in splits[other]}
            if sentences:
                yield Finding("sentence in two splits", pair, _count_and_examples(sentences))


def _count_and_examples(values: set[str] | set[str | None]) -> str:
    shown = sorted(str(value) for value in values)[:3]
    return f"{len(values)}: {', '.join(shown)}{', …' if len(values) > 3 else ''}"


def _where(utterance: Utterance) -> str:
    return utterance.source or utterance.id
