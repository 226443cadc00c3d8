"""The demo page's server: a model behind two addresses, on this machine only.

Requests from other sites are refused: a page elsewhere could otherwise ask a server on 127.0.0.1, by its
address or by a name of its own that points here, and read what was said.
"""

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from paraformer.errors import ConfigError, ParaformerError
from paraformer_platform.demo.examples import Example, find_examples
from paraformer_platform.demo.hearing import Plain, UnreadableError, attention, hear, read_recording
from paraformer_platform.training.checkpoint import load_checkpoint
from paraformer_platform.training.recogniser import Recogniser

Seconds = float

HOST = "127.0.0.1"
MOST_BYTES = 32 * 2**20
"""Largest upload: three minutes of 16-bit stereo at 44.1 kHz."""
KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "media-src 'self' blob:; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_CHUNK = 2**16


@dataclass(frozen=True)
class Demo:
    """A model, ready to be spoken to."""

    recogniser: Recogniser
    name: str
    """What the page calls it."""
    examples: list[Example]
    most_seconds: Seconds

    @classmethod
    def load(cls, checkpoint: Path, strategy: str | None, most_seconds: Seconds) -> "Demo":
        """Make the demo of a checkpoint.

        Raises:
            CheckpointError: if the checkpoint is missing or damaged.
        """
        recogniser = Recogniser.load(checkpoint, strategy)
        data = load_checkpoint(checkpoint).config.data
        return cls(recogniser, str(checkpoint), find_examples(data, most_seconds), most_seconds)

    def about(self) -> Plain:
        """What the page says of the model, and its limits."""
        model = self.recogniser.model
        encoder = model.config.encoder
        return {
            "name": self.name,
            "parameters": sum(weights.numel() for weights in model.parameters()),
            "encoder": encoder.kind,
            "layers": encoder.num_layers,
            "heads": encoder.num_heads,
            "strategy": self.recogniser.strategy,
            "rate": self.recogniser.sample_rate,
            "most_seconds": self.most_seconds,
            "most_bytes": MOST_BYTES,
            "examples": [{"text": one.text, "speaker": one.speaker} for one in self.examples],
        }

    def hear(self, audio: bytes, query: dict[str, str]) -> Plain:
        """What the model understands of an uploaded recording.

        Raises:
            DataError: if the recording cannot be used.
        """
        return hear(self.recogniser, self._wave(audio))

    def attention(self, audio: bytes, query: dict[str, str]) -> Plain:
        """Where the heads of a layer look in an uploaded recording.

        Raises:
            ConfigError: if the query names no layer of the encoder.
            DataError: if the recording cannot be used.
        """
        layer = query.get("layer", "0")
        if not layer.isdecimal():
            raise ConfigError(f"layer is {layer!r}, but must be a number from 0")
        return attention(self.recogniser, self._wave(audio), int(layer))

    def _wave(self, audio: bytes) -> Any:
        return read_recording(audio, self.recogniser, self.most_seconds)


class DemoServer(ThreadingHTTPServer):
    """Serves the page of one model.

    Raises:
        ConfigError: if the port cannot be used.
    """

    daemon_threads = True

    def __init__(self, demo: Demo, port: int) -> None:
        self.demo = demo
        self.one_at_a_time = threading.Lock()
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise ConfigError(
                f"port {port} cannot be used ({error.strerror}): name another with --port"
            ) from error

    @property
    def address(self) -> str:
        """Where a browser finds the page."""
        return f"http://{HOST}:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that left in the middle of a request; show any other fault."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    server: DemoServer
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        if not self._is_ours():
            return
        path = urlsplit(self.path).path
        if path == "/api/model":
            self._send_json(HTTPStatus.OK, self.server.demo.about())
        elif path.startswith("/api/examples/"):
            self._send_example(path.rpartition("/")[2])
        else:
            self._send_page("index.html" if path == "/" else path.removeprefix("/"))

    def do_POST(self) -> None:
        if not self._is_ours():
            return
        address = urlsplit(self.path)
        answers: dict[str, Callable[[bytes, dict[str, str]], Plain]] = {
            "/api/hear": self.server.demo.hear,
            "/api/attention": self.server.demo.attention,
        }
        audio = self._body()
        if audio is None:
            return
        if address.path not in answers:
            self._refuse(HTTPStatus.NOT_FOUND, f"there is nothing at {address.path}")
            return
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        try:
            with self.server.one_at_a_time:
                answer = answers[address.path](audio, query)
        except UnreadableError as error:
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, str(error))
            return
        except ParaformerError as error:
            self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
            return
        self._send_json(HTTPStatus.OK, answer)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the page tells what goes wrong."""

    def _is_ours(self) -> bool:
        """Whether the page itself asks; a stranger is refused."""
        ours = {f"{name}:{self.server.server_port}" for name in (HOST, "localhost")}
        origin = self.headers.get("Origin")
        host = self.headers.get("Host", "")
        if host in ours and (origin is None or origin.removeprefix("http://") in ours):
            return True
        self.close_connection = True
        self._refuse(
            HTTPStatus.FORBIDDEN, "only this machine's own browser may ask, at " + self.server.address
        )
        return False

    def _body(self) -> bytes | None:
        """What was uploaded; None once it is refused."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self.close_connection = True
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "the upload must say how long it is (Content-Length)")
            return None
        if int(length) <= MOST_BYTES:
            return self.rfile.read(int(length))
        left = int(length)
        while left > 0 and (dropped := len(self.rfile.read(min(left, _CHUNK)))):  # else no browser reads on
            left -= dropped
        told = (
            f"the file has {int(length) / 2**20:.0f} MB, more than the {MOST_BYTES // 2**20} MB allowed here"
        )
        self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, told)
        return None

    def _send_example(self, number: str) -> None:
        examples = self.server.demo.examples
        if not number.isdecimal() or int(number) >= len(examples):
            self._refuse(HTTPStatus.NOT_FOUND, f"there is no example {number}")
            return
        self._send(HTTPStatus.OK, "application/octet-stream", examples[int(number)].path.read_bytes())

    def _send_page(self, name: str) -> None:
        page = files(__package__).joinpath("page")
        kind = KINDS.get(name.rpartition(".")[2])
        if "/" in name or kind is None or not page.joinpath(name).is_file():
            self._refuse(HTTPStatus.NOT_FOUND, f"there is nothing at /{name}")
            return
        self._send(HTTPStatus.OK, kind, page.joinpath(name).read_bytes())

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        self._send_json(status, {"error": message})

    def _send_json(self, status: HTTPStatus, values: Plain) -> None:
        text = json.dumps(values, ensure_ascii=False)
        self._send(status, "application/json; charset=utf-8", text.encode())

    def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **HEADERS}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)
