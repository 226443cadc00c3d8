"""The utterances that a manifest lists, read by us or by a function of the user's own.

::

    def read(path: Path) -> Iterable[Utterance]:       # named in data.reader, package.module:read
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            yield Utterance(id=entry["name"], path=path.parent / entry["wav"], text=entry["said"])

So lists of any other form, a database or a folder tree serve as data. What is read is checked like a
manifest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from paraformer.errors import ConfigError, DataError, ParaformerError
from paraformer.import_path import import_part
from paraformer.manifest import Utterance, clean_text, raise_faults, read_manifest


def read_utterances(path: str | Path, reader: str | None = None) -> list[Utterance]:
    """Read what a manifest lists.

    Args:
        path: The manifest, in whatever form the reader takes.
        reader: Import path of a function that takes the path; by default tab-separated text is read.

    Raises:
        ConfigError: if the reader cannot be imported, raises, or gives something else than utterances.
        DataError: if nothing is listed, an id is there twice, or an audio file is missing or empty.
    """
    if reader is None:
        return read_manifest(path)
    read = import_part(reader, "data.reader")
    try:
        found = list(read(Path(path)))
    except ParaformerError:
        raise
    except Exception as error:
        message = f"data.reader ({reader}) raised {type(error).__name__} on {path}: {error}"
        raise ConfigError(message) from error
    strangers = [one for one in found if not isinstance(one, Utterance)]
    if strangers:
        raise ConfigError(
            f"data.reader ({reader}) gave {strangers[0]!r} for {path}, "
            "but must give paraformer.manifest.Utterance objects"
        )
    if not found:
        raise DataError(f"data.reader ({reader}) finds no recordings in {path}")
    raise_faults([f"{path}, read by {reader}: {fault}" for fault in _faults(found)])
    return [
        replace(one, text=clean_text(one.text), source=one.source or f"{path}: {one.id}") for one in found
    ]


def _faults(utterances: Sequence[Utterance]) -> Iterator[str]:
    seen: set[str] = set()
    for one in utterances:
        if one.id in seen:
            yield f"id {one.id!r} is there twice; give each recording its own"
        seen.add(one.id)
        if not one.path.is_file():
            yield f"{one.id}: there is no audio file {one.path}"
        elif one.path.stat().st_size == 0:
            yield f"{one.id}: audio file {one.path} is empty (0 bytes); record it again, or leave it out"
