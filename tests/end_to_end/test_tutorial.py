"""Every block of docs/TUTORIAL.md is run in its order, and what stands below a block is what it printed.

Commands of ours run in this process, which saves loading torch each time; those that start Ray, and all
others, in a process of their own. A line that ends in `# fails` must; one that ends in `# Ctrl-C ends it` is
a server, which must answer and end in good order.
"""

import contextlib
import io
import os
import re
import shlex
import signal
import socket
import string
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.image
import pytest
from typer.testing import CliRunner

PAGE = Path(__file__).resolve().parents[2] / "docs" / "TUTORIAL.md"
BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINKED = ("experiments", "examples", "tests", "pyproject.toml")


@dataclass(frozen=True)
class Block:
    line: int
    language: str
    title: str | None
    text: str
    expected: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.title or self.language}"


def _blocks() -> list[Block]:
    """Blocks to run or to write; a `text` block is what the one before it prints."""
    page = PAGE.read_text()
    found: list[Block] = []
    for match in BLOCK.finditer(page):
        language, title, text = match.groups()
        if language == "text":
            previous = found.pop()
            found.append(Block(previous.line, previous.language, previous.title, previous.text, text))
        else:
            found.append(Block(page[: match.start()].count("\n") + 1, language, title, text, ""))
    return found


@dataclass
class Reader:
    """Somebody who types everything on the page."""

    environment: dict[str, str]
    shell: dict[str, str] = field(default_factory=dict)
    python: dict[str, object] = field(default_factory=dict)

    def follow(self, block: Block) -> str:
        if block.title is not None:
            Path(block.title).write_text(block.text)
            return ""
        return self._type_python(block) if block.language == "python" else self._type_commands(block.text)

    def _type_python(self, block: Block) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile("\n" * block.line + block.text, str(PAGE), "exec"), self.python)
        return output.getvalue()

    def _type_commands(self, text: str) -> str:
        return "".join(self._command(line) for line in _logical_lines(text))

    def _command(self, line: str) -> str:
        line = string.Template(line).substitute(self.shell)
        must_fail, words = line.endswith("# fails"), shlex.split(line, comments=True)
        name, equals, value = words[0].partition("=")
        if equals:
            self.shell[name] = value
            return ""
        if line.endswith("# Ctrl-C ends it"):
            return self._serve(words)
        here = words[0] == "paraformer" and words[1] not in ("sweep", "report")
        code, output = self._invoke(words[1:]) if here else self._start(words)
        assert (code != 0) == must_fail, f"{line}\nended with {code}:\n{output}"
        return output

    def _invoke(self, arguments: list[str]) -> tuple[int, str]:
        from paraformer_platform.cli.app import app

        done = CliRunner().invoke(app, arguments)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output

    def _serve(self, words: list[str]) -> str:
        port = free_port()  # the page's own may be taken here
        shown = words[words.index("--port") + 1]
        command = [sys.executable, "-m", "paraformer_platform", *words[1:]]
        command[command.index(shown)] = str(port)
        environment = {**self.environment, "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            said = server.stdout.readline()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=60) as page:
                assert page.status == 200
            server.send_signal(signal.SIGINT)
            assert server.wait(timeout=60) == 0
        return said.replace(str(port), shown)

    def _start(self, words: list[str]) -> tuple[int, str]:
        if words[0] == "paraformer":
            words = [sys.executable, "-m", "paraformer_platform", *words[1:]]
        words = [sys.executable if word == "python" else word for word in words]
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=240)
        return done.returncode, done.stdout + done.stderr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _logical_lines(text: str) -> Iterator[str]:
    """Commands, each with the lines that a backslash or an open quotation mark continues it on."""
    pending = ""
    for line in text.splitlines():
        pending += line + "\n"
        if line.endswith("\\"):
            pending = pending[:-2]
            continue
        try:
            words = shlex.split(pending, comments=True)
        except ValueError:  # no closing quotation
            continue
        if words:
            yield pending.strip()
        pending = ""
    assert not pending.strip(), f"unfinished command: {pending}"


def _pattern(line: str) -> str:
    """A line of the page as a regular expression: … is anything, runs of spaces count as one."""
    parts = [r"\s*".join(map(re.escape, part.split())) for part in line.split("…")]
    return ".*?".join(parts)


def assert_printed(expected: str, output: str) -> None:
    """Each line is there, one after the other."""
    rest = " ".join(re.sub(r"[─│╭╮╰╯┃━]", " ", output).split())
    for line in expected.splitlines():
        found = re.search(_pattern(line), rest)
        assert found is not None, f"{line!r} is not in what is left of the output:\n{rest}\n\nall:\n{output}"
        rest = rest[found.end() :]


@pytest.fixture(scope="module")
def reader(
    repository: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reader]:
    """In a folder of its own that looks like a checkout."""
    folder = tmp_path_factory.mktemp("tutorial")
    for name in LINKED:
        (folder / name).symlink_to(repository / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        patch.setenv("COLUMNS", "120")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        path = os.pathsep.join([environment["PYTHONPATH"], str(folder)])
        yield Reader({**environment, "PYTHONPATH": path, "COLUMNS": "120"})


@pytest.mark.parametrize("block", _blocks(), ids=str)
def test_block(reader: Reader, block: Block) -> None:
    assert_printed(block.expected, reader.follow(block))


@pytest.mark.parametrize("name", ["attention", "predictor"])
def test_pictures_show_something(reader: Reader, name: str) -> None:
    picture = matplotlib.image.imread(f"results/{name}.png")
    assert min(picture.shape[:2]) > 300
    assert picture[..., :3].std() > 0.1


def test_what_is_expected_can_be_missed() -> None:
    assert_printed("a … c\nd", "a b c\nd")
    for wrong in ("a … c\nb", "x"):
        with pytest.raises(AssertionError, match="is not in what is left"):
            assert_printed(wrong, "a b c\nd")
