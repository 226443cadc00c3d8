"""Speech from text with eSpeak NG: a thousand times faster than real time, a hundred timbres, no recordings.

The PyPI package `espeakng-loader` brings the library and its voices. eSpeak NG is GPL-3, so it stays an
optional extra that is loaded at run time, and only here.

A voice is an accent, `en-us`, or an accent and a variant, `en-gb-scotland+f3`: the variant is the timbre. The
library runs in a process of its own, for two reasons. A crash of it does not take ours along; and it keeps
state from one utterance to the next, so only a fresh process gives the same samples for the same requests.
"""

import difflib
import importlib
import importlib.metadata
import json
import struct
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType, TracebackType
from typing import IO, Self

import numpy as np

from paraformer.errors import DataError

SPEEDS = (80, 450)
"""Least and greatest speed, in words per minute."""
PITCHES = (0, 100)
"""Least and greatest pitch, on the library's own scale; 50 is a voice's usual one."""


class Speaker:
    """A fresh eSpeak NG process, as a context manager.

    The same sequence of calls gives the same samples, in every process and on every day.

    Raises:
        DataError: if the package is not installed or the process does not start.
    """

    def __init__(self) -> None:
        loader = _loader()
        worker = Path(__file__).with_name("espeak_worker.py")
        command = [sys.executable, "-I", str(worker), loader.get_library_path(), loader.get_data_path()]
        # A session of its own: Ctrl-C reaches us alone, and we end it; so does the end of its input.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        (self.sample_rate,) = struct.unpack("<i", self._receive(4, "starting"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        for pipe in self._pipes():
            pipe.close()
        self._process.wait()

    def speak(self, text: str, voice: str = "en-us", speed: int = 175, pitch: int = 50) -> np.ndarray:
        """Say a text.

        Args:
            text: What to say.
            voice: Accent, or accent+variant.
            speed: Words per minute, 80 … 450.
            pitch: 0 … 100.

        Returns:
            Samples `(N,)`, int16, at `sample_rate`.

        Raises:
            DataError: if the text is empty, the voice does not exist, or the library crashes.
        """
        if not text.strip():
            raise DataError("there is no text to speak; write at least one word")
        message = unknown_voice(voice)
        if message:
            raise DataError(message)
        accent, plus, variant = voice.partition("+")
        name = accents()[accent] + plus + variant  # the library knows British English as gmw/en only
        request = json.dumps([" ".join(text.split()), name, speed, pitch])
        doing = f"speaking {text!r} with voice {voice}"
        sent, _ = self._pipes()
        try:
            sent.write(request.encode() + b"\n")
            sent.flush()
        except BrokenPipeError as error:
            raise self._crashed(doing) from error
        (count,) = struct.unpack("<i", self._receive(4, doing))
        if count < 0:
            raise DataError(f"eSpeak NG refuses voice {voice!r}; choose another")
        return np.frombuffer(self._receive(2 * count, doing), dtype="<i2")

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def _receive(self, size: int, doing: str) -> bytes:
        _, received = self._pipes()
        data = received.read(size)
        if len(data) < size:
            raise self._crashed(doing)
        return data

    def _crashed(self, doing: str) -> DataError:
        code = self._process.wait()
        return DataError(
            f"eSpeak NG's process ended (exit code {code}) while {doing}; try another voice or text"
        )


def speak(text: str, voice: str = "en-us", speed: int = 175, pitch: int = 50) -> tuple[np.ndarray, int]:
    """Say one text in a fresh process.

    Returns:
        Samples `(N,)`, float32 within ±1, and their rate in hertz.

    Raises:
        DataError: as `Speaker.speak`, and if the package espeakng-loader is not installed.
    """
    with Speaker() as speaker:
        samples = speaker.speak(text, voice, speed, pitch)
        return samples.astype(np.float32) / 32768, speaker.sample_rate


def unknown_voice(voice: str) -> str | None:
    """What is wrong with a voice's name and which names are near, or None if there is such a voice.

    The library itself takes an unknown variant for none.
    """
    accent, plus, variant = voice.partition("+")
    if accent not in accents():
        return f"there is no accent {accent!r} (of voice {voice!r}){_near(accent, accents())}"
    if plus and variant not in variants():
        return f"there is no variant {variant!r} (of voice {voice!r}){_near(variant, variants())}"
    return None


@cache
def accents() -> dict[str, str]:
    """The library's languages and accents: code, such as `en-gb`, to the library's own name."""
    folder = Path(_loader().get_data_path()) / "lang"
    found: dict[str, str] = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        for line in file.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[:1] == ["language"]:
                found.setdefault(words[1].lower(), file.relative_to(folder).as_posix())
    return found


@cache
def variants() -> tuple[str, ...]:
    """The library's variants, which are timbres, such as `f3`, `m5` or `klatt2`."""
    return tuple(sorted(path.name for path in (Path(_loader().get_data_path()) / "voices" / "!v").iterdir()))


def version() -> str:
    """Version of the package that brings the library."""
    _loader()
    return importlib.metadata.version("espeakng-loader")


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=3)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _loader() -> ModuleType:
    """The package `espeakng_loader`, if it is installed."""
    try:
        return importlib.import_module("espeakng_loader")
    except ImportError as error:
        raise DataError(
            "speech synthesis needs the package espeakng-loader (eSpeak NG, GPL-3); "
            "install it with: pip install 'paraformer-ablation-platform[speech]'"
        ) from error
