"""Manifests: which recording says what, as tab-separated text.

Two forms are read. With a header, columns go by name. Those beyond these five tell what groups a recording
belongs to, such as its speaker's gender: training does not look at them, reports give each group its rate::

    path            text        id      speaker  seconds  gender
    audio/0001.flac  nine four  0001    f3       1.250    f

Without one, each line is a file, a tab and its transcript. Relative paths are relative to the manifest's
folder.
"""

import hashlib
import math
import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paraformer.errors import DataError

COLUMNS = ("path", "text", "id", "speaker", "seconds")
MAX_FAULTS_SHOWN = 20


@dataclass(frozen=True)
class Utterance:
    """One recording and what is said in it."""

    id: str
    """Its name, unique within the manifest."""
    path: Path
    """The audio file."""
    text: str
    """Transcript, NFC, words separated by single spaces."""
    speaker: str | None = None
    """Who speaks, where known."""
    seconds: float | None = None
    """Duration, where the manifest says it."""
    groups: tuple[tuple[str, str], ...] = ()
    """Further columns of the manifest and their values, such as gender; no training depends on them."""
    source: str = field(default="", compare=False)
    """`file:line` it was read from, for messages."""


@dataclass(frozen=True)
class Row:
    """One line of tab-separated text, its cells by column name."""

    line: int
    """Line number, from 1."""
    cells: Mapping[str, str]


def read_manifest(
    path: str | Path, audio_folder: str | Path | None = None, check_files: bool = True
) -> list[Utterance]:
    """Read a manifest.

    Args:
        path: The tab-separated file.
        audio_folder: What its relative paths are relative to; by default its own folder.
        check_files: Whether a missing or empty audio file is a fault here, or only when it is read.

    Raises:
        DataError: if the manifest is missing, empty or faulty; it lists the first 20 faults, each with file,
            line, value and remedy.
    """
    path = Path(path)
    reader = _Reader(path, Path(audio_folder) if audio_folder else path.parent, check_files)
    utterances = [utterance for row in read_rows(path, reader.faults) if (utterance := reader.utterance(row))]
    raise_faults(reader.faults)
    if not utterances:
        raise DataError(f"{path} lists no recordings; each line is a file, a tab and its transcript")
    return utterances


def write_manifest(path: str | Path, utterances: Iterable[Utterance]) -> None:
    """Write a manifest with a header, at once or not at all.

    Audio within the manifest's folder is named relative to it, so that both can be moved together.
    """
    path, utterances = Path(path), list(utterances)
    more = tuple(dict.fromkeys(name for utterance in utterances for name, _ in utterance.groups))
    head = "\t".join((*COLUMNS, *more))
    lines = [head, *(_line(utterance, path.parent.resolve(), more) for utterance in utterances)]
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    partial.replace(path)


def fingerprint(utterances: Iterable[Utterance]) -> str:
    """Identity of data: SHA-256 over ids, speakers, transcripts and audio contents, in their order.

    Where the files lie does not enter, so a copy on another machine has the same fingerprint.

    Raises:
        DataError: if an audio file is missing.
    """
    digest = hashlib.sha256()
    for utterance in utterances:
        try:
            contents = hashlib.sha256(utterance.path.read_bytes()).hexdigest()
        except OSError as error:
            raise DataError(f"{_where(utterance)}: cannot read {utterance.path}: {error.strerror}") from error
        digest.update(repr((utterance.id, utterance.speaker, utterance.text, contents)).encode())
    return digest.hexdigest()


def read_rows(path: Path, faults: list[str]) -> Iterator[Row]:
    """Read tab-separated lines, with or without a header that names at least `path` and `text`.

    Blank lines are skipped. Malformed ones are left out and added to `faults`.

    Raises:
        DataError: if the file is missing or not UTF-8.
    """
    lines = _text_of(path).replace("\r\n", "\n").split("\n")
    names: Sequence[str] = ("path", "text")
    for number, line in enumerate(lines, start=1):
        cells = [cell.strip() for cell in line.split("\t")]
        if number == 1 and {"path", "text"} <= set(cells):
            names = cells
        elif not line.strip():
            continue
        elif len(cells) != len(names):
            faults.append(_malformed(path, number, line, names))
        else:
            yield Row(number, dict(zip(names, cells, strict=True)))


