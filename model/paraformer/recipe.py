"""What a synthetic corpus is made of."""

import dataclasses
import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paraformer.errors import ConfigError, Fault
from paraformer.espeak import PITCHES, SPEEDS, unknown_voice
from paraformer.grammar import Grammar

Range = tuple[float, float]
"""Least and greatest value; drawn uniformly between them."""


@dataclass(frozen=True)
class SplitRecipe:
    """One part of a corpus."""

    utterances: int
    """Number of utterances."""
    voices: tuple[str, ...]
    """Voices to choose from: accent, or accent+variant, such as `en-gb+f3`."""


@dataclass(frozen=True)
class SynthesisRecipe:
    """A corpus of synthetic speech; `paraformer.synthesis.synthesise` makes it."""

    name: str
    """Name of the corpus, for messages."""
    grammar: Grammar
    """What is said."""
    splits: Mapping[str, SplitRecipe]
    """Parts by name, usually train, dev and test."""
    seed: int = 0
    """Decides everything that is random."""
    sample_rate: int = 16_000
    """Rate of the audio, in hertz."""
    speed: Range = (140.0, 210.0)
    """Words per minute; 175 is usual."""
    pitch: Range = (30.0, 70.0)
    """On the library's scale of 0 … 100; 50 is a voice's usual one."""
    silence_seconds: Range = (0.05, 0.3)
    """Silence before the speech, and again after it."""
    noise_snr_db: Range | None = (10.0, 40.0)
    """Signal-to-noise ratio of added white noise, in decibels; null for none."""
    peak_db: Range = (-18.0, -1.0)
    """Highest sample, in decibels below full scale."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str) -> "SynthesisRecipe":
        """Make a recipe of plain values, as YAML gives them.

        Args:
            values: Field names to values.
            source: File they come from, for messages.

        Raises:
            ConfigError: if a key is unknown or missing, a value is of the wrong type, or the recipe is
                impossible; it lists every fault.
        """
        faults: list[Fault] = []
        made = {name: value for name, value in _read_fields(values, faults)}
        missing = {"name", "grammar", "splits"} - set(values)
        faults += [Fault(name, None, "is missing") for name in sorted(missing)]
        recipe = None if faults else cls(**made)
        faults += recipe.faults() if recipe else []
        if faults or recipe is None:
            raise ConfigError("\n".join(f"{source}: {fault}" for fault in faults))
        return recipe

    def faults(self) -> list[Fault]:
        """Everything wrong with the values."""
        faults = [dataclasses.replace(fault, path=f"grammar.{fault.path}") for fault in self.grammar.faults()]
        faults += self._range_faults()
        for name, split in self.splits.items():
            faults += _split_faults(f"splits.{name}", split)
        return faults + self._shared_voices()

    def _range_faults(self) -> list[Fault]:
        allowed = {
            "speed": SPEEDS,
            "pitch": PITCHES,
            "silence_seconds": (0, 10),
            "noise_snr_db": (-20, 100),
            "peak_db": (-60, 0),
        }
        faults = []
        for name, (least, most) in allowed.items():
            limits = getattr(self, name)
            if limits is not None and not least <= limits[0] <= limits[1] <= most:
                message = f"must be [least, greatest] within {least} … {most}, but is {list(limits)}"
                faults.append(Fault(name, limits, message))
        if self.sample_rate < 1:
            faults.append(
                Fault("sample_rate", self.sample_rate, f"must be positive, but is {self.sample_rate}")
            )
        return faults

    def _shared_voices(self) -> list[Fault]:
        """Timbres of one split that another has too: a test voice must be a stranger."""
        faults = []
        owners: dict[str, str] = {}
        for name, split in self.splits.items():
            for timbre in sorted({timbre_of(voice) for voice in split.voices}):
                owner = owners.setdefault(timbre, name)
                if owner != name:
                    message = f"variant {timbre!r} is in splits.{owner} too; splits must not share a variant"
                    faults.append(Fault(f"splits.{name}.voices", timbre, message))
        return faults


def timbre_of(voice: str) -> str:
    """Variant of a voice, or its accent if it has none: what makes two voices sound like one speaker."""
    accent, _, variant = voice.partition("+")
    return variant or accent


def _read_fields(values: Mapping[str, Any], faults: list[Fault]) -> Iterator[tuple[str, Any]]:
    """Fields of a recipe from plain values; what cannot be read becomes a fault."""
    for key, value in values.items():
        if key not in _READERS:
            near = difflib.get_close_matches(str(key), _READERS, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(_READERS)}"
            faults.append(Fault(str(key), value, f"there is no such key{hint}"))
            continue
        try:
            yield key, _READERS[key](value)
        except _Unreadable as error:
            faults.append(Fault(f"{key}{error.within}", value, str(error)))


class _Unreadable(Exception):
    """A value is not what its key needs."""

    def __init__(self, wanted: str, value: object, within: str = "") -> None:
        super().__init__(f"must be {wanted}, but is {value!r}")
        self.within = within


def _read_whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Unreadable("a whole number", value)
    return value


def _read_range(value: object) -> Range:
    if not isinstance(value, Sequence) or len(value) != 2 or not all(_is_number(end) for end in value):
        raise _Unreadable("two numbers [least, greatest]", value)
    return float(value[0]), float(value[1])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _read_optional_range(value: object) -> Range | None:
    return None if value is None else _read_range(value)


def _read_splits(value: object) -> dict[str, SplitRecipe]:
    if not isinstance(value, Mapping) or not value:
        raise _Unreadable("splits by name, each with utterances and voices", value)
    return {str(name): _read_split(str(name), split) for name, split in value.items()}


def _read_split(name: str, value: object) -> SplitRecipe:
    if not isinstance(value, Mapping) or set(value) != {"utterances", "voices"}:
        raise _Unreadable("utterances: <number> and voices: [<voice>, …]", value, f".{name}")
    if not isinstance(value["voices"], Sequence) or isinstance(value["voices"], str):
        raise _Unreadable("a list of voices", value["voices"], f".{name}.voices")
    return SplitRecipe(_read_whole(value["utterances"]), tuple(str(voice) for voice in value["voices"]))


def _read_grammar(value: object) -> Grammar:
    if not isinstance(value, Mapping) or set(value) != {"start", "rules"}:
        raise _Unreadable("start: <rule> and rules: {<rule>: [<alternative>, …]}", value)
    rules = value["rules"]
    if not isinstance(rules, Mapping) or not all(isinstance(texts, list) for texts in rules.values()):
        raise _Unreadable("lists of alternatives by rule name", rules, ".rules")
    for name, texts in rules.items():
        if any(isinstance(text, bool) or text is None for text in texts):
            raise _Unreadable(
                'words; put "yes", "no", "on", "off" and "null" in quotes', texts, f".rules.{name}"
            )
    return Grammar.from_rules(str(value["start"]), rules)


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "name": str,
    "grammar": _read_grammar,
    "splits": _read_splits,
    "seed": _read_whole,
    "sample_rate": _read_whole,
    "speed": _read_range,
    "pitch": _read_range,
    "silence_seconds": _read_range,
    "noise_snr_db": _read_optional_range,
    "peak_db": _read_range,
}


def _split_faults(path: str, split: SplitRecipe) -> list[Fault]:
    faults = []
    if split.utterances < 1:
        message = f"must be at least 1, but is {split.utterances}"
        faults.append(Fault(f"{path}.utterances", split.utterances, message))
    if not split.voices:
        faults.append(Fault(f"{path}.voices", (), "must name at least one voice"))
    for voice in split.voices:
        unknown = unknown_voice(voice)
        if unknown:
            faults.append(Fault(f"{path}.voices", voice, unknown))
    return faults
