"""Parts of a corpus: as its authors made them, or held out by group.

A part that is held out here is a pure function of the names in it, so it is the same on every machine and
does not change when audio is added for other speakers: groups are ordered by the SHA-256 of their name.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from paraformer.errors import DataError
from paraformer.manifest import Row, Utterance, clean_text, groups_of, raise_faults, read_rows

Splits = dict[str, list[Utterance]]
"""Utterances by name of the part."""


def read_with_splits(manifest: Path, text_column: str = "text", groups: Sequence[str] = ()) -> Splits:
    """Read a manifest that says in a column `split` which part a recording belongs to.

    Args:
        manifest: Tab-separated, with a header of at least `path`, `text` and `split`.
        text_column: Which column holds the transcripts.
        groups: Columns to keep as groups of utterances, where there are such.

    Raises:
        DataError: if it is faulty, or lacks one of these columns.
    """
    faults: list[str] = []
    rows = list(read_rows(manifest, faults))
    raise_faults(faults)
    for column in (text_column, "split"):
        if rows and column not in rows[0].cells:
            raise DataError(f"{manifest} has no column {column!r}, but {', '.join(rows[0].cells)}")
    splits: Splits = defaultdict(list)
    for row in rows:
        splits[row.cells["split"]].append(_utterance(manifest, row, text_column, groups))
    return dict(splits)


def _utterance(manifest: Path, row: Row, text_column: str, groups: Sequence[str]) -> Utterance:
    cells = row.cells
    path = Path(cells["path"])
    return Utterance(
        id=cells.get("id") or path.with_suffix("").as_posix(),
        path=manifest.parent / path,
        text=clean_text(cells[text_column]),
        speaker=cells.get("speaker") or None,
        seconds=float(cells["seconds"]) if cells.get("seconds") else None,
        groups=groups_of(cells, groups),
        source=f"{manifest}:{row.line}",
    )


def hold_out(
    utterances: Sequence[Utterance], shares: Mapping[str, float], group_of: Callable[[Utterance], str]
) -> Splits:
    """Hold out whole groups, by speaker or by sentence, and leave the rest to `train`.

    Args:
        utterances: What to divide.
        shares: Share of the utterances for each part, such as {"dev": 0.1, "test": 0.1}; a part has at least
            one group.
        group_of: Name of an utterance's group.

    Raises:
        DataError: if there are too few groups to give each part one.
    """
    groups: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        groups[group_of(utterance)].append(utterance)
    if len(groups) <= len(shares):
        raise DataError(
            f"there are {len(groups)} groups of utterances ({', '.join(sorted(groups)[:5])}), too few "
            f"for train, {', '.join(shares)}; write the parts yourself, in a column 'split'"
        )
    waiting = sorted(groups, key=_place)
    held: dict[str, str] = {}
    for part, share in shares.items():
        count = 0
        while count == 0 or (count < share * len(utterances) and len(waiting) > len(shares)):
            group = waiting.pop(0)
            held[group] = part
            count += len(groups[group])
    splits: Splits = {"train": [], **{part: [] for part in shares}}
    for utterance in utterances:
        splits[held.get(group_of(utterance), "train")].append(utterance)
    return splits


def without_held_out_sentences(splits: Splits) -> Splits:
    """Leave out of train what dev or test says too."""
    held_out = {utterance.text for part in splits if part != "train" for utterance in splits[part]}
    return {**splits, "train": [u for u in splits["train"] if u.text not in held_out]}


def _place(group: str) -> str:
    return hashlib.sha256(group.encode()).hexdigest()