def raise_faults(faults: Sequence[str]) -> None:
    """Raise all faults as one error.

    Raises:
        DataError: if there is any; it shows the first 20.
    """
    if faults:
        shown = list(faults[:MAX_FAULTS_SHOWN])
        if len(faults) > MAX_FAULTS_SHOWN:
            shown.append(f"… and {len(faults) - MAX_FAULTS_SHOWN} more")
        raise DataError("\n".join(shown))


def clean_text(text: str) -> str:
    """A transcript in NFC with single spaces between words and none around."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def groups_of(cells: Mapping[str, str], columns: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The groups that a row names in these columns; an empty cell names none."""
    return tuple((name, cells[name]) for name in columns if cells.get(name))


@dataclass
class _Reader:
    """Turns rows into utterances and gathers their faults."""

    path: Path
    audio_folder: Path
    check_files: bool
    faults: list[str] = field(default_factory=list)
    lines_by_id: dict[str, int] = field(default_factory=dict)

    def utterance(self, row: Row) -> Utterance | None:
        cells = row.cells
        source = f"{self.path}:{row.line}"
        problems = list(self._problems(row))
        self.faults += [f"{source}: {problem}" for problem in problems]
        if problems:
            return None
        return Utterance(
            id=_id_of(cells),
            path=self.audio_folder / cells["path"],
            text=clean_text(cells["text"]),
            speaker=cells.get("speaker") or None,
            seconds=float(cells["seconds"]) if cells.get("seconds") else None,
            groups=groups_of(cells, [name for name in cells if name not in COLUMNS]),
            source=source,
        )

    def _problems(self, row: Row) -> Iterator[str]:
        cells = row.cells
        if not cells["path"]:
            yield "the file name is empty; write it before the first tab"
            return
        first = self.lines_by_id.setdefault(_id_of(cells), row.line)
        if first != row.line:
            yield (
                f"id {_id_of(cells)!r} appears in line {first} already; "
                "drop one of them or give each its own in a column 'id'"
            )
        if cells.get("seconds") and not _is_duration(cells["seconds"]):
            yield f"seconds is {cells['seconds']!r}, but must be a positive number"
        if self.check_files:
            yield from self._file_problems(self.audio_folder / cells["path"])

    def _file_problems(self, audio: Path) -> Iterator[str]:
        try:
            size = audio.stat().st_size
        except OSError:
            yield f"there is no audio file {audio}; relative paths are relative to {self.audio_folder}"
            return
        if audio.is_dir():
            yield f"{audio} is a folder, not an audio file"
        elif size == 0:
            yield f"audio file {audio} is empty (0 bytes); record or copy it again, or drop the line"


def _id_of(cells: Mapping[str, str]) -> str:
    """The column `id`, or else the file's name without its ending."""
    return cells.get("id") or str(Path(cells["path"]).with_suffix(""))


def _is_duration(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(
            f"there is no manifest {path}; `paraformer data prepare` or `paraformer data synth` makes one"
        ) from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder, not a manifest; name the .tsv file in it") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text (byte {error.object[error.start]:#04x} at offset {error.start}); "
            "save it as UTF-8"
        ) from error


def _malformed(path: Path, number: int, line: str, names: Sequence[str]) -> str:
    shown = line if len(line) <= 60 else line[:57] + "…"
    tabs, wanted = line.count("\t"), len(names) - 1
    if tabs == 0:
        return f"{path}:{number}: no tab in {shown!r}; write the file, a tab, then its transcript"
    return (
        f"{path}:{number}: {tabs} tabs in {shown!r}, but its columns ({', '.join(names)}) need {wanted}; "
        "a header line names further columns"
    )


def _line(utterance: Utterance, folder: Path, more: Sequence[str]) -> str:
    audio = utterance.path.resolve()
    named = audio.relative_to(folder) if audio.is_relative_to(folder) else audio
    seconds = "" if utterance.seconds is None else f"{utterance.seconds:.3f}"
    cells = (named.as_posix(), clean_text(utterance.text), utterance.id, utterance.speaker or "", seconds)
    groups = dict(utterance.groups)
    return "\t".join((*cells, *(groups.get(name, "") for name in more)))


def _where(utterance: Utterance) -> str:
    return utterance.source or utterance.id
