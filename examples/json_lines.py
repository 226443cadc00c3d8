"""A reader of one's own: recordings listed as JSON, one object a line, as many toolkits write them.

Name it in an experiment, or on the command line, from the folder that holds `examples/`::

    --override data.reader=examples.json_lines:read --override data.train=train.jsonl

It is handed the path of each of the three lists and gives utterances. Nothing says that the path must be a
file: a reader may as well take a folder, or ask a database. What it gives is checked like a manifest of ours:
names that are there twice and missing or empty audio are told before a training starts.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from paraformer.manifest import Utterance


def read(path: Path) -> Iterator[Utterance]:
    """Give the utterances of a list.

    Args:
        path: Lines such as `{"audio_filepath": "audio/1.wav", "text": "one two", "duration": 1.5}`; files
            are relative to the list's folder.
    """
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        entry = json.loads(line)
        yield Utterance(
            id=Path(entry["audio_filepath"]).stem,
            path=path.parent / entry["audio_filepath"],
            text=entry["text"],
            speaker=entry.get("speaker"),
            seconds=entry.get("duration"),
            source=f"{path}:{number}",
        )
