"""What every verb says of itself: complete, readable in 80 columns, with an example that it would take."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from paraformer_platform.cli.app import app
from paraformer_platform.cli.progress import progress_bar, rate, working

PRINT_NOTHING_TO_READ = {"ui", "demo-page", "submit", "stop", "init"}
"""Verbs that serve, follow, or say one line."""


def verbs(group: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    for word, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from verbs(command, f"{name}{word} ")
        else:
            yield f"{name}{word}", command


VERBS = dict(verbs(typer.main.get_command(app)))


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")


@pytest.mark.parametrize("name", VERBS)
def test_help_is_whole_and_fits(name: str) -> None:
    shown = CliRunner().invoke(app, [*name.split(), "--help"]).output
    assert max(map(len, shown.splitlines())) <= 80
    assert "\x1b" not in shown
    assert "<" not in shown.replace("<sweep>", "")  # no <bool>, <path> or list[str]
    assert f"Example: paraformer {name}" in " ".join(shown.split())
    for parameter in VERBS[name].params:
        if not parameter.hidden:
            assert parameter.help, parameter.name
            assert parameter.help.endswith("."), parameter.help


@pytest.mark.parametrize("name", VERBS)
def test_the_example_is_taken_by_the_verb(name: str) -> None:
    command = VERBS[name]
    words = shlex.split(command.epilog.removeprefix("Example: paraformer "))
    assert words[: len(name.split())] == name.split()
    arguments = words[len(name.split()) :]
    context = command.make_context(name, list(arguments))  # refuses unknown options, missing arguments
    assert context.params


@pytest.mark.parametrize("name", sorted(set(VERBS) - PRINT_NOTHING_TO_READ))
def test_whatever_prints_something_to_read_prints_json_too(name: str) -> None:
    assert "--json" in {spelling for parameter in VERBS[name].params for spelling in parameter.opts}


def test_a_shell_can_complete_verbs_and_choices(repository: Path) -> None:
    rooms = os.pathsep.join(str(repository / room) for room in ("model", "platform", "analysis"))
    code = "import sys; sys.argv[0] = 'paraformer'; from paraformer_platform.cli.app import run; run()"

    def completed(typed: str) -> list[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": rooms,
            "_PARAFORMER_COMPLETE": "complete_bash",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(typed.split(" ")) - 1),
        }
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
        )
        return done.stdout.split()

    assert completed("paraformer tr") == ["train", "transcribe"]
    assert completed("paraformer transcribe --format ") == ["text", "json", "srt", "vtt"]


def test_no_progress_where_nobody_looks(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_bar("listening", "recordings") as advance, working("drawing"):
        advance(1, 2)
    assert capfd.readouterr() == ("", "")


def test_progress_tells_rate_and_time_left_on_a_terminal() -> None:
    shown = _on_a_terminal(
        "from paraformer_platform.cli.progress import progress_bar\n"
        "import time\n"
        "with progress_bar('listening', 'recordings') as advance:\n"
        "    for done in range(1, 9):\n"
        "        time.sleep(0.1)\n"
        "        advance(done, 10)\n"
    )
    assert re.search(r"listening .* 8/10 recordings [\d.]+/s 0:00:0\d", shown)


@pytest.mark.parametrize(("speed", "words"), [(None, ""), (12.34, "12.3/s"), (0.25, "4.0 s each")])
def test_rates(speed: float | None, words: str) -> None:
    assert rate(speed) == words


def _on_a_terminal(program: str) -> str:
    """What a program shows on a pseudo-terminal of 80 columns, without escape codes."""
    import pty

    reader, writer = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", program], stderr=writer, env=environment)
    os.close(writer)
    shown = b""
    while True:
        try:
            part = os.read(reader, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    assert process.wait(timeout=60) == 0
    os.close(reader)
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown.decode())
