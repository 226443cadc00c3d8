"""Every `paraformer …` line in README and docs is one that the command line would take.

The tutorial's are run as they stand, see tests/end_to_end/test_tutorial.py.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from paraformer_platform.cli.app import app

ROOT = Path(__file__).resolve().parents[3]
PAGES = [
    ROOT / "README.md",
    *(path for path in sorted((ROOT / "docs").glob("*.md")) if path.name not in ("TUTORIAL.md", "LOG.md")),
    *sorted((ROOT / "platform" / "paraformer_platform" / "scaffold" / "template").glob("*.md")),
]
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(paraformer [a-z-]+ [^`\n]*--[^`\n]*)`")


def lines() -> list[Any]:
    return [
        pytest.param(line, id=f"{page.name}: {line[:70]}")
        for page in PAGES
        for line in commands(page.read_text())
    ]


def commands(text: str) -> Iterator[str]:
    for block in BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            if line.split("#")[0].strip().startswith("paraformer "):
                yield " ".join(line.split())
    yield from INLINE.findall(text)


@pytest.mark.parametrize("line", lines())
def test_the_command_line_would_take_it(line: str) -> None:
    _, *words = shlex.split(line, comments=True)
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        assert words[0] in command.commands, words[0]
        command = command.commands[words.pop(0)]
    context = command.make_context(line, list(words), resilient_parsing=False)
    for parameter in command.params:  # files of the repository that are named are there
        value = context.params.get(parameter.name)
        if isinstance(value, Path) and value.parts[:1] == ("experiments",):
            assert (ROOT / value).is_file(), value


def test_there_are_such_lines() -> None:
    assert len(lines()) > 20
