"""A folder to begin an experiment of one's own in: configuration, sweep and manifests to fill in.

The files lie in ``template/`` as they are written, with ``{folder}`` and ``{name}`` in the place of what
differs. The configuration stands alone, so the folder may lie anywhere.
"""

import re
from importlib.resources import files
from pathlib import Path

from paraformer.errors import ConfigError

FILES = (
    "README.md",
    "experiment.yaml",
    "sweep.yaml",
    "data/train.tsv",
    "data/dev.tsv",
    "data/test.tsv",
)


def make_experiment_folder(folder: Path) -> list[Path]:
    """Write the files of a new experiment; nothing is ever overwritten.

    Args:
        folder: The new folder; one that is there already must be empty.

    Returns:
        What was written.

    Raises:
        ConfigError: if the folder holds something, cannot be made, or has a name that no sweep may have.
    """
    name = folder.resolve().name
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise ConfigError(f"the folder's name ({name}) must be letters, digits, . _ or -: a sweep takes it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        inside = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made a folder: {error.strerror}") from error
    if inside:
        raise ConfigError(f"{folder} is not empty (it holds {', '.join(inside[:3])}); name a new folder")
    return [_write(folder / file, file, folder, name) for file in FILES]


def _write(path: Path, file: str, folder: Path, name: str) -> Path:
    text = files(__package__).joinpath("template", Path(file).name).read_text(encoding="utf-8")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text.replace("{folder}", folder.as_posix()).replace("{name}", name), encoding="utf-8")
    return path
