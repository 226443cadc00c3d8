"""What is needed to make the numbers of a report again, without what belongs to one machine alone."""

import importlib.metadata
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from paraformer_analysis.records import Records

MACHINE_OPTIONS = ("--tracking-uri", "--address", "--storage", "--max-concurrent")
"""Options of a command that say where it ran, not what it did."""
MACHINE_KEYS = re.compile(r"(storage|tracking\.\w+|resources\.max_concurrent)=")
OVERRIDES = ("-o", "--override")
EXTEND = "--extend"
PACKAGES = ("mlflow", "numpy", "pandas", "scipy", "jiwer", "matplotlib")


def reproduction(records: Records) -> list[tuple[str, str]]:
    """List what is needed to make the numbers again."""
    design, usable = records.design, records.runs[records.runs["usable"]]
    confirmed = () if design.confirm is None else design.confirm.seeds
    entries = [
        ("command", portable_command(design.command)),
        ("commit", _all_of(usable["commit"])),
        ("data fingerprint", _all_of(usable["data"]) or design.data_fingerprint),
        ("code version", _all_of(usable["code"]) or design.code_version),
        ("seeds", ", ".join(str(seed) for seed in design.seeds)),
        ("fresh seeds", ", ".join(str(seed) for seed in confirmed)),
        ("cpu", _described(records.environments, "cpu")),
        ("gpu", _described(records.environments, "gpu")),
        ("platform", _all_of(map(_platform, _described_each(records.environments, "platform")))),
        ("trained with", _versions(records.environments)),
        ("analysed with", _analysis_versions()),
    ]
    return [(name, value) for name, value in entries if value]


def portable_command(command: str) -> str:
    """Return a command without what held for one machine: stores, addresses, absolute paths.

    >>> portable_command("paraformer sweep /home/me/asr/experiments/sweeps/a.yaml -o storage=/scratch/x")
    'paraformer sweep experiments/sweeps/a.yaml'
    """
    try:
        words = shlex.split(command)
    except ValueError:  # written by a version that did not quote
        words = command.split()
    return shlex.join(map(_portable_path, _portable_words(words)))


def _portable_words(words: list[str]) -> Iterator[str]:
    position = 0
    while position < len(words):
        word, following = words[position], words[position + 1 : position + 2]
        if word in MACHINE_OPTIONS:
            position += 2
        elif word in OVERRIDES and following:
            if not MACHINE_KEYS.match(following[0]):
                yield from (word, following[0])
            position += 2
        else:
            name, _, value = word.partition("=")
            dropped = name in MACHINE_OPTIONS or (name in OVERRIDES and MACHINE_KEYS.match(value))
            if not dropped and word != EXTEND:
                yield word
            position += 1


def _portable_path(word: str) -> str:
    path = PurePosixPath(word)
    if not path.is_absolute():
        return word
    parts = path.parts
    return "/".join(parts[parts.index("experiments") :]) if "experiments" in parts else path.name


def _platform(text: str) -> str:
    """Return system, version and processor family; the rest of a kernel's name tells of one machine."""
    found = re.match(r"(\w+)-(\d+\.\d+)\S*?-(x86_64|aarch64|arm64|AMD64)", text)
    return f"{found[1]} {found[2]}, {found[3]}" if found else text


def _all_of(values: Iterable[str]) -> str:
    return ", ".join(sorted(set(values) - {""}))


def _described(environments: Iterable[Mapping[str, Any]], key: str) -> str:
    return _all_of(_described_each(environments, key))


def _described_each(environments: Iterable[Mapping[str, Any]], key: str) -> list[str]:
    """Name every distinct piece of hardware; a list of GPUs counts as one."""
    found = [environment[key] for environment in environments if environment.get(key)]
    return [" + ".join(map(str, value)) if isinstance(value, list) else str(value) for value in found]


def _versions(environments: Iterable[Mapping[str, Any]]) -> str:
    seen = {
        f"{package} {environment[package]}"
        for environment in environments
        for package in ("python", "torch", "torchaudio", "numpy", "ray")
        if environment.get(package)
    }
    return ", ".join(sorted(seen))


def _analysis_versions() -> str:
    return ", ".join(f"{package} {importlib.metadata.version(package)}" for package in PACKAGES)
