"""Sentences from a small grammar.

A grammar has a start symbol and rules. A rule is a list of alternatives; each is text in which `<name>`
stands for any sentence of that rule and `<name>[2,5]` for two to five of them in a row::

    start: command
    rules:
      command: ["call <digit>[3,7]", "play <song>"]
      digit: [zero, one, two]
      song: [yesterday, hey jude]

Alternatives and numbers of repeats are drawn uniformly.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from paraformer.errors import Fault
from paraformer.manifest import clean_text

_REFERENCE = re.compile(r"<(?P<name>[^<>]+)>(?:\[(?P<least>\d+),\s*(?P<most>\d+)\])?")


@dataclass(frozen=True)
class Grammar:
    """Rules by name, and the one to start with."""

    start: str
    """Name of the rule of whole sentences."""
    rules: Mapping[str, tuple[str, ...]]
    """Alternatives by rule name."""

    @classmethod
    def from_rules(cls, start: str, rules: Mapping[str, Sequence[object]]) -> Self:
        """Make a grammar from plain lists; numbers and such become their text."""
        return cls(start, {name: tuple(str(text) for text in texts) for name, texts in rules.items()})

    def faults(self) -> list[Fault]:
        """Everything wrong: names without a rule, impossible repeats, rules that contain themselves."""
        known = ", ".join(self.rules)
        faults = []
        if self.start not in self.rules:
            faults.append(
                Fault("start", self.start, f"must be one of the rules ({known}), but is {self.start!r}")
            )
        for name, alternatives in self.rules.items():
            path = f"rules.{name}"
            if not alternatives:
                faults.append(Fault(path, (), "must have at least one alternative"))
            for text in alternatives:
                for reference in _REFERENCE.finditer(text):
                    faults += _reference_faults(path, text, reference, self.rules)
            if name in self._reachable(name):
                faults.append(
                    Fault(path, alternatives, "must not contain itself, directly or through others")
                )
        return faults

    def sentence(self, rng: np.random.Generator) -> str:
        """Draw one sentence, words separated by single spaces."""
        return clean_text(self._expand(self.start, rng))

    def _expand(self, name: str, rng: np.random.Generator) -> str:
        alternatives = self.rules[name]
        text = alternatives[int(rng.integers(len(alternatives)))]
        return _REFERENCE.sub(lambda reference: self._repeat(reference, rng), text)

    def _repeat(self, reference: re.Match[str], rng: np.random.Generator) -> str:
        least, most = int(reference["least"] or 1), int(reference["most"] or 1)
        count = int(rng.integers(least, most + 1))
        return " ".join(self._expand(reference["name"], rng) for _ in range(count))

    def _reachable(self, name: str) -> set[str]:
        """Names of all rules that a rule refers to, directly or through others."""
        reached: set[str] = set()
        waiting = [name]
        while waiting:
            for text in self.rules.get(waiting.pop(), ()):
                new = {reference["name"] for reference in _REFERENCE.finditer(text)} - reached
                reached |= new
                waiting += new
        return reached


def _reference_faults(
    path: str, text: str, reference: re.Match[str], rules: Mapping[str, object]
) -> list[Fault]:
    faults = []
    if reference["name"] not in rules:
        message = f"{text!r} refers to <{reference['name']}>, but the rules are {', '.join(rules)}"
        faults.append(Fault(path, text, message))
    if reference["least"] is not None and not 0 <= int(reference["least"]) <= int(reference["most"]):
        message = f"{text!r} repeats {reference[0]}, but the least must not exceed the most"
        faults.append(Fault(path, text, message))
    return faults
