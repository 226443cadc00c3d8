"""Finding a corpus in the folder that a user named, and saying what is missing if it is not there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paraformer.errors import DataError
from paraformer.manifest import raise_faults

_MOST_SHOWN = 8


@dataclass(frozen=True)
class Layout:
    """How the authors of a corpus ship it."""

    corpus: str
    """Its name, for messages."""
    folder: str
    """What the authors' archive calls its folder; the one above it may be named as well."""
    needed: tuple[str, ...]
    """Paths that must be in it."""
    source: str
    """Where to get it."""

    def find(self, folder: Path) -> Path:
        """The corpus's own folder: the one named, or the one in it of the authors' name.

        Raises:
            DataError: if neither holds what is needed; it says what was looked for, what is there, and where
                to get the corpus.
        """
        candidates = (folder, folder / self.folder)
        for candidate in candidates:
            if all((candidate / name).exists() for name in self.needed):
                return candidate
        nearest = max(candidates, key=lambda one: sum((one / name).exists() for name in self.needed))
        missing = [name for name in self.needed if not (nearest / name).exists()]
        raise DataError(
            f"{folder} is not the whole of {self.corpus}: {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not in {nearest}, which holds {contents(nearest)}. "
            f"Name the folder {self.folder!r} of {self.source}"
        )

    def require_audio(self, missing: Sequence[str], total: int) -> None:
        """Refuse a corpus with recordings that are listed but not there.

        Args:
            missing: What is missing, one text each.
            total: How many recordings are listed.

        Raises:
            DataError: if anything is missing; it names the first 20.
        """
        if missing:
            head = (
                f"{len(missing)} of {total} recordings of {self.corpus} are listed but not there; unpack all "
                f"of {self.source} again"
            )
            raise_faults([head, *missing])


def contents(folder: Path) -> str:
    """What a folder holds, in a few words."""
    if not folder.is_dir():
        return "nothing (there is no such folder)"
    names = sorted(path.name for path in folder.iterdir())
    shown = ", ".join(names[:_MOST_SHOWN]) or "nothing"
    return f"{shown} and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else shown


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not blank, without the blanks around them.

    Raises:
        DataError: if it is missing or not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DataError(f"there is no {path}; is this the whole of the corpus?") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text; get it again") from error
    return [line.strip() for line in text.splitlines() if line.strip()]
