"""What makes two trainings the same one: their configuration, their data and the code, and nothing else.

Code is that of this repository and the files of those parts of the user's own that the configuration names.

Where a trial is stored, how many CPUs it has and which MLflow hears of it do not change its result, so they
do not enter its key. Asking for the same key again finds the result instead of training twice.
"""

import hashlib
import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import paraformer
from paraformer_platform.config.conversion import leaves
from paraformer_platform.config.schema import ExperimentConfig

KEY_CHARACTERS = 16
PLATFORM_ROOMS = ("config", "training")
"""Folders of the platform whose code decides a training's result."""

WITHOUT_EFFECT = (
    "resources.",
    "tracking.",
    "storage",
    "archive",
    # What the manifests and recordings hold is in the data's fingerprint, wherever they lie.
    "data.folder",
    "data.recipe",
    "data.train",
    "data.dev",
    "data.test",
    "data.augment.noise_folder",
    "training.loader_workers",
)
"""Keys, or beginnings of keys, that cannot change a result."""
IMPORT_PATH = re.compile(r"([A-Za-z_][\w.]*):\w+")
"""A value that names a part of the user's own, `package.module:name`."""


def trial_key(config: ExperimentConfig, data_fingerprint: str, code_version: str) -> str:
    """Name a training by what decides its result.

    Args:
        config: The whole experiment.
        data_fingerprint: Of the three manifests and their audio, see ``training.corpus.data_fingerprint``.
        code_version: Of the source, see `code_version`.

    Returns:
        16 hexadecimal digits of a SHA-256.
    """
    values = deciding_values(config)
    parts = {"config": values, "data": data_fingerprint, "code": code_version, "own": _own_sources(values)}
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_CHARACTERS]


def deciding_values(config: ExperimentConfig) -> dict[str, Any]:
    """The values of a configuration that can change its result, by dotted key."""
    return {key: value for key, value in leaves(config).items() if not key.startswith(WITHOUT_EFFECT)}


def _own_sources(values: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of the file of every part of the user's own, by import path; what is not found has none."""
    named = {text: IMPORT_PATH.fullmatch(text) for value in values.values() for text in _texts(value)}
    files = {value: _source_of(match[1]) for value, match in named.items() if match}
    return {value: hashlib.sha256(file.read_bytes()).hexdigest() for value, file in files.items() if file}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for inner in value:
            yield from _texts(inner)


def _source_of(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # whoever builds the part says what is wrong
        return None
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None


@cache
def code_version() -> str:
    """SHA-256 over the source files that decide a training's result, shortened to 16 digits."""
    digest = hashlib.sha256()
    for name, path in _sources():
        digest.update(f"{name}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:KEY_CHARACTERS]


def _sources() -> Iterator[tuple[str, Path]]:
    """Name and path of each source file, in a fixed order."""
    model = Path(paraformer.__file__).parent
    platform = Path(__file__).parent.parent
    roots = [model, *(platform / room for room in PLATFORM_ROOMS)]
    for root in roots:
        for path in sorted(root.rglob("*.py")):
            yield f"{root.name}/{path.relative_to(root).as_posix()}", path
