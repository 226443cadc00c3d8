"""The server by itself: who may ask, what is refused and how, and what it never gives."""

import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from paraformer.errors import ConfigError
from paraformer_platform.demo import server as server_module
from paraformer_platform.demo.server import HOST, Demo, DemoServer

pytestmark = pytest.mark.speech
Ask = Callable[..., tuple[int, dict[str, str], bytes]]


@pytest.fixture(scope="module")
def server(trained: Any) -> Iterator[DemoServer]:
    with DemoServer(Demo.load(trained.checkpoint, None, 30.0), 0) as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join(timeout=10)


@pytest.fixture
def ask(server: DemoServer) -> Iterator[Ask]:
    """Ask on one connection that stays open; returns status, headers and content."""
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=30)

    def call(
        method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection.request(
            method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
        )
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()

    yield call
    connection.close()


def test_the_page_and_its_parts(ask: Ask) -> None:
    for path, kind in (("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css")):
        status, headers, content = ask("GET", path)
        assert status == 200
        assert headers["Content-Type"].startswith(kind)
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert content


def test_a_recording_is_understood(ask: Ask, trained: Any) -> None:
    one = trained.utterances[1]
    status, _, content = ask("POST", "/api/hear", one.path.read_bytes())
    assert (status, json.loads(content)["text"]) == (200, one.text)


@pytest.mark.parametrize(
    ("fault", "shown"), [(None, ""), (ZeroDivisionError("ours"), "ZeroDivisionError: ours")]
)
def test_only_a_browser_that_left_is_nothing_to_speak_of(
    server: DemoServer, monkeypatch: pytest.MonkeyPatch, capsys: Any, fault: Exception | None, shown: str
) -> None:
    ended = threading.Event()
    handle_error, begin = server.handle_error, server.finish_request

    def noted(*request: Any) -> None:
        handle_error(*request)
        ended.set()

    def finish_request(*request: Any) -> None:
        if fault is not None:
            raise fault
        begin(*request)

    monkeypatch.setattr(server, "handle_error", noted)
    monkeypatch.setattr(server, "finish_request", finish_request)
    browser = socket.create_connection((HOST, server.server_port), timeout=10)
    browser.sendall(b"GET / HT")
    time.sleep(0.1)
    browser.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by a reset
    browser.close()
    assert ended.wait(timeout=30)
    said = capsys.readouterr().err
    assert (shown in said) if shown else (said == "")


def test_examples_are_the_models_test_set(ask: Ask, trained: Any) -> None:
    about = json.loads(ask("GET", "/api/model")[2])
    assert [one["text"] for one in about["examples"]] == [one.text for one in trained.utterances]
    assert ask("GET", "/api/examples/2")[2] == trained.utterances[2].path.read_bytes()


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/gone.html", 404, "there is nothing at /gone.html"),
        ("GET", "/../server.py", 404, "nothing at"),
        ("GET", "/%2e%2e/server.py", 404, "nothing at"),
        ("GET", "/__init__.py", 404, "nothing at"),
        ("GET", "/api/examples/9", 404, "there is no example 9"),
        ("GET", "/api/examples/-1", 404, "there is no example -1"),
        ("POST", "/api/gone", 404, "there is nothing at /api/gone"),
        ("POST", "/api/hear", 415, "cannot be read as audio"),
        ("POST", "/api/attention?layer=first", 422, "must be a number from 0"),
    ],
)
def test_what_is_not_there_is_said_and_the_connection_lives_on(
    ask: Ask, method: str, path: str, status: int, words: str
) -> None:
    got, _, content = ask(method, path, b"no audio" if method == "POST" else None)
    assert got == status
    assert words in json.loads(content)["error"]
    assert ask("GET", "/")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [{"Host": "rebound.example:80"}, {"Origin": "http://elsewhere.example"}, {"Origin": "null"}],
    ids=["another name for this machine", "another site", "a sandboxed page"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_strangers_are_refused(ask: Ask, headers: dict[str, str], method: str) -> None:
    status, _, content = ask(method, "/api/model", b"x" if method == "POST" else None, **headers)
    assert status == 403
    assert "only this machine's own browser may ask" in json.loads(content)["error"]


def test_a_large_upload_is_refused_and_not_kept(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MOST_BYTES", 2**20)
    status, _, content = ask("POST", "/api/hear", bytes(3 * 2**20))
    assert status == 413
    assert "has 3 MB, more than the 1 MB allowed here" in json.loads(content)["error"]
    assert ask("GET", "/")[0] == 200


def test_an_upload_without_a_length_is_refused(server: DemoServer) -> None:
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=30)
    connection.putrequest("POST", "/api/hear")
    connection.endheaders()
    assert connection.getresponse().status == 411
    connection.close()


def test_a_port_that_is_taken_is_said(server: DemoServer) -> None:
    with pytest.raises(ConfigError, match=rf"port {server.server_port} cannot be used .*--port"):
        DemoServer(server.demo, server.server_port)
